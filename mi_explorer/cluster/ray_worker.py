"""Workers as actors of a Ray cluster that is there already. Ray is optional; without it everything else works.

An actor lives as long as its driver. Whoever may submit to a cluster may run any code on it: a cluster is trusted as a whole.
"""

import contextlib
import socket
from collections.abc import Iterator, Sequence

from mi_explorer.cluster.dashboard import dashboard_link
from mi_explorer.cluster.links import MakeEngine, Reply, WorkerLink, WorkerLost, answer
from mi_explorer.cluster.worker_engine import WorkerEngine
from mi_explorer.errors import UserError
from mi_explorer.machine import own_process
from mi_explorer.untyped import JsonObject, LibraryObject

REACH_S = 10.0  # seconds to reach the head of a cluster
HOW_TO_GET = (
    "Ray is not installed here. 'pip install \"mi-explorer[ray]\"' brings it (the same version as on the cluster)."
)


class ClusterError(UserError):
    """Ray is missing, or the cluster cannot be reached."""


class WorkerActor:
    """The actor: an engine behind one method."""

    def __init__(self, make: MakeEngine) -> None:
        own_process()
        self.engine: WorkerEngine = make()

    def handle(self, method: str, args: tuple[object, ...]) -> Reply:
        return answer(self.engine, method, args)


def import_ray() -> LibraryObject:
    """The library; raises `ClusterError` with how to get it."""
    try:
        import ray
    except ImportError:
        raise ClusterError(HOW_TO_GET) from None
    return ray


def _reach(address: str) -> None:
    """Raise an `OSError` if nobody listens at HOST:PORT: Ray itself would ask again for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), REACH_S).close()


@contextlib.contextmanager
def _faults(ray: LibraryObject) -> Iterator[None]:
    """Ray's errors as a loss of the worker."""
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError) as error:
        first = str(error).strip().splitlines()
        raise WorkerLost(f"{type(error).__name__}: {first[0][:200] if first else ''}") from None


class RayLink:
    """A worker as an actor."""

    def __init__(self, ray: LibraryObject, actor: LibraryObject) -> None:
        self.ray, self.actor = ray, actor
        self.answer: LibraryObject = None  # a reference to the answer on its way

    def call(self, method: str, *args: object) -> None:
        with _faults(self.ray):
            self.answer = self.actor.handle.remote(method, args)

    def take(self) -> Reply | None:
        with _faults(self.ray):
            ready, _ = self.ray.wait([self.answer], timeout=0)
            if not ready:
                return None
            reply = self.ray.get(ready[0])
        assert isinstance(reply, Reply)
        return reply

    def kill(self) -> None:
        with contextlib.suppress(Exception):  # it is gone already, or the cluster is
            self.ray.kill(self.actor, no_restart=True)
        self.answer = None


class RayLauncher:
    """Starts actors on the cluster at `address` ("auto": the one this machine belongs to), each with a GPU or `cores` cores.

    `python` is the interpreter of the workers where it is not this one (an engine in an environment of its own); `env` is set in them.
    """

    patient = True  # an actor waits until the cluster has room: a node may come later

    def __init__(
        self,
        make: MakeEngine,
        address: str,
        *,
        gpus: float = 0,
        cores: float = 1,
        python: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        self.ray = ray = import_ray()
        self.make, self.gpus, self.cores = make, gpus, cores
        try:
            _reach(address)
            context = ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            why = (str(error).strip().splitlines() or [""])[0][:200]
            raise ClusterError(
                f"There is no Ray cluster at {address[:100]!r} ({why}). 'ray start --head' begins one; 'ray status' shows it."
            ) from None
        self.dashboard = dashboard_link(getattr(context, "dashboard_url", ""))
        runtime: JsonObject = {"env_vars": dict(env or {})}
        if python:
            runtime["py_executable"] = python
        self._actor = ray.remote(WorkerActor).options(
            num_cpus=cores, num_gpus=gpus, max_restarts=0, runtime_env=runtime if python or env else None
        )

    def start(self, index: int) -> RayLink:
        return RayLink(self.ray, self._actor.remote(self.make))

    def wait(self, links: Sequence[WorkerLink], seconds: float) -> None:
        answers = [link.answer for link in links if isinstance(link, RayLink) and link.answer is not None]
        if answers:
            with contextlib.suppress(self.ray.exceptions.RayError):  # told by the link whose answer it is
                self.ray.wait(answers, num_returns=1, timeout=seconds)

    def capacity(self) -> int | None:
        try:
            found = self.ray.cluster_resources()
        except Exception as error:  # Ray's own kinds differ by version
            raise ClusterError(
                f"The connection to the Ray cluster is lost ({type(error).__name__}). What was finished is saved; run the same "
                "command again to go on."
            ) from None
        return int(found.get("GPU", 0) // self.gpus if self.gpus else found.get("CPU", 0) // max(self.cores, 0.1))

    def close(self) -> None:
        if self.ray.is_initialized():
            self.ray.shutdown()
