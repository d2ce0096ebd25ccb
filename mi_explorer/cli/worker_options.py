"""--workers, --ray, --worker-timeout: who makes the samples of `sweep` and `ablate`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import whole_number
from mi_explorer.cli.options import named_pair

if TYPE_CHECKING:
    from mi_explorer.cluster.crew import Crew
    from mi_explorer.cluster.links import Launcher
    from mi_explorer.cluster.worker_engine import EngineSetup


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The group of options."""
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--workers",
        type=whole_number(1, 4096),
        metavar="N",
        help="make the samples in N workers: processes of this machine (each with a card of its own under --device cuda), or actors "
        "of --ray (default there: as many as the cluster has room for, also as it grows)",
    )
    group.add_argument(
        "--ray", metavar="ADDRESS", help="an existing Ray cluster: auto (the one this machine is part of) or HOST:PORT"
    )
    group.add_argument(
        "--worker-timeout",
        type=whole_number(1, 86_400),
        default=600,
        metavar="S",
        help="a worker that makes no token for S seconds is ended and started anew (default: 600)",
    )


def has_workers(args: argparse.Namespace) -> bool:
    """Whether workers make the samples, and not an engine of this process."""
    return args.workers is not None or args.ray is not None


@contextmanager
def crew_of(args: argparse.Namespace) -> Iterator["Crew"]:
    """The crew that the options name; its workers end with it."""
    from mi_explorer.cluster.crew import Crew

    crew = Crew(launcher_of(args), args.workers, lambda pair: setup_of(args, pair), args.worker_timeout)
    try:
        yield crew
    finally:
        crew.close()


def setup_of(args: argparse.Namespace, pair: str) -> "EngineSetup":
    """What every worker loads. On a cluster "cuda" is the card that the worker was given."""
    from mi_explorer.cluster.worker_engine import EngineSetup

    return EngineSetup(named_pair(args, pair), args.device, args.dtype, args.rows, args.context)


def launcher_of(args: argparse.Namespace) -> "Launcher":
    """Processes of this machine, or actors of a cluster."""
    from mi_explorer.cluster.own_worker import OwnWorkerEngine

    if args.ray is not None:
        from mi_explorer.cluster.ray_worker import RayLauncher

        return RayLauncher(OwnWorkerEngine, args.ray, gpus=1 if args.device.startswith("cuda") else 0)
    from mi_explorer.cluster.process_worker import ProcessLauncher

    return ProcessLauncher(OwnWorkerEngine, args.workers, cards() if args.device == "cuda" else ())


def cards() -> tuple[str, ...]:
    """The CUDA devices of this machine by name."""
    import torch

    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
