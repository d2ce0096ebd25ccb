"""Problems with numbers: sums, shopping, stories, units, sequences, coins, multiples, remainders, clock, order."""

import random

from mi_explorer.smollm2.word_problem import Draw, WordProblem

NAMES = (
    "Mia",
    "Tom",
    "Ana",
    "Ben",
    "Lea",
    "Sam",
    "Zoe",
    "Max",
    "Ivy",
    "Leo",
    "Nina",
    "Paul",
    "Ruth",
    "Omar",
    "Kim",
    "Eva",
)
THINGS = (
    "marbles",
    "stickers",
    "books",
    "cards",
    "apples",
    "shells",
    "stamps",
    "pencils",
    "cookies",
    "coins",
    "flowers",
    "balloons",
)
GOODS = ("pens", "books", "cakes", "lamps", "shirts", "cups", "balls", "plants", "kites", "maps")
UNITS = (
    ("days", "weeks", 7, "A week has 7 days"),
    ("hours", "days", 24, "A day has 24 hours"),
    ("minutes", "hours", 60, "An hour has 60 minutes"),
    ("months", "years", 12, "A year has 12 months"),
    ("eggs", "dozens", 12, "A dozen is 12"),
    ("feet", "yards", 3, "A yard has 3 feet"),
    ("inches", "feet", 12, "A foot has 12 inches"),
)
COINS = (("nickels", 5), ("dimes", 10), ("quarters", 25), ("pennies", 1))


def added(a: int, b: int) -> str:
    """How two numbers are added: by tens and ones where both have them."""
    if a < 10 or b < 10 or a % 10 == 0 or b % 10 == 0:
        return f"{a} + {b} = {a + b}."
    tens, ones = a - a % 10 + b - b % 10, a % 10 + b % 10
    return f"{a - a % 10} + {b - b % 10} = {tens}. {a % 10} + {b % 10} = {ones}. {tens} + {ones} = {a + b}."


def taken(a: int, b: int) -> str:
    """How a number is taken away: its tens first, where it has them."""
    if b < 10 or b % 10 == 0:
        return f"{a} - {b} = {a - b}."
    return f"{a} - {b - b % 10} = {a - b + b % 10}. {a - b + b % 10} - {b % 10} = {a - b}."


def draw_sums(rng: random.Random) -> WordProblem:
    terms = [rng.randint(6, 89) for _ in range(rng.choice((2, 2, 3)))]
    total, steps = terms[0], []
    for term in terms[1:]:
        steps.append(added(total, term))
        total += term
    last = terms[-1]
    ask = " + ".join(map(str, terms))
    words = (f"What is {ask}?", f"Please add these numbers: {', '.join(map(str, terms))}.", f"How much is {ask}?")
    other = sorted(terms, reverse=True)
    checks = (
        f"{taken(total, last)} That is the sum of the others.",
        f"In another order: {' + '.join(map(str, other))} = {total}.",
    )
    return WordProblem("sums", rng.choice(words), str(total), ask, tuple(steps), checks)


def draw_differences(rng: random.Random) -> WordProblem:
    b = rng.randint(6, 79)
    a = b + rng.randint(4, 79)
    words = (f"What is {a} - {b}?", f"How much is {a} minus {b}?", f"If you take {b} away from {a}, what is left?")
    checks = (f"{added(a - b, b)} That is {a} again.", f"From {b} to {a} it is {a - b}.")
    return WordProblem("differences", rng.choice(words), str(a - b), f"{a}-{b}", (taken(a, b),), checks)


def draw_shopping(rng: random.Random) -> WordProblem:
    name, (one, two) = rng.choice(NAMES), rng.sample(GOODS, 2)
    n, price, m, other = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    first, second = n * price, m * other
    question = (
        f"{name} buys {n} {one} for ${price} each and {m} {two} for ${other} each. How many dollars does {name} pay?"
    )
    steps = (
        f"The {one} cost {n} * {price} = {first}.",
        f"The {two} cost {m} * {other} = {second}.",
        added(first, second),
    )
    checks = (
        f"{taken(first + second, second)} That is what the {one} cost.",
        f"{second} + {first} = {first + second}.",
    )
    return WordProblem("shopping", question, str(first + second), f"{n}*{price}+{m}*{other}", steps, checks)


def draw_stories(rng: random.Random) -> WordProblem:
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    have = start = rng.randint(10, 60)
    told, steps, key = [f"{name} has {start} {things}."], [], [str(start)]
    for _ in range(rng.choice((2, 2, 3))):
        if have > 15 and rng.random() < 0.5:
            n = rng.randint(2, have - 5)
            told.append(f"{name} {rng.choice(('gives away', 'loses', 'sells'))} {n}.")
            steps.append(taken(have, n))
            have -= n
            key.append(f"-{n}")
        else:
            n = rng.randint(3, 40)
            told.append(f"{name} {rng.choice(('finds', 'gets', 'buys'))} {n} more.")
            steps.append(added(have, n))
            have += n
            key.append(f"+{n}")
    changes = "".join(key[1:]).replace("+", " + ").replace("-", " - ")
    checks = (
        f"{start}{changes} = {have}.",
        f"The question asks how many {things} {name} has in the end, and that is {have}.",
    )
    question = f"{' '.join(told)} How many {things} does {name} have now?"
    return WordProblem("stories", question, str(have), "".join(key), tuple(steps), checks)


def draw_units(rng: random.Random) -> WordProblem:
    small, large, size, fact = rng.choice(UNITS)
    n, more = rng.randint(2, 9), rng.randint(1, size - 1)
    question = rng.choice(
        (
            f"How many {small} are {n} {large} and {more} {small}?",
            f"{n} {large} and {more} {small}: how many {small} is that?",
        )
    )
    steps = (f"{fact}.", f"{n} * {size} = {n * size}.", added(n * size, more))
    checks = (f"{taken(n * size + more, more)} {n * size} / {size} = {n}.", f"{more} + {n * size} = {n * size + more}.")
    return WordProblem("units", question, str(n * size + more), f"{n} {large} {more}", steps, checks)


def draw_sequences(rng: random.Random) -> WordProblem:
    step, n = rng.randint(2, 12), rng.choice((4, 5))
    down = rng.random() < 0.3
    start = rng.randint(1, 40) + (step * n if down else 0)
    terms = [start + (-step if down else step) * i for i in range(n + 1)]
    shown = ", ".join(map(str, terms[:n]))
    gaps = " ".join(f"{max(a, b)} - {min(a, b)} = {step}." for a, b in zip(terms[: n - 1], terms[1:n]))
    last = taken(terms[n - 1], step) if down else added(terms[n - 1], step)
    question = rng.choice(
        (
            f"What number comes next: {shown}?",
            f"Continue this list with one number: {shown}.",
            f"Find the next number: {shown}.",
        )
    )
    steps = (gaps, f"Each number is {step} {'less' if down else 'more'} than the one before.", last)
    checks = (
        f"The list is {', '.join(map(str, terms))}.",
        f"From {terms[n - 1]} to {terms[n]} it is {step}, as before.",
    )
    return WordProblem("sequences", question, str(terms[n]), shown, steps, checks)


def draw_coins(rng: random.Random) -> WordProblem:
    (one, worth), (two, other) = rng.sample(COINS, 2)
    n, m = rng.randint(2, 9), rng.randint(2, 9)
    total = n * worth + m * other
    question = rng.choice(
        (
            f"How many cents are {n} {one} and {m} {two} worth?",
            f"I have {n} {one} and {m} {two}. How many cents is that?",
        )
    )
    steps = (
        f"{n} {one} are {n} * {worth} = {n * worth} cents.",
        f"{m} {two} are {m} * {other} = {m * other} cents.",
        added(n * worth, m * other),
    )
    checks = (f"{taken(total, m * other)} That is {n} {one}.", f"{m * other} + {n * worth} = {total}.")
    return WordProblem("coins", question, str(total), f"{n} {one} {m} {two}", steps, checks)


def draw_multiples(rng: random.Random) -> WordProblem:
    of = rng.randint(3, 9)
    hit = of * rng.randint(3, 11)
    others: list[int] = []
    while len(others) < 3:
        n = rng.randint(10, 99)
        if n % of and n not in others:
            others.append(n)
    row = rng.sample([hit, *others], 4)
    looked = tuple(f"{n} = {of} * {n // of} + {n % of}, {'yes' if n == hit else 'no'}." for n in row)
    question = rng.choice(
        (
            f"Which of these numbers is a multiple of {of}: {', '.join(map(str, row))}?",
            f"Which one can be divided by {of} without a remainder: {', '.join(map(str, row))}?",
        )
    )
    checks = (f"{of} * {hit // of} = {hit}.", f"The others leave a remainder, {hit} does not.")
    return WordProblem("multiples", question, str(hit), f"{of}:{sorted(row)}", looked, checks)


def draw_remainders(rng: random.Random) -> WordProblem:
    by, times = rng.randint(3, 9), rng.randint(2, 11)
    rest = rng.randint(1, by - 1)
    n = by * times + rest
    question = rng.choice(
        (
            f"What is the remainder when {n} is divided by {by}?",
            f"{n} sweets are shared equally by {by} children. How many are left over?",
        )
    )
    steps = (
        f"{by} * {times} = {by * times}, and {by} * {times + 1} = {by * (times + 1)} is too much.",
        taken(n, by * times),
    )
    checks = (f"{by} * {times} + {rest} = {n}.", f"{rest} is less than {by}, so it is the remainder.")
    return WordProblem("remainders", question, str(rest), f"{n}%{by}", steps, checks)


def draw_clock(rng: random.Random) -> WordProblem:
    hour, minute, later = rng.randint(1, 10), rng.randint(1, 11) * 5, rng.randint(2, 11) * 5
    total = minute + later
    h, m = hour + total // 60, total % 60
    question = rng.choice(
        (
            f"It is {hour}:{minute:02d}. What time is it {later} minutes later?",
            f"A film starts at {hour}:{minute:02d} and takes {later} minutes. When does it end?",
        )
    )
    steps = [added(minute, later)]
    if total >= 60:
        steps += [f"That is an hour and more: {total} - 60 = {m}.", f"The hour goes from {hour} to {h}."]
    else:
        steps += [f"That is less than 60, so the hour stays {hour}."]
    checks = (
        f"From {hour}:{minute:02d} to {h}:{m:02d} it is {later} minutes.",
        f"{hour}:{minute:02d} plus {later} minutes is {h}:{m:02d}.",
    )
    return WordProblem("clock", question, f"{h}:{m:02d}", f"{hour}:{minute}+{later}", tuple(steps), checks)


def draw_order(rng: random.Random) -> WordProblem:
    row = rng.sample(range(11, 999), rng.choice((4, 5)))
    largest = rng.random() < 0.5
    best, steps = row[0], [f"Start with {row[0]}."]
    for n in row[1:]:
        better = n > best if largest else n < best
        steps.append(f"{n} is {'larger' if n > best else 'smaller'} than {best}{', so take it' if better else ''}.")
        best = n if better else best
    word = "largest" if largest else "smallest"
    question = rng.choice(
        (
            f"Which number is the {word}: {', '.join(map(str, row))}?",
            f"Find the {word} of these numbers: {', '.join(map(str, row))}.",
        )
    )
    ranked = sorted(row, reverse=largest)
    checks = (f"In order they are {', '.join(map(str, ranked))}.", f"{best} is the {word} of them.")
    return WordProblem("order", question, str(best), f"{word}:{sorted(row)}", tuple(steps), checks)


NUMBER_KINDS: dict[str, Draw] = {
    draw.__name__.removeprefix("draw_"): draw
    for draw in (
        draw_sums,
        draw_differences,
        draw_shopping,
        draw_stories,
        draw_units,
        draw_sequences,
        draw_coins,
        draw_multiples,
        draw_remainders,
        draw_clock,
        draw_order,
    )
}
