"""The tasks by name: an explicit dict, one entry a benchmark."""

from collections.abc import Callable

from mi_explorer.errors import unknown
from mi_explorer.tasks import mini
from mi_explorer.tasks.common import Task

TASKS: dict[str, Callable[[int], Task]] = {"mini": mini.load}


def names() -> tuple[str, ...]:
    """Every task that `load_task` knows by name."""
    return tuple(TASKS)


def find(name: str, seed: int) -> Task:
    """The whole task of that name; `seed` shuffles options where a benchmark asks for it."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name](seed)
