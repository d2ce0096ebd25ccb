"""AIME 2025: thirty competition problems whose answers are integers from 0 to 999."""

from pathlib import Path

from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import BOXED, Question, Task

SOURCE = BenchmarkSource(
    "math-ai/aime25", "test", ("problem", "answer"), "as its card says; the problems are those of the MAA"
)


def load_aime25(seed: int = 0, path: str | Path | None = None) -> Task:
    """All thirty problems."""
    questions = tuple(
        Question(f"aime25-{row.get('id', i)}", str(row["problem"]).strip(), str(row["answer"]).strip(), kind="math")
        for i, row in enumerate(SOURCE.rows(path))
    )
    return Task("aime25", questions, BOXED, SOURCE.licence, SOURCE.id, title="AIME'25")
