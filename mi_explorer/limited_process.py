"""A helper process for work that outside content steers: symbolic algebra on answers, chat templates of a checkpoint.

Parent and child exchange one JSON object a line, nothing else. The parent limits the time by the clock (`LimitedProcess.call`),
the child its memory (`serve`) and its processor time (`processor_time`); what breaks a limit costs that process alone.
"""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from mi_explorer.untyped import JsonObject


class LimitedProcess:
    """`python -m module` as a child, and a thread that reads its lines."""

    def __init__(self, module: str) -> None:
        root = str(Path(__file__).resolve().parents[1])
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
            "PYTHONHASHSEED": "0",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8", env=env,
        )  # fmt: skip
        self.owner = os.getpid()
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"{module}-reader", daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")  # the child has ended

    @property
    def ours(self) -> bool:
        """Whether this process started it: in a fork of that one nobody reads its lines."""
        return self.owner == os.getpid()

    def call(self, request: JsonObject, limit: float) -> JsonObject:
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
        """End the child; in a fork of its parent only forget it."""
        if not self.ours:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


class SharedProcess:
    """The one child of this process for a module: started when it is first needed, and anew where it is gone; ends with the program."""

    def __init__(self, module: str) -> None:
        self.module, self.child, self._lock = module, cast("LimitedProcess | None", None), threading.Lock()
        atexit.register(self.close)

    @contextlib.contextmanager
    def turn(self) -> Iterator[LimitedProcess]:
        """The child for one caller at a time; one that was too slow, died or answered what is no JSON is ended."""
        with self._lock:
            if self.child is None or not self.child.ours:
                self.child = LimitedProcess(self.module)
            try:
                yield self.child
            except (TimeoutError, EOFError, ValueError):
                self._end()
                raise

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.end()


class OutOfTime(BaseException):
    """Raised into work that has used up its time; no `except Exception` of a library may swallow it."""


def _interrupt(*_: object) -> None:
    raise OutOfTime


@contextlib.contextmanager
def processor_time(soft: float, hard: float) -> Iterator[None]:
    """In the child: `OutOfTime` after `soft` seconds of processor time; after `hard` ones the system ends the process.

    Not by the clock, because a busy machine must not change an outcome; a call into C notices only the second limit.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, hard)
    signal.setitimer(signal.ITIMER_PROF, soft)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def serve(answer: Callable[[JsonObject], JsonObject], memory: int) -> None:
    """In the child: answer requests from standard input until it ends, within `memory` bytes of address space."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the work prints must not look like a reply
    for line in sys.stdin:
        replies.write(json.dumps(answer(json.loads(line))) + "\n")
        replies.flush()
