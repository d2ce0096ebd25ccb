"""The problems of the pair that speaks: answers against a computation of their own, splits that share nothing, thoughts that end right."""

import random
import re
from itertools import pairwise

import pytest

from mi_explorer.smollm2.chat_documents import KINDS
from mi_explorer.smollm2.everyday import CHECKED, TRAINED, mentions_accepted
from mi_explorer.smollm2.responses import response
from mi_explorer.smollm2.word_problem import problems_of
from mi_explorer.smollm2.word_problems import DAYS, GROUPS
from mi_explorer.tasks.verify import verify

CENTS = {"nickels": 5, "dimes": 10, "quarters": 25, "pennies": 1}
SIZES = {"weeks": 7, "days": 24, "hours": 60, "years": 12, "dozens": 12, "yards": 3, "feet": 12}


def numbers(text):
    return [int(n) for n in re.findall(r"\d+", text)]


def quoted(text):
    return re.findall(r'"(\w+)"', text)


def listed(question):
    return re.split(r", ", question.rstrip("?.").split(": ")[-1])


def by_size(question):
    people = re.findall(r"(\w+) is \w+ than (\w+)", question)
    above = {a for a, _ in people}
    below = {b for _, b in people}
    top = (above - below).pop()
    bottom = (below - above).pop()
    return top if re.search(r"oldest|tallest|fastest", question) else bottom


def story(question):
    total = numbers(question)[0]
    for verb, n in re.findall(r"(gives away|loses|sells|finds|gets|buys) (\d+)", question):
        total += int(n) if verb in ("finds", "gets", "buys") else -int(n)
    return total


def clock(question):
    hour, minute, later = numbers(question)
    total = hour * 60 + minute + later
    return f"{total // 60}:{total % 60:02d}"


def ordinal(question):
    words = ("first", "second", "third", "fourth", "fifth", "sixth")
    return quoted(question)[0][words.index(re.search(r"(?:the|comes) (\w+) (?:letter|in)", question)[1])]


def unit(question):
    n, more = numbers(question)
    large = re.search(r"\d+ (\w+) and", question)[1]
    return n * SIZES[large] + more if large != "feet" or "inches" in question else n * 3 + more


SOLVED = {
    "sums": lambda q: sum(numbers(q)),
    "differences": lambda q: abs(numbers(q)[0] - numbers(q)[1]),
    "shopping": lambda q: numbers(q)[0] * numbers(q)[1] + numbers(q)[2] * numbers(q)[3],
    "stories": story,
    "units": unit,
    "sequences": lambda q: 2 * numbers(q)[-1] - numbers(q)[-2],
    "coins": lambda q: sum(int(n) * CENTS[name] for n, name in re.findall(r"(\d+) (\w+?s)\b", q) if name in CENTS),
    "multiples": lambda q: next(n for n in numbers(q)[1:] if n % numbers(q)[0] == 0),
    "remainders": lambda q: numbers(q)[0] % numbers(q)[1],
    "clock": clock,
    "order": lambda q: (max if "largest" in q else min)(numbers(q)),
    "weekdays": lambda q: DAYS[(DAYS.index(re.search("|".join(DAYS), q)[0]) + numbers(q)[0]) % 7],
    "letters": lambda q: quoted(q)[1].count(quoted(q)[0]),
    "length": lambda q: len(quoted(q)[0]),
    "backwards": lambda q: "".join(reversed(quoted(q)[0])),
    "positions": ordinal,
    "alphabet": lambda q: sorted(listed(q))[0],
    "groups": lambda q: len(set(listed(q)) & set(next(words for name, words in GROUPS.items() if name in q))),
    "older": by_size,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_what_another_computation_gives(kind):
    rng = random.Random(f"answers {kind}")
    for _ in range(300):
        problem = KINDS[kind](rng)
        assert problem.answer == str(SOLVED[kind](problem.question)), problem.question


@pytest.mark.parametrize("kind", KINDS)
def test_every_equation_of_a_solution_holds_and_the_thought_ends_in_the_answer(kind):
    rng = random.Random(f"steps {kind}")
    for _ in range(200):
        problem = KINDS[kind](rng)
        pieces = response(problem, rng)
        learned = "".join(text for text, learn in pieces if learn)
        for left, right in re.findall(r"(\d+(?: [-+*/] \d+)+) = (\d+)", learned):
            assert eval(left) == int(right), (problem.question, left, right)  # noqa: S307 (numbers and operators)
        text = "".join(text for text, _ in pieces)
        thought, answer = text.removeprefix("<think>").split("</think>")
        assert answer == f"\n\nThe answer is {problem.answer}." and verify(problem.answer, problem.answer, "auto")
        assert thought.startswith("\n") and "<think>" not in thought


def test_held_out_problems_share_no_key_with_training():
    rng = random.Random(0)
    found = {split: problems_of(KINDS, split, 190, rng) for split in ("train", "dev", "test")}
    keys = {split: {(p.kind, p.key) for p in problems} for split, problems in found.items()}
    for one, other in pairwise(("train", "dev", "test", "train")):
        assert not keys[one] & keys[other]
    assert all(len(problems) == 190 == len(keys[split]) for split, problems in found.items())
    again = problems_of(KINDS, "test", 190, random.Random(7))
    assert {p.split for p in again} == {"test"}


def test_checked_everyday_questions_are_never_trained_on():
    assert len(CHECKED) >= 100 and not {q.question for q in CHECKED} & {q.question for q in TRAINED}
    assert mentions_accepted("It is Paris, of course.", ("Paris",)) and not mentions_accepted("It is Lyon.", ("Paris",))
    assert mentions_accepted("A dog barks.", ("bark", "woof")) and not mentions_accepted("An embarkment.", ("bark",))
