"""What the program promises to others, written down once: the keys of its JSON. And how a test reads a sentence: by its figures."""

import re

CELL_KEYS = {
    "lambda",
    "mean",
    "mean_ci",
    "pass",
    "vote",
    "tokens",
    "think_ratio",
    "truncated",
    "overthinking",
    "questions",
    "samples",
}


def numbers_in(text: str) -> list[float]:
    """The numbers of a sentence, in order: what it says, however it is worded."""
    return [float(x.replace(",", "")) for x in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]
