"""The embedded pair's own problems: held out from its training by structure and numbers, by family and level."""

from dataclasses import replace
from pathlib import Path

from mi_explorer.errors import unknown
from mi_explorer.tasks.task import ASSETS, Task
from mi_explorer.tasks.task_files import from_file


def load_mini(seed: int = 0, path: str | Path | None = None, part: str = "") -> Task:
    """Every held-out problem that ships with the package; no prompt suffix, the models know their format.

    `part` keeps a family (`stories`) or a level (`3`). Raises `UserError` for a part that there is not.
    """
    task = from_file(
        Path(path) if path else ASSETS / "mini.jsonl",
        name="mini",
        title="Embedded pair: held-out problems",
        licence="Apache-2.0",
    )
    if not part:
        return task
    parts = {q.family for q in task.questions} | {str(q.level) for q in task.questions}
    if part not in parts:
        raise unknown("part of the task mini", part, parts)
    return replace(task.where(lambda q: part in (q.family, str(q.level))), name=f"mini:{part}")
