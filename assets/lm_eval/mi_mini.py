"""What mi_mini.yaml names: its documents, and how an answer is judged."""

from datasets import Dataset

from mi_explorer.harness import score_answers as score
from mi_explorer.tasks import load_task

__all__ = ["documents", "score"]


def documents(**_):
    """Every question of the task `mini`, in its own order."""
    task = load_task("mini")
    rows = [{"id": q.id, "question": task.prompt(q), "answer": q.gold, "kind": q.kind, "family": q.family} for q in task.questions]
    return {"test": Dataset.from_list(rows)}
