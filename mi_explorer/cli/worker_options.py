"""--workers, --ray, --engine and their like: who makes the samples of a study."""

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import whole_number
from mi_explorer.cli.options import named_pair

if TYPE_CHECKING:
    from mi_explorer.cluster.crew import Crew
    from mi_explorer.cluster.staffing import Staff
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
        "--engine",
        choices=("own", "vllm"),
        default="own",
        help="what generates in a worker; vllm needs an environment of its own (make vllm-env) (default: own)",
    )
    group.add_argument(
        "--vllm-python",
        default="",
        metavar="PATH",
        help="the interpreter with vLLM, on every machine of a cluster (default: where make vllm-env puts it)",
    )
    group.add_argument(
        "--worker-timeout",
        type=whole_number(1, 86_400),
        default=600,
        metavar="S",
        help="a worker that makes no token for S seconds is ended and started anew (default: 600)",
    )


def staff_of(args: argparse.Namespace) -> "Staff":
    """The workers that the options name."""
    from mi_explorer.cluster.staffing import Staff

    return Staff(args.workers, args.ray or "", args.engine, args.vllm_python, args.worker_timeout, args.device)


def has_workers(args: argparse.Namespace) -> bool:
    """Whether workers make the samples, and not an engine of this process."""
    return args.workers is not None or args.ray is not None or args.engine != "own"


@contextmanager
def crew_of(args: argparse.Namespace) -> Iterator["Crew"]:
    """The crew that the options name; its workers end with it. SIGUSR1 adds one meanwhile, SIGUSR2 lets one go."""
    from mi_explorer.cluster.staffing import open_crew

    crew = open_crew(staff_of(args), lambda pair: setup_of(args, pair))
    try:
        with _resize_on_signals(crew):
            yield crew
    finally:
        crew.close()


@contextmanager
def _resize_on_signals(crew: "Crew") -> Iterator[None]:
    """SIGUSR1 adds a worker to the running study, SIGUSR2 lets one go once it has finished what it has in hand."""
    changes = {"SIGUSR1": 1, "SIGUSR2": -1}
    found = {getattr(signal, name): change for name, change in changes.items() if hasattr(signal, name)}
    before = {number: signal.getsignal(number) for number in found}
    for number in found:
        signal.signal(number, lambda sent, _: crew.resize(crew.wanted + found[signal.Signals(sent)]))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def setup_of(args: argparse.Namespace, pair: str) -> "EngineSetup":
    """What every worker loads. On a cluster "cuda" is the card that the worker was given."""
    from mi_explorer.cluster.worker_engine import EngineSetup

    return EngineSetup(named_pair(args, pair), args.device, args.dtype, args.rows, args.context)
