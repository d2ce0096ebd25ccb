"""Verdicts against other graders on the labelled cases of tests/tasks/cases, and the time of running answers.

    python -m tests.bench.bench_verdicts            # the table of docs/verdicts.md, then microseconds an answer

math-verify and lm-eval's graders (`hendrycks_math.is_equiv` for MATH; exact match with its regexes to ignore for GSM8K) judge
the same answers as we do. For responses GSM8K's filters take the answer out; ours is `final_answer`. A grader that raises, or
takes more than two seconds, has refused.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from mi_explorer.generation.traces.answers import final_answer, running_answer
from mi_explorer.limited_process import OutOfTime, processor_time
from mi_explorer.tasks.verify import canonical, verify

CASES = Path(__file__).resolve().parents[1] / "tasks" / "cases"
VERDICTS = ("reported_verdicts", "kinds_verdicts", "examined_verdicts", "further_verdicts")
ANSWERS = ("reported_answers", "kinds_answers", "examined_answers", "further_answers")
LIMIT_S = 2.0
Case = dict[str, str | bool]


def rows(name: str) -> list[Case]:
    return [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").split("\n") if line]


def math_verify(gold: str, answer: str) -> bool:
    from math_verify import parse
    from math_verify import verify as judge

    golds, answers = (
        parse(t if "$" in t or "\\boxed" in t else f"${t}$", parsing_timeout=None) for t in (gold, answer)
    )
    return bool(golds and answers and judge(golds, answers, timeout_seconds=None))


def is_equiv(gold: str, answer: str) -> bool:
    from lm_eval.tasks.hendrycks_math.utils import is_equiv as equal

    return bool(equal(gold, answer))


def exact_match(gold: str, answer: str) -> bool:
    """GSM8K of lm-eval: both texts without what its task ignores."""
    texts = []
    for text in (gold, answer):
        for ignored in (",", r"\$", r"(?s).*#### ", r"\.$"):
            text = re.sub(ignored, "", text)
        texts.append(text.strip().lower())
    return texts[0] == texts[1]


def flexible(response: str) -> str:
    """GSM8K's filter "flexible-extract": the last number of a response."""
    found = re.findall(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", response)
    return next(filter(None, found[-1])) if found else ""


def strict(response: str) -> str:
    """GSM8K's filter "strict-match"."""
    found = re.search(r"#### (\-?[0-9\.\,]+)", response)
    return found[1] if found else ""


def count(cases: list[Case], judge: Callable[[Case], bool]) -> str:
    """n, false positives and false negatives as cells of a table."""
    positives = negatives = 0
    for case in cases:
        try:
            with processor_time(LIMIT_S, 2 * LIMIT_S):
                right = judge(case)
        except (Exception, OutOfTime):  # noqa: BLE001 - whatever a grader does, it has not accepted
            right = False
        positives += right and not case["right"]
        negatives += bool(case["right"]) and not right
    return f"{len(cases)} | {positives} | {negatives}"


def table() -> None:
    print("| cases | grader | n | accepted, but wrong | refused, but right |\n|---|---|---|---|---|")
    for name in VERDICTS:
        graders: dict[str, Callable[[Case], bool]] = {
            "MI Explorer": lambda c: verify(str(c["gold"]), str(c["answer"]), str(c.get("kind", "auto"))),
            "math-verify": lambda c: math_verify(str(c["gold"]), str(c["answer"])),
            "lm-eval MATH (is_equiv)": lambda c: is_equiv(str(c["gold"]), str(c["answer"])),
            "lm-eval GSM8K (exact match)": lambda c: exact_match(str(c["gold"]), str(c["answer"])),
        }
        for grader, judge in graders.items():
            print(f"| {name} | {grader} | {count(rows(name), judge)} |", flush=True)
    for name in ANSWERS:
        own = rows(name)
        numbers = [c for c in own if c["kind"] == "number"]
        ours: Callable[[Case], bool] = lambda c: verify(  # noqa: E731
            str(c["gold"]), final_answer(str(c["response"]), str(c["kind"])), str(c["kind"])
        )
        print(f"| {name} | MI Explorer | {count(own, ours)} |")
        print(f"| {name}, numbers | MI Explorer | {count(numbers, ours)} |")
        for label, take in (("flexible", flexible), ("strict", strict)):
            theirs: Callable[[Case], bool] = lambda c, take=take: exact_match(str(c["gold"]), take(str(c["response"])))  # type: ignore[misc]  # noqa: E731
            print(f"| {name}, numbers | lm-eval GSM8K ({label}) | {count(numbers, theirs)} |", flush=True)


def speed() -> None:
    """Microseconds to look for a running answer in a sentence of the embedded pair, and to make it canonical."""
    texts = [f"Then {a} + {b} = {a + b}." for a in range(20, 60) for b in range(20, 45)]
    start = time.perf_counter()
    found = [running_answer(text) for text in texts]
    looked = time.perf_counter()
    forms = [canonical(answer.answer) for answer in found if answer]
    done = time.perf_counter()
    print(
        f"\nrunning answer: {1e6 * (looked - start) / len(texts):.1f} µs a sentence; canonical: {1e6 * (done - looked) / len(forms):.1f} µs an answer"
    )


if __name__ == "__main__":
    table()
    speed()
