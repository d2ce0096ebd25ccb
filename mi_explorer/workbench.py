"""Workbench: a resident pair, its engine and the store; what the page, the command line and the tests hold.

    with Workbench.open("mini") as bench:
        for snapshots in bench.stream([GenerationRequest("a", "What is 3 + 4?", Recipe(lam=0.4), gold="7")]):
            ...                                     # at most 12 tuples a second, each with what changed

Opening loads the weights of both parents; everything that configs can tell is refused before that, as a `UserError`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from mi_explorer.checkpoints import fingerprint as identity
from mi_explorer.engine.events import INTERACTIVE
from mi_explorer.errors import UserError
from mi_explorer.generation.generate import TextGenerator
from mi_explorer.generation.request_engine import RequestEngine
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.generation.steering import Steering
from mi_explorer.generation.traces import ThinkTags
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Recipe
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import JsonObject, Tokenizer

if TYPE_CHECKING:
    import torch

    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.engine import ResidentPair
    from mi_explorer.generation.scores import Scores


class WorkbenchError(UserError):
    """A pair that cannot be opened, or a workbench that is closed."""


class WorkbenchEngine(RequestEngine, Protocol):
    """An engine as a workbench holds it: ours, the one behind a Space's door, or a script of the tests."""

    def close(self) -> None:
        """End what runs and release the pair."""
        ...


def parent_folders(pair: Pair, parents: "Parents") -> list[str]:
    """Where the files of a pair's parents lie: instruct, thinking and, where there is one, base."""
    parts = ((parents.instruct, pair.instruct), (parents.thinking, pair.thinking), (parents.base, pair.base))
    return [str(getattr(part, "path", named)) for part, named in parts if named]


class Workbench:
    """Use `Workbench.open`; the constructor takes ready parts (tests give a scripted engine and a byte tokenizer)."""

    def __init__(
        self,
        pair: Pair,
        engine: WorkbenchEngine,
        prompts: Prompts,
        *,
        resident: "ResidentPair | None" = None,
        layers: int | None = None,
        store: Store | Callable[[], Store] | None = None,
        dtype: str = "float32",
        device: str = "cpu",
        check_recipe: Callable[[Recipe], None] | None = None,
        fingerprint: str | None = None,
        folders: Sequence[str] = (),
        memory_context: int | None = None,
    ) -> None:
        self.pair, self.engine, self.prompts, self.resident, self.layers = pair, engine, prompts, resident, layers
        self.dtype, self.device = dtype, device
        opening, closing = prompts.tags
        self.tags = ThinkTags(opening, closing, prompts.tag_id(opening), prompts.tag_id(closing))
        self.generator = TextGenerator(
            engine,
            prompts,
            self.tags,
            pair=pair.name,
            layers=layers,
            check_recipe=check_recipe,
            memory_context=memory_context,
        )
        self._store = store
        self._fingerprint, self._folders = fingerprint, folders
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls,
        pair: str | Pair = "mini",
        *,
        device: str = "cpu",
        dtype: "torch.dtype | str | None" = None,
        home: str | Path | None = None,
        max_rows: int | None = None,
        max_context: int | None = None,
        report: Callable[[str, int, int], None] | None = None,
    ) -> "Workbench":
        """Load a pair by preset name, spec or `Pair`; raises `UserError` for an unknown, missing or broken one.

        With `report` it returns when the weights are read and the step times known, and tells how far that is: `report(phase, done,
        total)` with the phases "check", "open", "read" (tensors), "bind" and "measure" (steps), from several threads. Without, the
        engine goes on reading behind the scenes, and the first request waits for it.
        """
        from mi_explorer.checkpoints.preflight import preflight
        from mi_explorer.engine import Engine, ResidentPair
        from mi_explorer.engine.logit_blends import logit_parts
        from mi_explorer.merging.blend import bind

        pair = get_pair(pair) if isinstance(pair, str) else pair
        tell = report or (lambda *_: None)
        tell("check", 0, 0)
        found = preflight(pair)  # configs and headers alone: a hub pair is refused before its download
        if found.obstacles:
            raise WorkbenchError(found.obstacles)
        tell("open", 0, 0)
        resident = ResidentPair.load(pair, device=device, dtype=dtype)
        limits: JsonObject = {"max_rows": max_rows, "max_context": max_context}
        engine = Engine(resident, report=report, **{k: v for k, v in limits.items() if v is not None})
        parents = resident.parents
        folders = parent_folders(pair, parents)
        try:
            prompts = Prompts.load(folders, pair, engine.status().context)
            if report is not None:
                engine.wait()
        except BaseException:
            engine.close()
            raise

        def check(recipe: Recipe) -> None:
            for part, _ in logit_parts(recipe):
                bind(part, parents)  # unknown method, parameter out of range, no base, layers that do not exist

        return cls(
            pair,
            engine,
            prompts,
            resident=resident,
            layers=parents.layers,
            store=lambda: Store.open(home),
            dtype=str(resident.dtype).removeprefix("torch."),
            device=str(device),
            check_recipe=check,
            folders=folders,
            memory_context=engine.memory.context if engine.memory.context < engine.memory.wanted else None,
        )

    @property
    def tokenizer(self) -> Tokenizer:
        return self.prompts.tokenizer

    @property
    def store(self) -> Store:
        """The store of the home folder, opened at first use."""
        with self._lock:
            if callable(self._store):
                self._store = self._store()
            if self._store is None:
                raise WorkbenchError("This workbench was made without a store.")
            return self._store

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the pair's files: what the keys of stored samples hold of the weights."""
        with self._lock:
            if self._fingerprint is None:
                self._fingerprint = identity.fingerprint(self._folders)
            return self._fingerprint

    def check(self, recipe: Recipe) -> None:
        """Raise a `UserError` for a recipe that this pair cannot run (other pair, layers that do not exist, no base)."""
        self.generator.check(recipe)

    def stream(
        self,
        requests: Sequence[GenerationRequest],
        *,
        priority: int = INTERACTIVE,
        stop: threading.Event | None = None,
        hz: float = 12,
        heartbeat: float | None = None,
        steering: Steering | None = None,
    ) -> Iterator[tuple[Snapshot, ...]]:
        """Run requests together and watch them; see `TextGenerator.stream`."""
        if self._closed:
            raise WorkbenchError("This workbench is closed.")
        return self.generator.stream(
            requests, priority=priority, stop=stop, hz=hz, heartbeat=heartbeat, steering=steering
        )

    def score(self, snapshot: Snapshot) -> "Scores":
        """Per-token scores of a finished snapshot for the lenses: both endpoints and the blend, teacher-forced."""
        from mi_explorer.generation.scores import score, score_changed

        if self.resident is None:
            raise WorkbenchError("The weights of this pair are not at hand.")
        if not snapshot.ids:
            raise WorkbenchError("There are no tokens to score yet; wait for the trace to end.")
        if len(snapshot.lambdas) > 1:
            return score_changed(self.resident, snapshot.recipe, snapshot.lambdas, snapshot.prompt_ids, snapshot.ids)
        return score(self.resident, snapshot.recipe.for_thought, snapshot.prompt_ids, snapshot.ids)

    def close(self) -> None:
        """Stop the engine and release the pair; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.generator.close()
        self.engine.close()
        if isinstance(self._store, Store):
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
