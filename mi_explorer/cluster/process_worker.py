"""Workers as processes of this machine: no Ray needed. A worker ends when its driver does, even by kill −9."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace

from mi_explorer.cluster.links import MakeEngine, Reply, WorkerLink, WorkerLost, answer
from mi_explorer.machine import own_process
from mi_explorer.untyped import Json, LibraryObject

Connection = multiprocessing.connection.Connection


class ProcessLink:
    """A worker in a process of its own."""

    def __init__(self, process: LibraryObject, connection: Connection) -> None:
        self.process, self.connection = process, connection

    def call(self, method: str, *args: object) -> None:
        try:
            self.connection.send((method, args))
        except OSError:
            raise WorkerLost(self._end()) from None

    def take(self) -> Reply | None:
        try:
            if not self.connection.poll():
                return None
            reply = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerLost(self._end()) from None
        assert isinstance(reply, Reply)
        return reply

    def kill(self) -> None:
        self.process.kill()
        self.process.join(5)
        self.connection.close()

    def _end(self) -> str:
        self.process.join(2)
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with code {code}"


class ProcessLauncher:
    """Starts workers as processes, each with its share of the cores and, on CUDA, a card of its own in turn."""

    patient = False
    dashboard = ""

    def __init__(self, make: MakeEngine, workers: int, devices: Sequence[str] = ()) -> None:
        self.make, self.devices = make, tuple(devices)
        self.threads = max(1, (os.cpu_count() or 1) // max(1, workers))
        self._links: list[ProcessLink] = []

    def start(self, index: int) -> ProcessLink:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        device = self.devices[index % len(self.devices)] if self.devices else None
        process = context.Process(
            target=run_worker, args=(theirs, self.make, self.threads, device), name=f"worker-{index}", daemon=True
        )
        process.start()
        theirs.close()
        link = ProcessLink(process, ours)
        self._links = [known for known in self._links if known.process.is_alive()] + [link]
        return link

    def wait(self, links: Sequence[WorkerLink], seconds: float) -> None:
        multiprocessing.connection.wait([link.connection for link in links if isinstance(link, ProcessLink)], seconds)

    def capacity(self) -> int | None:
        return None

    def close(self) -> None:
        for link in self._links:
            link.kill()
        self._links = []


def run_worker(connection: Connection, make: MakeEngine, threads: int, device: str | None) -> None:
    """A worker's life: answer one call after the other until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the driver, which ends us
    own_process()
    calls: queue.SimpleQueue[tuple[str, tuple[Json, ...]]] = queue.SimpleQueue()

    def read() -> None:
        while True:
            try:
                calls.put(connection.recv())
            except (EOFError, OSError):
                os._exit(0)  # at once, whatever the engine is doing: nobody waits for it any more

    threading.Thread(target=read, name="driver-reader", daemon=True).start()
    engine = make()
    while True:
        method, args = calls.get()
        if method == "load":
            args = (replace(args[0], device=device or args[0].device, threads=threads),)
        connection.send(answer(engine, method, args))
