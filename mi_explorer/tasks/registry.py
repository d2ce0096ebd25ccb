"""The tasks by name: an explicit dict, one entry a benchmark. To add one, write its file with a `load` and name it here."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mi_explorer.errors import unknown
from mi_explorer.tasks import aime25, gpqa, gsm8k, gym, ifeval, math500, mini
from mi_explorer.tasks.rows import ENDINGS
from mi_explorer.tasks.task import Task, TaskError, choose
from mi_explorer.tasks.task_files import from_file

TASKS: dict[str, Callable[..., Task]] = {
    "mini": mini.load_mini,
    "smollm2": mini.load_smollm2,
    "gsm8k": gsm8k.load_gsm8k,
    "math500": math500.load_math500,
    "aime25": aime25.load_aime25,
    "gpqa": gpqa.load_gpqa,
    "ifeval": ifeval.load_ifeval,
    "ifeval-loose": partial(ifeval.load_ifeval, loose=True),
    "reasoning_gym": gym.load_frozen,
}

SPLITS = {
    "mini": "test",
    "smollm2": "test",
    "gsm8k": gsm8k.SOURCE.split,
    "math500": math500.SOURCE.split,
    "aime25": aime25.SOURCE.split,
    "gpqa": gpqa.SOURCE.split,
    "ifeval": ifeval.SOURCE.split,
    "ifeval-loose": ifeval.SOURCE.split,
}
HUB = (
    "gsm8k",
    "math500",
    "aime25",
    "gpqa",
    "ifeval",
    "ifeval-loose",
)  # fetched from the hub unless a local file is given


def needs_hub(name: str) -> bool:
    """Whether this task is fetched from the hub."""
    return name in HUB


def names() -> tuple[str, ...]:
    """Every task that `load_task` knows by name; `reasoning_gym:NAME` is any task of that package besides."""
    return tuple(TASKS)


def split_of(name: str) -> str | None:
    """The split of its data set that a task asks; None for a file of one's own or generated questions."""
    return SPLITS.get(name.partition(":")[0].partition("@")[0])


def find(name: str, seed: int, limit: int | None = None) -> Task:
    """The task `NAME`, `NAME@PATH` (its rows from a local file) or `reasoning_gym:NAME` or `mini:PART`, with all its questions.

    `seed` shuffles options and draws generated items; `limit` says how many to generate where they are generated.
    """
    if name.startswith(gym.PREFIX):
        return gym.load_generated(name.removeprefix(gym.PREFIX), seed, limit)
    family, colon, part = name.partition(":")
    if colon and family in ("mini", "smollm2"):
        return TASKS[family](seed, part=part)
    name, at, path = name.partition("@")
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    if at and not path:
        raise TaskError(f"Write {name}@PATH with the file that holds the data set.")
    return TASKS[name](seed, path) if at else TASKS[name](seed)


def load_task(name: str | Path, limit: int | None = None, seed: int = 0) -> Task:
    """The task of that name (see `names()`), a user's file (see `rows.ENDINGS`), `NAME@PATH`, or `reasoning_gym:NAME`.

    `limit` questions are drawn by `seed`. Raises `TaskError` where it cannot be had, with the id, the licence and the way.
    """
    text = str(name)
    path = Path(text)
    if path.suffix.lower() in ENDINGS and "@" not in text:
        task = from_file(path)
    else:
        task = find(text, seed, limit)
    return replace(task, questions=choose(task.questions, limit, seed))
