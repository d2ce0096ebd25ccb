"""The families of problems that are solved by computing, step by step; `search_problems` has those that are found by trial."""

import random

from mi_explorer.mini.problem import Problem, Redraw, SolutionStep, step_values, structure_key

PEOPLE = [
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Emma",
    "Felix",
    "Grace",
    "Henry",
    "Ida",
    "Jack",
    "Kate",
    "Leo",
    "Mia",
    "Noah",
    "Olga",
    "Paul",
    "Rosa",
    "Sam",
    "Tina",
    "Will",
]
THINGS = [
    "apples",
    "books",
    "coins",
    "cards",
    "shells",
    "stamps",
    "pens",
    "marbles",
    "cookies",
    "plums",
    "stickers",
    "nuts",
]
GOODS = ("pen", "book", "cake", "lamp", "cup", "hat", "ball", "kite", "map", "toy")
BOXES = ("bags", "boxes", "jars", "packs")


def finish(family: str, question: str, steps: list[SolutionStep], short: str, asks: str, key: str = "") -> Problem:
    """An arithmetic problem from its steps; the last result is the answer and completes `short`."""
    done = step_values(tuple(steps))
    answer = str(done[-1][2])
    return Problem(
        family,
        len(steps),
        question,
        answer,
        key or structure_key(tuple(steps)),
        f"{short} = {answer}",
        asks,
        tuple(steps),
    )


def stories(rng: random.Random, level: int) -> Problem:
    """Someone has things and gets, gives, doubles and shares them: 1-8 steps."""
    who, other = rng.sample(PEOPLE, 2)
    what = rng.choice(THINGS)
    start = rng.randint(5, 60 if level < 6 else 200)
    steps: list[SolutionStep] = []
    text, short, now = [f"{who} has {start} {what}."], str(start), start
    last: int | str = start
    while len(steps) < level:
        kind = rng.choice(("get", "get", "give", "give", "boxes", "give_boxes", "double", "half"))
        room = level - len(steps)
        if kind in ("boxes", "give_boxes") and room >= 2:
            n, size, box = rng.randint(2, 9), rng.randint(2, 12), rng.choice(BOXES)
            if kind == "boxes":
                text.append(
                    rng.choice(
                        (
                            f"Then {who} buys {n} {box} of {size} {what}.",
                            f"{other} brings {n} {box} with {size} {what} each.",
                        )
                    )
                )
                sign, say = "+", f"Now {who} has {{}} {what}."
            else:
                text.append(f"Then {who} gives away {n} {box} of {size} {what}.")
                sign, say = "-", f"After that {{}} {what} are left."
            steps += [
                SolutionStep(n, "*", size, f"The {box} hold {{}} {what}."),
                SolutionStep(last, sign, f"r{len(steps)}", say),
            ]
            short += f" {sign} {n} * {size}"
        elif kind == "get":
            n = rng.randint(2, 99 if level < 6 else 250)
            text.append(
                rng.choice(
                    (f"{other} gives {who} {n} more.", f"Then {who} finds {n} {what}.", f"Then {who} buys {n} more.")
                )
            )
            steps.append(SolutionStep(last, "+", n, f"Now {who} has {{}} {what}."))
            short += f" + {n}"
        elif kind == "give":
            n = rng.randint(2, max(2, min(now - 1, 99)))
            text.append(
                rng.choice((f"Then {who} gives {n} to {other}.", f"{who} loses {n} of them.", f"Then {who} sells {n}."))
            )
            steps.append(SolutionStep(last, "-", n, f"After that {{}} {what} are left."))
            short += f" - {n}"
        elif kind == "double" and 1 < now < 200:
            text.append(f"Then the number of {what} doubles.")
            steps.append(SolutionStep(last, "*", 2, "Doubled, that makes {}."))
            short = f"({short}) * 2" if " " in short else f"{short} * 2"
        elif kind == "half" and now % 2 == 0 and now > 3:
            text.append(f"Then {who} gives half of them to {other}.")
            steps.append(SolutionStep(last, "/", 2, "Half of them is {}."))
            short = f"({short}) / 2" if " " in short else f"{short} / 2"
        else:
            continue
        last, now = f"r{len(steps) - 1}", step_values(tuple(steps))[-1][2]
        if now < 1:
            raise Redraw
    text.append(rng.choice((f"How many {what} does {who} have now?", f"How many {what} does {who} have in the end?")))
    return finish("stories", " ".join(text), steps, short, f"how many {what} {who} has")


def expressions(rng: random.Random, level: int) -> Problem:
    """Sums, differences and products with precedence and at most one bracket: 1-6 steps."""
    terms = max(2, min(level, 6) // 2 + 2) if level > 1 else 2
    steps: list[SolutionStep] = []
    parts: list[tuple[str, int | str]] = []
    if level > 2 and rng.random() < 0.3:  # (a ± b) * c
        a, b, op, c = rng.randint(2, 12), rng.randint(2, 12), rng.choice("+-"), rng.randint(2, 9)
        steps += [SolutionStep(a, op, b, "The bracket is {}."), SolutionStep("r0", "*", c, "The product is {}.")]
        parts.append((f"({a} {op} {b}) * {c}", "r1"))
    while len(parts) < terms:
        if (level > 1 and rng.random() < 0.4) or (level == 1 and not parts and rng.random() < 0.3):
            a, b = rng.randint(2, 12), rng.randint(2, 20)
            steps.append(SolutionStep(a, "*", b, "The product is {}."))
            parts.append((f"{a} * {b}", f"r{len(steps) - 1}"))
            if level == 1:
                break
        else:
            n = rng.randint(2, 99 if level < 6 else 300)
            parts.append((str(n), n))
    text, last = parts[0]
    for part, ref in parts[1:]:
        op = rng.choice("+-")
        text += f" {op} {part}"
        steps.append(SolutionStep(last, op, ref, rng.choice(("Then {}.", "Next, {}."))))
        last = f"r{len(steps) - 1}"
    ask = rng.choice((f"What is {text}?", f"Calculate {text}.", f"How much is {text}?"))
    return finish("expressions", ask, steps, text, f"for {text}", key=text)


def shopping(rng: random.Random, level: int) -> Problem:
    """Several goods, a total, perhaps a voucher and the change from a note: 2-6 steps."""
    who = rng.choice(PEOPLE)
    kinds = 1 if level <= 2 else 2 if level <= 5 else 3
    steps, parts, listed = [], [], []
    total: int | str = 0
    for good in rng.sample(GOODS, kinds):
        n, price = rng.randint(2, 9), rng.randint(2, 12)
        listed.append(f"{n} {good}s at {price} dollars each")
        steps.append(SolutionStep(n, "*", price, f"The {good}s cost {{}} dollars."))
        ref = f"r{len(steps) - 1}"
        parts.append(f"{n} * {price}")
        if total:
            steps.append(SolutionStep(total, "+", ref, "Together that is {} dollars."))
            ref = f"r{len(steps) - 1}"
        total = ref
    cost, short = step_values(tuple(steps))[-1][2], " + ".join(parts)
    text = f"{who} buys {' and '.join(listed) if kinds < 3 else listed[0] + ', ' + listed[1] + ' and ' + listed[2]}."
    if level % 2 == 0 and cost > 12:
        off = rng.randint(2, 10)
        text += f" A voucher takes {off} dollars off."
        steps.append(SolutionStep(total, "-", off, "With the voucher it is {} dollars."))
        total, cost, short = f"r{len(steps) - 1}", cost - off, f"{short} - {off}"
    if rng.random() < 0.7:
        note = rng.choice([n for n in (20, 50, 100, 200, 500) if n > cost])
        steps.append(SolutionStep(note, "-", total, "The change is {} dollars."))
        short = f"{note} - ({short})" if " " in short else f"{note} - {short}"
        return finish(
            "shopping",
            f"{text} {who} pays with {note} dollars. How many dollars does {who} get back?",
            steps,
            short,
            "how much comes back",
        )
    return finish("shopping", f"{text} How many dollars does {who} pay?", steps, short, f"what {who} pays")


def comparing(rng: random.Random, level: int) -> Problem:
    """Two people, each with a small computation; how many more one has: 3-5 steps, 1 at the lowest level."""
    a, b = rng.sample(PEOPLE, 2)
    what = rng.choice(THINGS)
    steps: list[SolutionStep] = []

    def holding(who: str, hard: bool) -> tuple[str, str, int | str]:
        if level == 1:
            n = rng.randint(5, 99)
            return f"{who} has {n} {what}.", str(n), n
        n, size, extra = rng.randint(2, 9), rng.randint(2, 12), rng.randint(2, 60)
        if rng.random() < 0.5:
            box = rng.choice(BOXES)
            steps.append(SolutionStep(n, "*", size, f"{who} has {{}} {what}."))
            text, short = f"{who} has {n} {box} of {size} {what}", f"{n} * {size}"
            if hard:
                steps.append(SolutionStep(f"r{len(steps) - 1}", "+", extra, f"With the others {who} has {{}}."))
                text, short = f"{text} and {extra} more", f"{short} + {extra}"
        else:
            first, op = rng.randint(20, 99), rng.choice("+-")
            second = rng.randint(2, min(first - 2, 60))
            steps.append(SolutionStep(first, op, second, f"{who} has {{}} {what}."))
            text, short = (
                f"{who} had {first} {what} and {'got' if op == '+' else 'lost'} {second}",
                f"{first} {op} {second}",
            )
        return text + ".", short, f"r{len(steps) - 1}"

    left, right = holding(a, level > 4), holding(b, level > 6)
    done = step_values(tuple(steps)) if steps else []
    x, y = (done[int(r[1:])][2] if isinstance(r, str) else r for r in (left[2], right[2]))
    if x == y:
        raise Redraw
    more, less, big, small = (a, b, left, right) if x > y else (b, a, right, left)
    steps.append(SolutionStep(big[2], "-", small[2], f"{more} has more, by {{}}."))
    minus = f"({small[1]})" if " " in small[1] else small[1]
    ask = rng.choice(
        ("Who has more, and how many more? Give the number.", f"How many more {what} does {more} have than {less}?")
    )
    return finish("comparing", f"{left[0]} {right[0]} {ask}", steps, f"{big[1]} - {minus}", f"how many more {more} has")
