"""Workers as processes of another interpreter on this machine, one with an engine that ours cannot have beside its own libraries.

    python -m mi_explorer.cluster.foreign_process FD

It talks over an inherited socket, as a worker of our interpreter does over its pipe. Both interpreters are of one Python version and read
this package from one place. What a worker prints goes to a file, whose last line is told when it is lost.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import mi_explorer
from mi_explorer.cluster.links import MakeEngine
from mi_explorer.cluster.process_worker import ProcessLauncher, ProcessLink, run_worker

PACKAGE_ROOT = Path(mi_explorer.__file__).resolve().parent.parent
LAST_WORDS = 300  # characters


class ForeignProcess:
    """A `Popen` as `multiprocessing` would have it, with what it printed."""

    def __init__(self, popen: "subprocess.Popen[bytes]", printed: IO[bytes]) -> None:
        self.popen, self.printed, self.pid = popen, printed, popen.pid

    @property
    def exitcode(self) -> int | None:
        return self.popen.poll()

    def is_alive(self) -> bool:
        return self.exitcode is None

    def kill(self) -> None:
        self.popen.kill()

    def join(self, timeout: float | None = None) -> None:
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass

    def last_words(self) -> str:
        """The last line that it printed."""
        self.printed.flush()
        text = os.pread(self.printed.fileno(), 1 << 16, max(0, os.fstat(self.printed.fileno()).st_size - (1 << 16)))
        lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[-LAST_WORDS:] if lines else ""


class ForeignLink(ProcessLink):
    """A link to one."""

    def _end(self) -> str:
        said = self.process.last_words()
        return super()._end() + (f" (it said: {said})" if said and self.process.exitcode not in (0, -9) else "")


class ForeignLauncher(ProcessLauncher):
    """Starts them with `python`. On CUDA each sees one card of `devices` alone. `env` is set beside what this process has."""

    def __init__(
        self,
        make: MakeEngine,
        workers: int,
        python: str,
        devices: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(make, workers, devices)
        self.python, self.env = python, dict(env or {})

    def start(self, index: int) -> ForeignLink:
        ours, theirs = socket.socketpair()
        env = {**os.environ, **self.env, "PYTHONPATH": python_path()}
        env.setdefault("OMP_NUM_THREADS", str(self.threads))
        if self.devices:
            env["CUDA_VISIBLE_DEVICES"] = visible_card(self.devices[index % len(self.devices)])
        printed = tempfile.TemporaryFile()  # noqa: SIM115  as long as the link
        popen = subprocess.Popen(
            [self.python, "-m", "mi_explorer.cluster.foreign_process", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env=env,
        )
        theirs.close()
        link = ForeignLink(ForeignProcess(popen, printed), Connection(ours.detach()))
        link.connection.send((self.make, self.threads))
        self._links = [known for known in self._links if known.process.is_alive()] + [link]
        return link


def python_path() -> str:
    """The path on which another interpreter finds this package, and what the user's path has."""
    return os.pathsep.join(filter(None, (str(PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))


def visible_card(device: str) -> str:
    """What CUDA_VISIBLE_DEVICES is for one device, such as cuda:1, counted among those that this process sees."""
    number = int(device.rpartition(":")[2])
    seen = [card for card in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if card]
    return seen[number] if number < len(seen) else str(number)


def run_foreign() -> None:
    """The worker: the first message says which engine it makes."""
    connection = Connection(int(sys.argv[1]))
    make, threads = connection.recv()
    run_worker(connection, make, threads, None)


if __name__ == "__main__":
    run_foreign()
