"""The embedded pair's own problems: held out from its training by structure and numbers, by family and level."""

from pathlib import Path

from mi_explorer.tasks.common import ASSETS, Task, from_file


def load(seed: int = 0, path: str | Path | None = None) -> Task:
    """Every held-out problem that ships with the package; no prompt suffix, the models know their format."""
    return from_file(Path(path) if path else ASSETS / "mini.jsonl", name="mini", title="Embedded pair: held-out problems", licence="Apache-2.0")
