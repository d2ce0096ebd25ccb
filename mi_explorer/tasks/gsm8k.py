"""GSM8K (2110.14168): grade-school word problems; the answer is the number after `####`."""

from pathlib import Path

from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import BOXED, Question, Task, TaskError

SOURCE = BenchmarkSource("openai/gsm8k", "test", ("question", "answer"), "MIT", config="main")


def load_gsm8k(seed: int = 0, path: str | Path | None = None) -> Task:
    """The 1,319 test problems."""
    questions = []
    for i, row in enumerate(SOURCE.rows(path)):
        _, mark, answer = str(row["answer"]).rpartition("####")
        if not mark:
            raise TaskError(f"Row {i + 1} of {path or SOURCE.id} has no answer after '####'.")
        questions.append(
            Question(f"gsm8k-{i}", str(row["question"]).strip(), answer.strip().replace(",", ""), kind="number")
        )
    return Task("gsm8k", tuple(questions), BOXED, SOURCE.licence, SOURCE.id, title="GSM8K")
