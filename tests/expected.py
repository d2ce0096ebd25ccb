"""What the program promises to others, written down once: the keys of its JSON."""

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
