"""Verdicts against other graders on the labelled cases of tests/tasks/cases, and the time of running answers.

    python -m tests.bench.bench_verdicts            # the table of docs/verdicts.md, then microseconds

math-verify and lm-eval's graders (`hendrycks_math.is_equiv` for MATH; exact match with its regexes to ignore for GSM8K) judge
the same answers as we do. For responses GSM8K's filters take the answer out; ours is `final_answer`. A grader that raises, or
takes more than two seconds, has refused.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer

from mi_explorer.generation.traces import ThinkTags, TraceBuilder
from mi_explorer.generation.traces.answers import final_answer
from mi_explorer.limited_process import OutOfTime, processor_time
from mi_explorer.paths import ASSETS
from mi_explorer.tasks.verify import canonical, verify

CASES = Path(__file__).resolve().parents[1] / "tasks" / "cases"
VERDICTS = ("reported_verdicts", "kinds_verdicts", "examined_verdicts", "further_verdicts", "blind_verdicts")
ANSWERS = ("reported_answers", "kinds_answers", "examined_answers", "further_answers", "blind_answers")
LIMIT_S = 2.0
LOOK_EVERY = 8  # tokens after which a streaming response is looked at
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
    """Microseconds: a token of stored responses that stream in, and an answer that is read for the first time."""
    columns = pq.read_table(ASSETS / "studies" / "mini-sweep.parquet", columns=["text", "gold"]).to_pylist()
    texts = [row for row in columns if row["text"]][:6000:6]
    tokenizer = Tokenizer.from_file(str(ASSETS / "models" / "mini" / "thinking" / "tokenizer.json"))
    ids = [tokenizer.encode(row["text"], add_special_tokens=False).ids for row in texts]

    def stream() -> None:
        for row, response in zip(texts, ids, strict=True):
            builder = TraceBuilder(ThinkTags(), lambda tokens: str(tokenizer.decode(list(tokens))), row["gold"])
            for i in range(0, len(response), LOOK_EVERY):
                part = response[i : i + LOOK_EVERY]
                builder.extend(part, [0.0] * len(part))
                builder.trace()

    print(
        f"\nstreaming: {microseconds(stream, sum(map(len, ids))):.1f} µs a token, looked at every {LOOK_EVERY} tokens"
    )
    numbers = [str(n) for n in range(20_000, 23_000)]
    cases = list({str(case["answer"]): None for name in VERDICTS for case in rows(name)})
    for label, forms in (("plain numbers", numbers), ("the labelled answers", cases)):
        each = microseconds(
            lambda forms=forms: [canonical(form) for form in forms], len(forms), repeats=1
        )  # then cached
        print(f"read for the first time: {each:.1f} µs ({label}, {len(forms)})")


def microseconds(work: Callable[[], object], count: int, repeats: int = 4) -> float:
    """The least time of several, for each of `count`."""
    least = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return 1e6 * least / count


if __name__ == "__main__":
    table()
    speed()
