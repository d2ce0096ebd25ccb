"""The engine: requests (token ids, a recipe, a decoding) come in, events (tokens with log-probabilities) go out.

One loop serves every λ, every user and every sweep. It knows token ids and coefficients; text, tasks and pages are others' work.

The life of a request:
1. `Engine.submit` puts requests into a command queue and returns an `EventStream` at once (`engine`, `stream`).
2. The engine's thread binds each recipe to the backend: coefficients per tensor (`sequence`, `backend`, `logit_blends`).
3. The sequence waits in the queue, by priority, user and recipe (`request_queue`).
4. The policy compares measured step times and decides which recipes run next, folded or row-wise (`policy`, `step_times`).
5. The scheduler admits waiting sequences to free slots and forms the batch of the step (`scheduler`, `kv_cache`, `memory`).
6. Prefill reads its prompt into the cache, or copies it from a sequence with the same prompt and recipe (`batch`).
7. Decode: one forward pass a token (`native`: our decoder; `transformers`: any other model), then a draw (`sampler`).
8. Every token becomes an event; a stop id, the cap, the context, a fault or a cancellation ends the request and frees its slots.

Events import without torch; `Engine`, `ResidentPair` and `EventStream` load it when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_explorer.engine.engine import Engine
    from mi_explorer.engine.resident import ResidentPair
    from mi_explorer.engine.stream import EventStream

__all__ = ["Engine", "EventStream", "ResidentPair"]

_MODULES = {"Engine": "engine", "ResidentPair": "resident", "EventStream": "stream"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
