"""The tasks of our own pairs: problems held out from their training by structure and numbers, by family (and level)."""

from dataclasses import replace
from pathlib import Path

from mi_explorer.errors import unknown
from mi_explorer.tasks.task import ASSETS, Task
from mi_explorer.tasks.task_files import from_file


def load_mini(seed: int = 0, path: str | Path | None = None, part: str = "") -> Task:
    """Every held-out problem of the embedded pair; no prompt suffix, the models know their format.

    `part` keeps a family (`stories`) or a level (`3`). Raises `UserError` for a part that there is not.
    """
    return _held_out("mini", "Embedded pair: held-out problems", path, part)


def load_smollm2(seed: int = 0, path: str | Path | None = None, part: str = "") -> Task:
    """Held-out problems of the pair `smollm2`, in everyday words. `part` keeps a family (`weekdays`)."""
    return _held_out("smollm2", "SmolLM2: held-out problems in everyday words", path, part)


def _held_out(name: str, title: str, path: str | Path | None, part: str) -> Task:
    task = from_file(Path(path) if path else ASSETS / f"{name}.jsonl", name=name, title=title, licence="Apache-2.0")
    if not part:
        return task
    parts = {text for q in task.questions for text in (q.family, str(q.level)) if text and text != "None"}
    if part not in parts:
        raise unknown(f"part of the task {name}", part, parts)
    return replace(task.where(lambda q: part in (q.family, str(q.level))), name=f"{name}:{part}")
