"""Slow or risky checks in a process of their own, with limits that hold from any thread.

`ask(kind, gold, answer)` starts the process when first needed and keeps it; a check that runs out of time costs its process,
and the next one starts a fresh one. Parent and child exchange one JSON object a line, nothing else; symbolic algebra, IFEval's
checkers and reasoning-gym's scorers run in the child only. `python -m mi_explorer.tasks.judge` is the child.
"""

import atexit
import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mi_explorer.errors import UserError

SOFT_LIMIT, LIMIT = 2.0, 3.0  # seconds of processor time: a check is interrupted, then its process is ended. Not by the
# clock, because a busy machine must not turn right answers wrong; a call into C notices only the second.
WALL_LIMIT = 20.0  # seconds by the clock, whatever it waits for
START_LIMIT = 120.0  # seconds until the child has imported what a kind needs; not counted against the check
MEMORY = 8 * 2**30  # bytes of address space for the child


class JudgeError(UserError):
    """A check that cannot be made here (an extra is not installed, its data is missing): says nothing about the answer."""


class _Child:
    """The running process and a thread that reads its lines."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
            "PYTHONHASHSEED": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mi_explorer.tasks.judge"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8", env=env,
        )  # fmt: skip
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ready: set[str] = set()
        threading.Thread(target=self._read, name="judge-reader", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")  # the child has ended

    def call(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """The child's answer; `TimeoutError` after `limit` seconds, `EOFError` if it died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=limit)
        except queue.Empty:
            raise TimeoutError from None
        except OSError:
            raise EOFError from None
        if not line:
            raise EOFError
        return dict(json.loads(line))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


_lock = threading.Lock()
_child: _Child | None = None


def ask(kind: str, gold: str, answer: str, limit: float = WALL_LIMIT) -> bool:
    """Whether the answer is right by the child's check of this kind; one that ends badly or not in time is wrong.

    Calls from several threads take turns. Raises `JudgeError` where the check itself is not available.
    """
    global _child
    with _lock:
        try:
            if _child is None:
                _child = _Child()
            if kind not in _child.ready:
                reply = _child.call({"kind": kind}, START_LIMIT)
                if "error" in reply:
                    raise JudgeError(reply["error"])
                _child.ready.add(kind)
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
        from math_verify import parse, verify

        logging.disable(logging.WARNING)  # it warns at every call that its own timeouts, by the clock, are off

        def math(gold: str, answer: str) -> bool:
            golds, answers = (
                parse(t if "$" in t or "\\boxed" in t else f"${t}$", parsing_timeout=None) for t in (gold, answer)
            )
            return bool(golds and answers and verify(golds, answers, timeout_seconds=None))

        math("\\frac{1}{2}x+1", "\\sqrt{2}")  # the first parse builds its tables, which is not part of any check
        return math
    if kind in ("ifeval", "ifeval_loose"):
        from mi_explorer.tasks.ifeval import checker

        return checker(loose=kind == "ifeval_loose")
    if kind == "reasoning_gym":
        from mi_explorer.tasks.gym import checker as gym_checker

        return gym_checker()
    raise UserError(f"There is no check of the kind {kind!r}.")


class _OutOfTime(BaseException):
    """Raised into a check that has used up its time; no `except Exception` of a checker may swallow it."""


def _interrupt(*_: object) -> None:
    raise _OutOfTime


@contextlib.contextmanager
def _timed(on: bool) -> Iterator[None]:
    """Interrupt the block at the soft limit of processor time; at the hard one the system ends this process."""
    if not on or not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    signal.setitimer(signal.ITIMER_PROF, SOFT_LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    """The child's loop: requests on standard input, one reply each on what was standard output."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what checkers print must not look like a reply
    checks: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        kind = request["kind"]
        reply: dict[str, Any]
        try:
            if kind not in checks:
                checks[kind] = _prepare(kind)
            with _timed("gold" in request):
                reply = {"ok": "gold" not in request or bool(checks[kind](request["gold"], request["answer"]))}
        except (UserError, ImportError) as error:
            reply = {
                "error": str(error)
                if isinstance(error, UserError)
                else f"The check {kind!r} needs a package that is not here: {error}."
            }
        except (Exception, _OutOfTime):  # noqa: BLE001 - whatever an answer does to a checker, it is not right
            reply = {"ok": False}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
