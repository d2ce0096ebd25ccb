"""Tasks: questions with known answers and verifiers. They know text and answers, no models."""

from mi_explorer.tasks.registry import load_task
from mi_explorer.tasks.task import Question, Task, TaskError
from mi_explorer.tasks.verify import verify

__all__ = ["Question", "Task", "TaskError", "load_task", "verify"]
