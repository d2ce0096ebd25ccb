"""The workbench of a page whose tensors live in the GPU's worker process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe
from mi_explorer.ui.spaces.gpu_engine import SpaceEngine
from mi_explorer.ui.spaces.gpu_work import GpuJob, GpuOutput, gpu_error, gpu_work
from mi_explorer.workbench import Workbench, parent_folders

if TYPE_CHECKING:
    import torch

    from mi_explorer.generation.scores import Scores


class SpaceBench(Workbench):
    """Use `SpaceBench.open_space`."""

    engine: SpaceEngine

    @classmethod
    def open_space(
        cls,
        pair: str | Pair,
        device: str = "cuda",
        dtype: "str | torch.dtype | None" = None,
        home: str | Path | None = None,
        rows: int | None = None,
        work: Callable[[GpuJob], Iterator[GpuOutput]] = gpu_work,
    ) -> "SpaceBench":
        """Configs, headers and tokenizer of a pair; no weight is read and no GPU touched here. Raises `UserError`."""
        import torch

        from mi_explorer.checkpoints.preflight import preflight
        from mi_explorer.engine import ResidentPair
        from mi_explorer.engine.backends import DEFAULT_CONTEXT
        from mi_explorer.engine.dtype_choice import choose_dtype
        from mi_explorer.engine.logit_blends import logit_parts
        from mi_explorer.merging.blend import bind
        from mi_explorer.pairs import get_pair
        from mi_explorer.prompts import Prompts
        from mi_explorer.studies.store.store import Store
        from mi_explorer.workbench import WorkbenchError

        pair = get_pair(pair)
        found = preflight(pair)
        if found.obstacles:
            raise WorkbenchError(found.obstacles)
        light = ResidentPair.load(pair, device="cpu", dtype=dtype or torch.float32)
        parents = light.parents
        kind = str(choose_dtype(dtype, device, parents)).removeprefix("torch.")
        job = GpuJob(
            "stream",
            pair,
            device,
            kind,
            light.weight_bytes // light.dtype.itemsize * getattr(torch, kind).itemsize,
            rows,
        )
        context = min(light.max_positions, DEFAULT_CONTEXT)
        folders = parent_folders(pair, parents)

        def check(recipe: Recipe) -> None:
            for part, _ in logit_parts(recipe):
                bind(part, parents)

        engine = SpaceEngine(job, context, work)
        return cls(
            pair,
            engine,
            Prompts.load(folders, pair, context),
            resident=light,
            layers=parents.layers,
            store=lambda: Store.open(home),
            dtype=kind,
            device=device,
            check_recipe=check,
            folders=folders,
        )

    def score(self, snapshot: Snapshot) -> "Scores":
        """Per-token scores, made by the GPU's worker."""
        if not snapshot.ids:
            return super().score(snapshot)  # says what is missing
        job = replace(self.engine.job, kind="score", recipe=snapshot.recipe, trace=(snapshot.prompt_ids, snapshot.ids))
        try:
            return cast("Scores", next(iter(self.engine.work(job))))
        except UserError:
            raise
        except Exception as error:
            raise gpu_error(error) from None
