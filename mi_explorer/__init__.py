"""MI Explorer: an interactive lab for model interpolation between an Instruct and a Thinking language model.

    import mi_explorer as mi

    recipe = mi.Recipe("mini", lam=0.8)                      # a preset, or "path/instruct|path/thinking"
    print(mi.generate("What is 14 + 3 * 6 - 9?", recipe).trace.text)

The surface is what `__all__` names: values (`Pair`, `Recipe`, `Scope`, `Decoding`, `GenerationRequest`), what comes out
(`Snapshot`, `Trace`, `Summary`), a loaded pair (`Workbench`), and functions (`get_pair`, `list_pairs`, `blend`, `generate`,
`strip`, `route`, `sweep`,
`export`; see `mi_explorer.library`). Names load when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mi_explorer.errors import UserError
    from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
    from mi_explorer.generation.traces import Trace
    from mi_explorer.library import blend, export, generate, probe, route, strip, sweep
    from mi_explorer.pairs import Pair, get_pair, list_pairs
    from mi_explorer.recipe import Decoding, Recipe, Scope
    from mi_explorer.studies.stats.summary import Summary
    from mi_explorer.workbench import Workbench

__all__ = [
    "Decoding",
    "GenerationRequest",
    "Pair",
    "Recipe",
    "Scope",
    "Snapshot",
    "Summary",
    "Trace",
    "UserError",
    "Workbench",
    "blend",
    "export",
    "generate",
    "get_pair",
    "list_pairs",
    "probe",
    "route",
    "strip",
    "sweep",
]

_HOMES = {
    "Decoding": "recipe",
    "GenerationRequest": "generation.snapshots",
    "Pair": "pairs",
    "Recipe": "recipe",
    "Scope": "recipe",
    "Snapshot": "generation.snapshots",
    "Summary": "studies.stats.summary",
    "Trace": "generation.traces",
    "UserError": "errors",
    "Workbench": "workbench",
    "blend": "library",
    "export": "library",
    "generate": "library",
    "get_pair": "pairs",
    "list_pairs": "pairs",
    "probe": "library",
    "route": "library",
    "strip": "library",
    "sweep": "library",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
