"""Which workers a study has, as a value, and the crew that it means."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mi_explorer.cluster.crew import Crew
from mi_explorer.cluster.foreign_process import PACKAGE_ROOT, ForeignLauncher, python_path
from mi_explorer.cluster.links import Launcher
from mi_explorer.cluster.own_worker import OwnWorkerEngine
from mi_explorer.cluster.process_worker import ProcessLauncher
from mi_explorer.cluster.ray_worker import RayLauncher
from mi_explorer.cluster.vllm_worker import VllmWorkerEngine, check_methods
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.errors import UserError
from mi_explorer.studies.plan import Cell

ENGINES = ("own", "vllm")
VLLM_PYTHON = "MI_EXPLORER_VLLM_PYTHON"  # a variable: the interpreter with vLLM


class StaffingError(UserError):
    """Workers that cannot be had."""


@dataclass(frozen=True)
class Staff:
    """Who makes the samples. `workers`: how many (None: as many as the cluster has room for; on this machine one). `ray`: a cluster's
    address, or "" for processes of this machine. `engine`: one of `ENGINES`. `python`: the interpreter with vLLM ("": where
    `make vllm-env` puts it). `timeout`: seconds a worker may make no token. `device`: as on the command line."""

    workers: int | None = None
    ray: str = ""
    engine: str = "own"
    python: str = ""
    timeout: float = 600.0
    device: str = "cpu"

    @property
    def any(self) -> bool:
        """Whether workers make the samples, and not an engine of this process."""
        return self.workers is not None or bool(self.ray) or self.engine != "own"


def open_crew(staff: Staff, setup: Callable[[str], EngineSetup]) -> Crew:
    """The crew; the caller closes it. `setup(pair)` is what each of its workers loads. Raises a `UserError` where there can be none."""
    workers = staff.workers if staff.ray else staff.workers or 1
    return Crew(_launcher(staff), workers, setup, staff.timeout, lambda cells: check_cells(staff, cells))


def check_cells(staff: Staff, cells: Sequence[Cell]) -> None:
    """Raise a `UserError` for a cell that no worker of this kind could run, before one is started."""
    if staff.engine == "vllm":
        check_methods(cells)


def _launcher(staff: Staff) -> Launcher:
    cuda = staff.device.startswith("cuda")
    if staff.engine == "own":
        if staff.ray:
            return RayLauncher(OwnWorkerEngine, staff.ray, gpus=1 if cuda else 0)
        return ProcessLauncher(OwnWorkerEngine, staff.workers or 1, cards() if staff.device == "cuda" else ())
    python = vllm_python(staff)
    if staff.ray:
        env = {"PYTHONPATH": python_path()}
        return RayLauncher(VllmWorkerEngine, staff.ray, gpus=1 if cuda else 0, python=python, env=env)
    if not Path(python).exists():
        raise StaffingError(
            f"There is no interpreter with vLLM at {python}. 'make vllm-env' makes one; --vllm-python (or {VLLM_PYTHON}) names another."
        )
    devices = () if not cuda else cards() if staff.device == "cuda" else (staff.device,)
    return ForeignLauncher(VllmWorkerEngine, staff.workers or 1, python, devices)


def vllm_python(staff: Staff) -> str:
    """The interpreter with vLLM, on every machine of a cluster."""
    return staff.python or os.environ.get(VLLM_PYTHON) or str(PACKAGE_ROOT / ".venv-vllm" / "bin" / "python")


def cards() -> tuple[str, ...]:
    """The CUDA devices of this machine by name."""
    import torch

    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))
