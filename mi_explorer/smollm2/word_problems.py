"""Problems with words and days: weekdays, letters, length, backwards, positions, the first in the alphabet, groups, who is older."""

import random

from mi_explorer.smollm2.number_problems import NAMES
from mi_explorer.smollm2.word_problem import Draw, WordProblem

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
GROUPS = {
    "animals": (
        "dog",
        "cat",
        "horse",
        "cow",
        "sheep",
        "tiger",
        "lion",
        "bear",
        "rabbit",
        "monkey",
        "mouse",
        "wolf",
        "goat",
        "zebra",
    ),
    "fruits": (
        "apple",
        "banana",
        "pear",
        "cherry",
        "lemon",
        "orange",
        "grape",
        "peach",
        "plum",
        "mango",
        "melon",
        "kiwi",
    ),
    "colors": ("red", "green", "blue", "yellow", "purple", "brown", "black", "white", "pink", "gray"),
    "furniture": ("table", "chair", "sofa", "bed", "desk", "shelf", "bench", "stool", "cupboard", "lamp"),
    "vehicles": ("car", "bus", "train", "truck", "bicycle", "boat", "plane", "taxi", "tram", "ship"),
    "clothes": ("shirt", "hat", "coat", "dress", "sock", "shoe", "glove", "scarf", "jacket", "belt"),
}
MORE_WORDS = (
    "garden window summer winter letter school paper water bread butter cheese coffee sugar pepper house "
    "street bridge river forest mountain island valley meadow flower tree leaf branch stone sand cloud "
    "storm thunder rain snow wind morning evening night week month year minute second music piano guitar "
    "drum violin song dance movie theater museum library doctor teacher farmer baker painter singer "
    "writer driver pilot sailor soldier king queen prince castle tower church market kitchen bottle glass "
    "plate spoon knife fork basket pocket button mirror candle blanket pillow hammer needle thread ladder "
    "engine wheel rocket planet star moon sun ocean beach wave shell fish bird feather nest eagle parrot "
    "spider beetle butterfly tomato potato carrot onion pumpkin sandwich soup salad dinner lunch "
    "breakfast holiday birthday present balloon puzzle pencil eraser notebook ruler picture color number "
    "story poem secret promise friend family brother sister mother father uncle cousin neighbor village "
    "city country"
)
WORDS = (*(word for words in GROUPS.values() for word in words), *MORE_WORDS.split())


def spelled(word: str) -> str:
    return ", ".join(word)


def draw_weekdays(rng: random.Random) -> WordProblem:
    today, n = rng.choice(DAYS), rng.randint(2, 20)
    at = DAYS.index(today)
    day = DAYS[(at + n) % 7]
    question = rng.choice(
        (
            f"Today is {today}. What day of the week is it in {n} days?",
            f"If today is {today}, which day comes {n} days later?",
        )
    )
    steps: list[str] = []
    if n >= 7:
        weeks = n // 7
        whole, rest = ("week" if weeks == 1 else "weeks"), ("day" if n % 7 == 1 else "days")
        steps.append(f"{n} days are {weeks} {whole} and {n % 7} {rest}, for {weeks} * 7 = {weeks * 7}.")
        steps.append(f"After whole weeks it is {today} again.")
    counted = [f"{i + 1} {DAYS[(at + i + 1) % 7]}" for i in range(n % 7)]
    steps.append(
        f"Count on from {today}: {', '.join(counted)}." if counted else f"No day is left over, so it is {today}."
    )
    checks = (f"{n} days after {today} is {day}.", f"Counting back from {day} by {n % 7} leads to {today}.")
    return WordProblem("weekdays", question, day, f"{today}+{n}", tuple(steps), checks)


def draw_letters(rng: random.Random) -> WordProblem:
    word = rng.choice(WORDS)
    letter = rng.choice(word if rng.random() < 0.85 else "aeiourstln")
    count, looked = 0, []
    for c in word:
        count += c == letter
        looked.append(f"{c} yes, {count}" if c == letter else f"{c} no")
    question = rng.choice(
        (
            f'How many times does the letter "{letter}" appear in the word "{word}"?',
            f'How many "{letter}" are in the word "{word}"?',
        )
    )
    steps = (f"{'. '.join(looked)}.",)
    checks = (
        f"The letters are {spelled(word)}, and {count} of them {'is' if count == 1 else 'are'} {letter}.",
        f"I count {letter} once more: {count}.",
    )
    return WordProblem("letters", question, str(count), f"{letter} {word}", steps, checks)


def draw_length(rng: random.Random) -> WordProblem:
    word = rng.choice(WORDS)
    question = rng.choice(
        (f'How many letters does the word "{word}" have?', f'Count the letters of the word "{word}".')
    )
    steps = (", ".join(f"{c} {i}" for i, c in enumerate(word, 1)) + ".",)
    checks = (f"Spelled out it is {spelled(word)}.", f"The last letter is number {len(word)}.")
    return WordProblem("length", question, str(len(word)), word, steps, checks)


def draw_backwards(rng: random.Random) -> WordProblem:
    word = rng.choice([w for w in WORDS if len(w) <= 6])
    back = word[::-1]
    question = rng.choice((f'Write the word "{word}" backwards.', f'What is "{word}" spelled backwards?'))
    steps = (
        f"The letters are {spelled(word)}.",
        f"From the last to the first: {spelled(back)}.",
        f"Together that is {back}.",
    )
    checks = (f"{spelled(back)} turned around is {spelled(word)}.", f"It begins with {back[0]}, the last letter.")
    return WordProblem("backwards", question, back, word, steps, checks)


def draw_positions(rng: random.Random) -> WordProblem:
    word = rng.choice([w for w in WORDS if len(w) >= 4])
    at = rng.randrange(min(len(word), len(ORDINALS)))
    question = rng.choice(
        (f'What is the {ORDINALS[at]} letter of the word "{word}"?', f'Which letter comes {ORDINALS[at]} in "{word}"?')
    )
    steps = (", ".join(f"{i} {c}" for i, c in enumerate(word, 1)) + ".", f"Number {at + 1} is {word[at]}.")
    checks = (f"The word begins {spelled(word[: at + 1])}.", f"The {ORDINALS[at]} letter is {word[at]}.")
    return WordProblem("positions", question, word[at], f"{at} {word}", steps, checks)


def draw_alphabet(rng: random.Random) -> WordProblem:
    row: list[str] = []
    while len(row) < 4:
        word = rng.choice(WORDS)
        if word[0] not in [w[0] for w in row]:
            row.append(word)
    first = min(row)
    question = f"Which of these words comes first in the alphabet: {', '.join(row)}?"
    ranked = sorted(row)
    steps = (
        f"The first letters are {', '.join(w[0] for w in row)}.",
        f"In the order of the alphabet: {', '.join(w[0] for w in ranked)}.",
        f"The word with {first[0]} is {first}.",
    )
    checks = (f"Sorted, the words are {', '.join(ranked)}.", f"{first} begins with {first[0]}, which comes first.")
    return WordProblem("alphabet", question, first, " ".join(ranked), steps, checks)


def draw_groups(rng: random.Random) -> WordProblem:
    name, other = rng.sample(sorted(GROUPS), 2)
    n = rng.randint(1, 4)
    row = [*rng.sample(GROUPS[name], n), *rng.sample(GROUPS[other], rng.randint(1, 6 - n))]
    rng.shuffle(row)
    count, looked = 0, []
    for word in row:
        count += word in GROUPS[name]
        looked.append(f"{word} yes, {count}" if word in GROUPS[name] else f"{word} no")
    question = rng.choice(
        (f"How many of these are {name}: {', '.join(row)}?", f"Count the {name} in this list: {', '.join(row)}.")
    )
    mine = [word for word in row if word in GROUPS[name]]
    checks = (f"The {name} are {', '.join(mine)}.", f"That makes {count}.")
    return WordProblem("groups", question, str(count), f"{name}: {sorted(row)}", (f"{'. '.join(looked)}.",), checks)


def draw_older(rng: random.Random) -> WordProblem:
    word, top, bottom = rng.choice(
        (("older", "oldest", "youngest"), ("taller", "tallest", "shortest"), ("faster", "fastest", "slowest"))
    )
    people = rng.sample(NAMES, rng.choice((3, 3, 4)))
    facts = [f"{a} is {word} than {b}." for a, b in zip(people, people[1:])]
    told = rng.sample(facts, len(facts))
    asks_top = rng.random() < 0.5
    answer = people[0] if asks_top else people[-1]
    question = f"{' '.join(told)} Who is the {top if asks_top else bottom}?"
    steps = (" ".join(facts), f"So from the {top} to the {bottom}: {', '.join(people)}.")
    checks = (
        f"Nobody is {word} than {people[0]}, and {people[-1]} is {word} than nobody.",
        f"The {top if asks_top else bottom} of them is {answer}.",
    )
    return WordProblem("older", question, answer, f"{word} {people} {asks_top}", steps, checks)


WORD_KINDS: dict[str, Draw] = {
    draw.__name__.removeprefix("draw_"): draw
    for draw in (
        draw_weekdays,
        draw_letters,
        draw_length,
        draw_backwards,
        draw_positions,
        draw_alphabet,
        draw_groups,
        draw_older,
    )
}
