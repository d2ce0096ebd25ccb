"""The families where thought is needed: the answer is found by trying, and a worked solution can only state a guess."""

import random

from mi_explorer.mini.problem import Problem, Redraw

FACTOR = 25  # the largest number of a pair


def pairs(rng: random.Random, level: int) -> Problem:
    """Two numbers from their product and their sum or difference; trials go up from the smaller number's lowest value."""
    x = rng.randint(2, 5 + min(level, 7))
    y = rng.randint(x, FACTOR)
    s, d, p = x + y, y - x, x * y
    apart = rng.random() < 0.5
    if s > 34 or (apart and d == 0):
        raise Redraw

    def trial(a: int) -> str:
        b = a + d if apart else s - a
        return f"Try {a} and {b}: {a} * {b} = {a * b}, we need {p}, {'yes' if a * b == p else 'no'}."

    low, last = (1, x + 2) if apart else (max(1, s - FACTOR), min(x + 2, s // 2))
    trials = tuple(trial(a) for a in range(low, x + 1))
    others = tuple(trial(a) for a in range(x + 1, last + 1))
    larger = rng.random() < 0.5
    which = "larger" if larger else "smaller"
    ask = rng.choice(
        (
            f"One number is {d} larger than another and their product is {p}. What is the {which} number?",
            f"Two numbers differ by {d} and their product is {p}. Find the {which} one.",
        )
        if apart
        else (
            f"Two numbers add up to {s} and their product is {p}. What is the {which} number?",
            f"The sum of two numbers is {s} and their product is {p}. Find the {which} one.",
        )
    )
    proof = f"{x} + {d} = {y} and {x} * {y} = {p}." if apart else f"{x} + {y} = {s} and {x} * {y} = {p}."
    return Problem(
        "pairs",
        len(trials),
        ask,
        str(y if larger else x),
        f"{d} apart {p}" if apart else f"{s} {p}",
        f"the numbers are {x} and {y}",
        f"for the {which} number",
        trials=trials,
        others=others,
        proof=proof,
    )


GROUPS = (("adults", "children"), ("adults", "pupils"), ("grown-ups", "kids"))


def tickets(rng: random.Random, level: int) -> Problem:
    """How many of a group pay the high price; trials go up from 1."""
    high_name, low_name = rng.choice(GROUPS)
    low = rng.randint(2, 7)
    high = low + rng.randint(2, 6)
    people = rng.randint(4, 6 + min(level, 6))
    n = rng.randint(1, min(people - 1, 2 + level, 7))
    total = n * high + (people - n) * low

    def trial(k: int) -> str:
        cost = k * high + (people - k) * low
        sums = f"{k} * {high} + {people - k} * {low} = {k * high} + {(people - k) * low} = {cost}"
        return f"Try {k}: {sums}, we need {total}, {'yes' if cost == total else 'no'}."

    trials = tuple(trial(k) for k in range(1, n + 1))
    others = (trial(n + 1),) if n + 1 < people else ()
    ask = (
        f"Tickets cost {high} dollars for {high_name} and {low} dollars for {low_name}. {people} people pay {total} dollars. "
        f"How many {high_name} are there?"
    )
    proof = f"{n * high} + {(people - n) * low} = {total}, and {n} + {people - n} = {people}."
    return Problem(
        "tickets",
        len(trials),
        ask,
        str(n),
        f"{low} {high} {people} {total}",
        f"there are {n} {high_name}",
        f"how many {high_name}",
        trials=trials,
        others=others,
        proof=proof,
    )


def remainders(rng: random.Random, level: int) -> Problem:
    """The smallest number above a bound with two given remainders; trials walk through the larger divisor's class."""
    m, n = rng.choice(
        [(m, n) for m in (2, 3, 4, 5, 6) for n in (5, 7, 8, 9, 10) if m < n and all(m % d or n % d for d in (2, 3, 5))]
    )
    if level < 4 and m > 4:
        raise Redraw
    bound = rng.randint(2, 12 * level)
    a, b = rng.randrange(m), rng.randrange(1, n)
    first = next(c for c in range(bound + 1, bound + n + 1) if c % n == b)

    def trial(c: int) -> str:
        return (
            f"Try {c}: {c} = {c // m} * {m} + {c % m}, it leaves {c % m}, we need {a}, {'yes' if c % m == a else 'no'}."
        )

    hit = next(c for c in range(first, first + n * m, n) if c % m == a)
    trials = tuple(trial(c) for c in range(first, hit + 1, n))
    ask = f"What is the smallest number above {bound} that leaves {b} when divided by {n} and {a} when divided by {m}?"
    proof = f"{hit} = {hit // n} * {n} + {b} and {hit} = {hit // m} * {m} + {a}."
    return Problem(
        "remainders",
        len(trials),
        ask,
        str(hit),
        f"{bound} {m} {a} {n} {b}",
        f"the number is {hit}",
        "for the smallest number",
        trials=trials,
        others=(trial(hit + n),),
        proof=proof,
    )
