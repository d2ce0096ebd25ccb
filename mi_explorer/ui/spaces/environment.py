"""Whether this process runs in a Space, and what settings then are the default."""

import os
from collections.abc import Mapping
from pathlib import Path

SPACE_DATA = Path("/data")  # a Space's persistent storage, where its owner has it


def on_space(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs in a Space."""
    return bool(environment.get("SPACE_ID"))


def on_zero(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether it runs in a Space with ZeroGPU."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t", "yes")


def space_defaults(environment: Mapping[str, str] = os.environ, data: Path = SPACE_DATA) -> dict[str, str]:
    """Settings that a Space starts with: open to its proxy, and a persistent home where there is a disk for it."""
    if not on_space(environment):
        return {}
    kept = {"home": str(data / "mi-explorer")} if data.is_dir() and os.access(data, os.W_OK) else {}
    return {"host": "0.0.0.0", **kept}
