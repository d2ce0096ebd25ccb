"""Problems about time: days of the week, and clock times."""

import random

from mi_explorer.mini.problem import Problem

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def clock(minutes: int) -> str:
    return f"{minutes // 60 % 24}:{minutes % 60:02d}"


def time(rng: random.Random, level: int) -> Problem:
    """Clock times and days of the week; the answer is a time such as 11:15 or a day."""
    return days(rng, level) if level <= 3 else hours_and_minutes(rng, level)


def days(rng: random.Random, level: int) -> Problem:
    """The day of the week some days ahead: the weeks are taken off, the rest is counted."""
    day, ahead = rng.randrange(7), rng.randint(2, 30 if level < 3 else 60)
    weeks, rest = divmod(ahead, 7)
    answer = DAYS[(day + ahead) % 7]
    count = ", ".join(DAYS[(day + i) % 7] for i in range(1, rest + 1))
    whole = (
        (f"{ahead} days are {weeks} weeks and {rest} days.", f"After the weeks it is {DAYS[day]} again.")
        if weeks
        else ()
    )
    lines = (*whole, f"{rest} more: {count}." if rest else f"So it is {answer}.")
    ask = rng.choice(
        (
            f"Today is {DAYS[day]}. What day is it in {ahead} days?",
            f"It is {DAYS[day]}. Which day comes {ahead} days later?",
        )
    )
    return Problem(
        "time",
        len(lines),
        ask,
        answer,
        f"day {day} + {ahead}",
        f"{ahead} days after {DAYS[day]} it is {answer}",
        "which day it is",
        lines=lines,
        proof=f"{weeks} * 7 + {rest} = {ahead}.",
    )


def hours_and_minutes(rng: random.Random, level: int) -> Problem:
    """The end of one or two spans of time, hours before minutes."""
    what = rng.choice(("A film", "A train ride", "A lesson", "A concert", "A game"))
    begin = now = rng.randint(6 * 12, 16 * 12) * 5
    lines: list[str] = []
    parts: list[str] = []
    for i in range(1 if level < 6 else 2):
        hours, minutes = rng.randint(0 if i else 1, 3), rng.randint(1, 11) * 5
        span = (
            f"{hours} hours and {minutes} minutes"
            if hours > 1
            else f"1 hour and {minutes} minutes"
            if hours
            else f"{minutes} minutes"
        )
        parts.append(span)
        if hours:
            lines.append(f"{clock(now)} plus {hours} {'hours' if hours > 1 else 'hour'} is {clock(now + 60 * hours)}.")
            now += 60 * hours
        lines.append(f"{clock(now)} plus {minutes} minutes is {clock(now + minutes)}.")
        now += minutes
    text = f"{what} starts at {clock(begin)} and lasts {parts[0]}."
    if len(parts) > 1:
        text += f" Then the way home takes {parts[1]}."
    ask = "When does it end?" if len(parts) == 1 else "When is one home?"
    return Problem(
        "time",
        len(lines),
        f"{text} {ask}",
        clock(now),
        f"clock {begin} + {parts}",
        f"{clock(begin)} plus {' plus '.join(parts)} is {clock(now)}",
        "at what time it is over",
        lines=tuple(lines),
        proof=f"From {clock(begin)} to {clock(now)} it is {now - begin} minutes.",
    )
