"""Problems without a story: the next number of a sequence, a quantity in another unit."""

import random

from mi_explorer.mini.computed_problems import finish
from mi_explorer.mini.problem import Problem, SolutionStep


def sequences(rng: random.Random, level: int) -> Problem:
    """The next number: constant, growing or alternating differences, doubling, or a far term: 3-5 steps."""
    kind = rng.choice(
        ("constant", "falling", "growing", "doubling") if level < 5 else ("growing", "far", "alternating", "constant")
    )
    start, d = rng.randint(1, 60), rng.randint(2, 25)
    if kind in ("constant", "falling"):
        d = -d if kind == "falling" else d
        start += 4 * abs(d) if d < 0 else 0
        shown = [start + i * d for i in range(4)]
        op, size = ("+", d) if d > 0 else ("-", -d)
        pair = (2, 1, 3, 2) if d > 0 else (1, 2, 2, 3)
        steps = [
            SolutionStep(shown[pair[0]], "-", shown[pair[1]], "{}."),
            SolutionStep(shown[pair[2]], "-", shown[pair[3]], "{}, the same step."),
            SolutionStep(shown[3], op, size, "The next one is {}."),
        ]
        short = f"{shown[3]} {op} {size}"
    elif kind == "growing":
        e = rng.randint(1, 6)
        shown = [start + i * d + e * i * (i - 1) // 2 for i in range(4)]
        steps = [
            SolutionStep(shown[2], "-", shown[1], "{}."),
            SolutionStep(shown[3], "-", shown[2], "{}, another step."),
            SolutionStep("r1", "-", "r0", "The step grows by {}."),
            SolutionStep("r1", "+", "r2", "The next step is {}."),
            SolutionStep(shown[3], "+", "r3", "The next one is {}."),
        ]
        short = f"{shown[3]} + {shown[3] - shown[2] + e}"
    elif kind == "doubling":
        start = rng.randint(1, 25)
        shown = [start * 2**i for i in range(4)]
        steps = [
            SolutionStep(shown[2], "-", shown[1], "{}."),
            SolutionStep(shown[3], "-", shown[2], "{}, so it doubles."),
            SolutionStep(shown[3], "*", 2, "The next one is {}."),
        ]
        short = f"{shown[3]} * 2"
    elif kind == "far":
        d, n = rng.randint(2, 12), rng.randint(6, 12)
        shown = [start + i * d for i in range(3)]
        steps = [
            SolutionStep(shown[2], "-", shown[1], "The step is {}."),
            SolutionStep(n - 1, "*", "r0", f"Up to number {n} there are {n - 1} steps: {{}}."),
            SolutionStep(start, "+", "r1", "So it is {}."),
        ]
        text = f"A row of numbers begins {', '.join(map(str, shown))}. What is number {n} in the row?"
        return finish("sequences", text, steps, f"{start} + {n - 1} * {d}", f"for number {n}")
    else:
        e = rng.randint(2, 20)
        shown = [start, start + d, start + d + e, start + 2 * d + e, start + 2 * d + 2 * e]
        steps = [
            SolutionStep(shown[1], "-", shown[0], "{}."),
            SolutionStep(shown[2], "-", shown[1], "{}."),
            SolutionStep(shown[3], "-", shown[2], "{}, so the steps take turns."),
            SolutionStep(shown[4], "+", "r0", "The next one is {}."),
        ]
        short = f"{shown[4]} + {d}"
    listed = ", ".join(map(str, shown))
    ask = rng.choice((f"What comes next: {listed}?", f"Which number comes next? {listed}"))
    return finish("sequences", ask, steps, short, "for the next number", key=listed)


UNITS = (
    ("hours", "minutes", 60, 9),
    ("weeks", "days", 7, 40),
    ("meters", "centimeters", 100, 8),
    ("dozens", "pieces", 12, 30),
    ("feet", "inches", 12, 30),
    ("days", "hours", 24, 9),
)


def unit_conversion(rng: random.Random, level: int) -> Problem:
    """A mixed quantity in its small unit, perhaps with a part taken away or several of them: 2-4 steps."""
    big, small, factor, most = rng.choice(UNITS)
    n, rest = rng.randint(2, most), rng.randint(1, factor - 1)
    steps = [
        SolutionStep(n, "*", factor, f"{n} {big} are {{}} {small}."),
        SolutionStep("r0", "+", rest, f"With the rest it is {{}} {small}."),
    ]
    short = f"{n} * {factor} + {rest}"
    if level <= 3:
        return finish("units", f"How many {small} are {n} {big} and {rest} {small}?", steps, short, f"how many {small}")
    part = rng.randint(2, min(99, n * factor + rest - 1))
    steps.append(SolutionStep("r1", "-", part, f"Without the part it is {{}} {small}."))
    short = f"{short} - {part}"
    text = f"From {n} {big} and {rest} {small} we take away {part} {small}."
    if level > 6:
        more = rng.randint(2, 99)
        steps.append(SolutionStep("r2", "+", more, f"With the new part it is {{}} {small}."))
        text, short = f"{text} Then we add {more} {small}.", f"{short} + {more}"
    return finish("units", f"{text} How many {small} is that?", steps, short, f"how many {small}")
