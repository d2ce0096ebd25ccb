"""Slow or risky checks in a process of their own, with limits that hold from any thread.

`ask(kind, gold, answer)` starts the process when first needed and keeps it; a check that runs out of time costs its process,
and the next one starts a fresh one. Symbolic algebra, IFEval's checkers and reasoning-gym's scorers
run in the child only, `mi_explorer.tasks.check_server`.
"""

import atexit
import threading

from mi_explorer.errors import UserError
from mi_explorer.limited_process import LimitedProcess

SOFT_LIMIT, LIMIT = 2.0, 3.0  # seconds of processor time: a check is interrupted, then its process is ended. Not by the
# clock, because a busy machine must not turn right answers wrong; a call into C notices only the second.
WALL_LIMIT = 20.0  # seconds by the clock, whatever it waits for
START_LIMIT = 120.0  # seconds until the child has imported what a kind needs; not counted against the check
MEMORY = 8 * 2**30  # bytes of address space for the child


class CheckUnavailable(UserError):
    """A check that cannot be made here (an extra is not installed, its data is missing): says nothing about the answer."""


_lock = threading.Lock()
child: LimitedProcess | None = None  # the one process of all checks; guarded by the lock
_ready: set[str] = set()  # kinds whose imports the child has done


def ask(kind: str, gold: str, answer: str, limit: float = WALL_LIMIT) -> bool:
    """Whether the answer is right by the child's check of this kind; one that ends badly or not in time is wrong.

    Calls from several threads take turns. Raises `CheckUnavailable` where the check itself is not available.
    """
    global child
    with _lock:
        try:
            if child is None or not child.ours:
                child = LimitedProcess("mi_explorer.tasks.check_server")
                _ready.clear()
            if kind not in _ready:
                reply = child.call({"kind": kind}, START_LIMIT)
                if "error" in reply:
                    raise CheckUnavailable(reply["error"])
                _ready.add(kind)
            reply = child.call({"kind": kind, "gold": gold, "answer": answer}, limit)
        except (TimeoutError, EOFError, ValueError) as error:
            if isinstance(error, CheckUnavailable):
                raise
            close_now()
            return False
    if "error" in reply:
        raise CheckUnavailable(reply["error"])
    return reply.get("ok") is True


def close_now() -> None:
    """End the child; the caller holds the lock."""
    global child
    if child is not None:
        child.end()
        child = None


def close() -> None:
    """End the child process, if there is one."""
    with _lock:
        close_now()


atexit.register(close)
