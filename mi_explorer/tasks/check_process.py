"""Slow or risky checks in a process of their own, with limits that hold from any thread.

`ask(kind, gold, answer)` starts the process when first needed and keeps it; a check that runs out of time costs its process,
and the next one starts a fresh one. Symbolic algebra, IFEval's checkers and reasoning-gym's scorers
run in the child only, `mi_explorer.tasks.check_server`.
"""

from mi_explorer.errors import UserError
from mi_explorer.limited_process import LimitedProcess, SharedProcess
from mi_explorer.untyped import JsonObject

SOFT_LIMIT, LIMIT = 2.0, 3.0  # seconds of processor time: a check is interrupted, then its process is ended. Not by the
# clock, because a busy machine must not turn right answers wrong; a call into C notices only the second.
WALL_LIMIT = 20.0  # seconds by the clock, whatever it waits for
START_LIMIT = 120.0  # seconds until the child has imported what a kind needs; not counted against the check
MEMORY = 8 * 2**30  # bytes of address space for the child


class CheckUnavailable(UserError):
    """A check that cannot be made here (an extra is not installed, its data is missing): says nothing about the answer."""


checker = SharedProcess("mi_explorer.tasks.check_server")
_ready: dict[str, LimitedProcess] = {}  # by kind: the child that has done its imports


def ask(kind: str, gold: str, answer: str, limit: float = WALL_LIMIT) -> bool:
    """Whether the answer is right by the child's check of this kind; one that ends badly or not in time is wrong.

    Calls from several threads take turns. Raises `CheckUnavailable` where the check itself is not available.
    """
    try:
        with checker.turn() as child:
            reply: JsonObject = {} if _ready.get(kind) is child else child.call({"kind": kind}, START_LIMIT)
            if "error" not in reply:
                _ready[kind] = child
                reply = child.call({"kind": kind, "gold": gold, "answer": answer}, limit)
    except (TimeoutError, EOFError, ValueError):
        return False
    if "error" in reply:
        raise CheckUnavailable(reply["error"])
    return reply.get("ok") is True
