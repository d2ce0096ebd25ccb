"""The engine: one loop for every λ, every user, every sweep. It knows token ids and coefficients, not text.

Events import without torch; `Engine`, `ResidentPair` and `score` load it when they are first asked for.
"""

from typing import Any

__all__ = ["Engine", "ResidentPair", "Stream"]

_HOMES = {"Engine": "engine", "ResidentPair": "resident", "Stream": "stream"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
