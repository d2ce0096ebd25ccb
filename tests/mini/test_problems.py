"""Problems: right answers, a clean split, the same stream for the same seed."""

import ast
import random
import re
from itertools import islice

import pytest

from mi_explorer.mini.families import FAMILIES, SEARCH, distinct_problems, problem_stream
from mi_explorer.mini.problem import LIMIT, SolutionStep, step_values
from mi_explorer.mini.render import Style, applicable, facts, plant, redo, render_solution, short, thought, worked
from mi_explorer.mini.tokenizer import train_tokenizer


def sample(count: int, split=None, seed: int = 5):
    return list(islice(problem_stream(seed, split), count))


def arithmetic(text: str) -> int:
    """Value of an expression with + - * / and brackets, by Python's own parser (exact division only)."""

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Constant):
            return node.value
        assert isinstance(node, ast.BinOp)
        a, b = value(node.left), value(node.right)
        match node.op:
            case ast.Add():
                return a + b
            case ast.Sub():
                return a - b
            case ast.Mult():
                return a * b
        assert a % b == 0
        return a // b

    return value(ast.parse(text, mode="eval").body)


def test_one_line_expression_has_the_answer_as_its_value():
    checked = 0
    for p in sample(3000):
        if p.steps:
            expression, result = p.short.rsplit(" = ", 1)
            assert arithmetic(expression) == int(result) == int(p.answer), p
            checked += 1
    assert checked > 1500


def test_every_equation_of_every_text_is_true():
    rng = random.Random(0)
    seen = 0
    for p in sample(1500):
        for text in (worked(p), thought(p, 3, rng), facts(rng, 5)):
            flat = "".join(t for t, _ in text)
            for chain in re.findall(r"\d[\d +*/-]*(?: = [\d +*/-]*\d)+", flat):
                assert len({arithmetic(part) for part in chain.split(" = ")}) == 1, (chain, flat)
                seen += 1
    assert seen > 8000


@pytest.mark.parametrize("family", SEARCH)
def test_search_answers_fulfil_the_question_by_brute_force(family):
    for p in [q for q in sample(6000) if q.family == family][:200]:
        numbers = [int(n) for n in re.findall(r"\d+", p.question)]
        if family == "pairs":
            given, product = numbers
            apart = "larger than" in p.question or "differ by" in p.question
            found = [
                (a, b)
                for b in range(1, 100)
                for a in range(1, b + 1)
                if (b - a if apart else a + b) == given and a * b == product
            ]
            assert len(found) == 1
            assert int(p.answer) == found[0]["the larger" in p.question]
        elif family == "tickets":
            high, low, people, total = numbers
            assert [k for k in range(people + 1) if k * high + (people - k) * low == total] == [int(p.answer)]
        else:
            bound, b, n, a, m = numbers
            assert next(c for c in range(bound + 1, 10_000) if c % n == b and c % m == a) == int(p.answer)


def test_days_and_clocks_by_the_standard_library():
    from datetime import datetime, timedelta

    seen = {"day": 0, "clock": 0}
    for p in [q for q in sample(4000) if q.family == "time"]:
        if ":" in p.answer:
            begin = datetime(2024, 1, 1, *map(int, re.search(r"(\d+):(\d+)", p.question).groups()))
            hours = sum(int(h) for h in re.findall(r"(\d+) hour", p.question))
            minutes = sum(int(m) for m in re.findall(r"(\d+) minutes", p.question))
            end = begin + timedelta(hours=hours, minutes=minutes)
            assert p.answer == f"{end.hour}:{end.minute:02d}"
            seen["clock"] += 1
        else:
            monday = datetime(2024, 1, 1)
            day = next(d for d in range(7) if (monday + timedelta(d)).strftime("%A") in p.question)
            ahead = int(re.search(r"(\d+) days", p.question)[1])
            assert p.answer == (monday + timedelta(day + ahead)).strftime("%A")
            seen["day"] += 1
    assert min(seen.values()) > 50


def test_splits_share_no_key_and_wording_does_not_move_a_problem():
    keys: dict[str, set[str]] = {"train": set(), "dev": set(), "test": set()}
    for p in sample(20_000):
        keys[p.split].add(f"{p.family}|{p.key}")
    assert not keys["train"] & keys["dev"] and not keys["train"] & keys["test"] and not keys["dev"] & keys["test"]
    assert 0.07 < len(keys["test"]) / sum(map(len, keys.values())) < 0.13
    assert all(p.split == "test" for p in sample(300, "test"))


def test_shipped_questions_are_held_out_and_made_by_the_generator():
    import json
    from pathlib import Path

    rows = [
        json.loads(line) for line in (Path(__file__).parents[2] / "assets/tasks/mini.jsonl").read_text().splitlines()
    ]
    made = distinct_problems(2, "test", len(rows))
    assert [(r["question"], r["answer"]) for r in rows] == [(p.question, p.answer) for p in made]
    assert len(rows) >= 400 and {r["family"] for r in rows} == set(FAMILIES)
    training = {p.question for p in sample(30_000, "train", seed=0)}
    assert not training & {r["question"] for r in rows}


def test_stream_is_a_function_of_its_seed():
    assert sample(50, "dev", 9) == sample(50, "dev", 9)
    assert sample(50, "dev", 9) != sample(50, "dev", 10)


def test_numbers_stay_within_the_limit():
    for p in sample(4000):
        assert all(0 <= c <= LIMIT for _, _, c in step_values(p.steps)) and 1 <= p.level <= (12 if p.searches else 10)


def test_a_planted_slip_changes_the_first_pass_is_not_learned_and_is_mended():
    rng = random.Random(3)
    mended = 0
    for p in [q for q in sample(400) if q.steps]:
        wrong = plant(p, rng)
        if wrong is None:
            continue
        assert str(step_values(p.steps, wrong)[-1][2]) != p.answer
        assert f"not {wrong[1]}" in redo(p, wrong)
        pieces = thought(p, 0, rng, slip=True)
        assert sum(not learn for _, learn in pieces) == ("not " in "".join(t for t, _ in pieces))
        assert "".join(t for t, _ in pieces).endswith(f"The answer is {p.answer}.")
        mended += 1
    assert mended > 150


def test_styles_are_what_they_say():
    rng = random.Random(1)
    p = SolutionStep(2, "+", 3)
    assert step_values((p, SolutionStep("r0", "*", 4))) == [(2, 3, 5), (5, 4, 20)]
    for q in sample(300):
        assert short(q)[0][0].startswith("So ") and "<think>" not in worked(q)[0][0]
        assert len(applicable(q)) >= 2
        text = "".join(t for t, _ in render_solution(q, Style(0, 0, 1, (0, 0, 0, 1)), rng))
        body = text.split("</think>")[0]
        assert (
            text.startswith("<think>\n")
            and body.count("\n") == 5
            and text.endswith(f"</think>\nThe answer is {q.answer}.")
        )


def test_tokenizer_has_single_digits_and_encodes_anything():
    tokenizer = train_tokenizer([p.question for p in sample(500)])
    assert [t for t in tokenizer.encode("cost 407").tokens if t.strip("Ġ").isdigit()] == ["Ġ4", "0", "7"]
    for text in ("ž 漢字 🙂\t\x00", "<think>", "a" * 50):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
