"""vLLM as a worker: prompts, traces and verdicts are ours, tokens are vLLM's. Runs in an environment of its own (`make vllm-env`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mi_explorer.cluster.folded_requests import FoldedRequests
from mi_explorer.cluster.own_worker import PROOF_LAMS, OwnWorkerEngine
from mi_explorer.cluster.vllm_model import VllmError, VllmModel
from mi_explorer.cluster.worker_engine import EngineFacts, EngineSetup
from mi_explorer.engine.logit_blends import LOGIT_METHODS
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.versions import versions

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench


class VllmWorkerEngine(OwnWorkerEngine):
    """Implements `WorkerEngine`. Its cells' dtype names vLLM and its version, so that no cell mixes engines."""

    def __init__(self) -> None:
        super().__init__(self._open_vllm)

    def _open_vllm(self, setup: EngineSetup) -> "Workbench":
        bench, self._model = open_vllm(setup)
        return bench

    def load(self, setup: EngineSetup) -> EngineFacts:
        self.close()
        bench = self._bench = self._open(setup)
        proof: tuple[float, ...] = ()
        for lam in PROOF_LAMS:
            self._model.fold(Recipe(bench.pair.name, lam=lam))
            proof += self._model.proof
        version = self._model.version
        known = {**versions(), "vllm": version}
        return EngineFacts("vllm", version, bench.fingerprint, bench.dtype, bench.device, known, proof)

    def check(self, cells: Sequence[Cell]) -> None:
        check_methods(cells)
        super().check(cells)


def check_methods(cells: Sequence[Cell]) -> None:
    """Raise `VllmError` for a cell that is no blend of weights."""
    for cell in cells:
        if cell.recipe.method in LOGIT_METHODS:
            raise VllmError(
                f"The method {cell.recipe.method!r} mixes the logits of several models, and vLLM runs one at a time. Our own engine can: "
                "leave --engine out."
            )


def open_vllm(setup: EngineSetup) -> "tuple[Workbench, VllmModel]":
    """A workbench whose engine is vLLM, and the model in it."""
    from mi_explorer.checkpoints.preflight import preflight
    from mi_explorer.engine.dtype_choice import choose_dtype
    from mi_explorer.engine.resident import ResidentPair
    from mi_explorer.merging.blend import bind
    from mi_explorer.pairs import get_pair
    from mi_explorer.prompts import Prompts
    from mi_explorer.workbench import Workbench, WorkbenchError, parent_folders

    pair = get_pair(setup.pair)
    found = preflight(pair)
    if found.obstacles:
        raise WorkbenchError(found.obstacles)
    resident = ResidentPair.load(pair, "cpu", setup.dtype)
    if setup.dtype is None:
        resident.dtype = choose_dtype(None, setup.device, resident.parents)
    model = VllmModel(resident, setup.device, setup.rows, setup.context)
    folders = parent_folders(pair, resident.parents)
    dtype = str(resident.dtype).removeprefix("torch.")

    def check(recipe: Recipe) -> None:
        bind(recipe, resident.parents)

    bench = Workbench(
        pair,
        FoldedRequests(model),
        Prompts.load(folders, pair, model.context),
        layers=resident.parents.layers,
        dtype=f"{dtype} by vLLM {model.version}",
        device=setup.device,
        check_recipe=check,
        folders=folders,
        memory_context=model.context,
    )
    return bench, model
