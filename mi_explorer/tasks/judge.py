"""Slow or risky checks in a process of their own, with limits that hold from any thread.

`ask(kind, gold, answer)` starts the process when first needed and keeps it; a check that runs out of time costs its process,
and the next one starts a fresh one. Symbolic algebra, IFEval's checkers and reasoning-gym's scorers run in the child only. `python -m mi_explorer.tasks.judge` is the child.
"""

import atexit
import logging
import threading
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.limited_process import LimitedProcess, OutOfTime, processor_time, serve

SOFT_LIMIT, LIMIT = 2.0, 3.0  # seconds of processor time: a check is interrupted, then its process is ended. Not by the
# clock, because a busy machine must not turn right answers wrong; a call into C notices only the second.
WALL_LIMIT = 20.0  # seconds by the clock, whatever it waits for
START_LIMIT = 120.0  # seconds until the child has imported what a kind needs; not counted against the check
MEMORY = 8 * 2**30  # bytes of address space for the child


class JudgeError(UserError):
    """A check that cannot be made here (an extra is not installed, its data is missing): says nothing about the answer."""


_lock = threading.Lock()
_child: LimitedProcess | None = None
_ready: set[str] = set()  # kinds whose imports the child has done


def ask(kind: str, gold: str, answer: str, limit: float = WALL_LIMIT) -> bool:
    """Whether the answer is right by the child's check of this kind; one that ends badly or not in time is wrong.

    Calls from several threads take turns. Raises `JudgeError` where the check itself is not available.
    """
    global _child
    with _lock:
        try:
            if _child is None or not _child.ours:
                _child = LimitedProcess("mi_explorer.tasks.judge")
                _ready.clear()
            if kind not in _ready:
                reply = _child.call({"kind": kind}, START_LIMIT)
                if "error" in reply:
                    raise JudgeError(reply["error"])
                _ready.add(kind)
            reply = _child.call({"kind": kind, "gold": gold, "answer": answer}, limit)
        except (TimeoutError, EOFError, ValueError) as error:
            if isinstance(error, JudgeError):
                raise
            close_now()
            return False
    if "error" in reply:
        raise JudgeError(reply["error"])
    return reply.get("ok") is True


def close_now() -> None:
    """End the child; the caller holds the lock."""
    global _child
    if _child is not None:
        _child.end()
        _child = None


def close() -> None:
    """End the child process, if there is one."""
    with _lock:
        close_now()


atexit.register(close)


def _prepare(kind: str) -> Any:
    """In the child: the function (gold, answer) -> bool for this kind, with everything it needs imported."""
    if kind == "math":
        from mi_explorer.tasks.symbolic import same_texts

        same_texts("\\frac{1}{2}x+1", "\\sqrt{2}")  # what the first use imports is not part of any check
        return same_texts
    if kind == "latex":
        from math_verify import parse, verify

        logging.disable(logging.WARNING)  # it warns at every call that its own timeouts, by the clock, are off

        def latex(gold: str, answer: str) -> bool:
            golds, answers = (
                parse(t if "$" in t or "\\boxed" in t else f"${t}$", parsing_timeout=None) for t in (gold, answer)
            )
            return bool(golds and answers and verify(golds, answers, timeout_seconds=None))

        latex("\\frac{1}{2}x+1", "\\sqrt{2}")  # the first parse builds its tables, which is not part of any check
        return latex
    if kind in ("ifeval", "ifeval_loose"):
        from mi_explorer.tasks.ifeval import checker

        return checker(loose=kind == "ifeval_loose")
    if kind == "reasoning_gym":
        from mi_explorer.tasks.gym import checker as gym_checker

        return gym_checker()
    raise UserError(f"There is no check of the kind {kind!r}.")


def main() -> None:
    """The child: requests on standard input, one reply each on what was standard output."""
    checks: dict[str, Any] = {}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        kind = request["kind"]
        try:
            if kind not in checks:
                checks[kind] = _prepare(kind)
            if "gold" not in request:
                return {"ok": True}
            with processor_time(SOFT_LIMIT, LIMIT):
                return {"ok": bool(checks[kind](request["gold"], request["answer"]))}
        except UserError as error:
            return {"error": str(error)}
        except ImportError as error:
            return {"error": f"The check {kind!r} needs a package that is not here: {error}."}
        except (Exception, OutOfTime):  # noqa: BLE001 - whatever an answer does to a checker, it is not right
            return {"ok": False}

    serve(answer, MEMORY)


if __name__ == "__main__":
    main()
