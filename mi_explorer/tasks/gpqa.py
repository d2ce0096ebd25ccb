"""GPQA-Diamond (2311.12022): 198 graduate-level questions with four options. Gated: items never go into exports."""

import hashlib
import random
from pathlib import Path

from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import LETTER, LETTERS, Question, Task

RIGHT, WRONG = "Correct Answer", ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
SOURCE = BenchmarkSource(
    "Idavidrein/gpqa", "train", ("Question", RIGHT, *WRONG), "CC-BY-4.0, gated", config="gpqa_diamond", gated=True
)


def load_gpqa(seed: int = 0, path: str | Path | None = None) -> Task:
    """Every question, its options shuffled by (seed, question): the right letter does not depend on other questions."""
    questions = []
    for i, row in enumerate(SOURCE.rows(path)):
        id = f"gpqa-{row.get('Record ID') or i}"
        options = [str(row[column]).strip() for column in (RIGHT, *WRONG)]
        order = list(range(4))
        random.Random(hashlib.sha256(f"{seed}:{id}".encode()).digest()).shuffle(order)
        questions.append(
            Question(
                id, str(row["Question"]).strip(), LETTERS[order.index(0)], str(row.get("High-level domain") or ""),
                choices=tuple(options[j] for j in order), kind="choice",
            )
        )  # fmt: skip
    return Task("gpqa", tuple(questions), LETTER, SOURCE.licence, SOURCE.id, republish=False, title="GPQA-Diamond")
