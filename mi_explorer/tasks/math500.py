"""MATH-500: competition mathematics in seven subjects and five levels; answers are LaTeX, compared symbolically."""

from pathlib import Path

from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import BOXED, Question, Task

SOURCE = BenchmarkSource(
    "HuggingFaceH4/MATH-500",
    "test",
    ("problem", "answer", "level"),
    "not stated on its card; its source, PRM800K, is MIT",
)


def load_math500(seed: int = 0, path: str | Path | None = None) -> Task:
    """The 500 problems, by subject (family) and level 1-5."""
    questions = tuple(
        Question(
            str(row.get("unique_id") or f"math500-{i}"), str(row["problem"]).strip(), str(row["answer"]).strip(),
            str(row.get("subject") or ""), _level(row["level"]), kind="math",
        )
        for i, row in enumerate(SOURCE.rows(path))
    )  # fmt: skip
    return Task("math500", questions, BOXED, SOURCE.licence, SOURCE.id, title="MATH-500")


def _level(value: object) -> int:
    """1 to 5; 0 where it is not known ("Level ?")."""
    last = str(value).split()[-1:]
    return int(last[0]) if last and last[0].isdigit() else 0
