"""λ* per block on the Weights tab: let both parents answer some questions, compute the profile in the background, draw it.

No gradio here. Like a measurement of distances, a profile belongs to the pair's files: it is made once per process, goes on when
its tab is closed, and is shown to whoever looks. Both parents are loaded a second time for it; too little memory is told first.
"""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from mi_explorer.errors import UserError
from mi_explorer.machine import gigabytes
from mi_explorer.recipe import MODULES, Decoding, Recipe
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.weights.weights_handlers import PROGRESS_INTERVAL_S, parents_of

log = logging.getLogger(__name__)
MAX_QUESTIONS = 32
RESPONSE_TOKENS = 256  # tokens of a response that are looked at
MODULE_COLOURS = {"attention": "#0072B2", "mlp": "#D55E00", "other": "#CC79A7"}


@dataclass
class ProfileJob:
    """One profile in the making: how far it is in words, then `found` (an `engine.submodule.Profile`) or `error`."""

    text: str = "Starting…"
    found: Any = None
    error: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class ProfileJobs:
    """The profiles of one process, by the files of the pair."""

    def __init__(self) -> None:
        self._made: dict[str, ProfileJob] = {}
        self._lock = threading.Lock()

    def known(self, bench: Any) -> ProfileJob | None:
        with self._lock:
            return self._made.get(parents_of(bench).id)

    def start(self, bench: Any, questions: tuple[Any, ...]) -> ProfileJob:
        """The making of this pair's profile, begun if it is not there or failed. Raises `UserError` where it cannot be made."""
        check_profile(bench, questions)
        key = parents_of(bench).id
        with self._lock:
            making = self._made.get(key)
            if making is None or making.error:
                making = self._made[key] = ProfileJob()
                threading.Thread(
                    target=_make, args=(making, bench, evenly_chosen(questions)), name="profile", daemon=True
                ).start()
            return making


def evenly_chosen(questions: tuple[Any, ...], most: int = MAX_QUESTIONS) -> tuple[Any, ...]:
    """At most so many of the questions, evenly from first to last, so that every family has its share."""
    return tuple(questions[i * len(questions) // most] for i in range(most)) if len(questions) > most else questions


def check_profile(bench: Any, questions: tuple[Any, ...]) -> None:
    """Raise a `UserError` where no profile can be made here."""
    from mi_explorer.engine.memory import available
    from mi_explorer.workbench import Workbench

    parents_of(bench)
    if type(bench) is not Workbench or bench.device == "auto":
        raise UserError("A profile needs both parents in this process, on one device; this page keeps them elsewhere.")
    if not questions:
        raise UserError("This page has no task whose questions the parents could answer. Start it with --task.")
    need, free = 2 * bench.resident.weight_bytes, available(bench.resident.device)
    if free is not None and need * 1.2 > free:
        raise UserError(
            f"A profile holds both parents in memory once more: {gigabytes(need)}, and {gigabytes(free)} are free. Use a larger machine."
        )


def _make(making: ProfileJob, bench: Any, questions: tuple[Any, ...]) -> None:
    from mi_explorer.merging.block_profile import find

    try:
        sequences = [parent_responses(making, bench, questions, lam) for lam in (0.0, 1.0)]

        def tell(done: int, total: int) -> None:
            making.text = f"Comparing blocks: {done} of {total} responses"

        making.text = "Reading both parents…"
        device, dtype = str(bench.device), bench.resident.dtype
        making.found = find(bench.resident.parents, *sequences, device=device, dtype=dtype, progress=tell)
    except UserError as error:
        making.error = str(error)
    except Exception as error:
        log.exception("A profile could not be made")
        making.error = f"The profile broke off ({type(error).__name__}). Try again; the server's log says more."
    finally:
        making.ended.set()


def parent_responses(making: ProfileJob, bench: Any, questions: tuple[Any, ...], lam: float) -> list[tuple[int, ...]]:
    """Prompt and greedy response of a parent to every question, as ids; those that failed are left out."""
    from mi_explorer.generation.generate import Ask

    who = "Thinking" if lam else "Instruct"
    recipe, decoding = Recipe(bench.pair.name, lam=lam), Decoding(temperature=0, cap=RESPONSE_TOKENS)
    ended: dict[str, Any] = {}
    for changed in bench.stream(
        [Ask(f"{i}", q.text, recipe, decoding) for i, q in enumerate(questions)], priority=1, hz=4
    ):
        ended |= {s.id: s for s in changed if s.state == "done"}
        making.text = f"{who} answers: {len(ended)} of {len(questions)} questions"
    return [(*s.prompt_ids, *s.ids) for s in ended.values() if s.ids]


def watch_profile(
    profiles: ProfileJobs, bench: Any, questions: tuple[Any, ...], asked: bool
) -> Iterator[dict[str, Any]]:
    """States `{"text", "error", "found"}` until it is made; without `asked` only what is there or in the making already."""
    state: dict[str, Any] = {"text": "", "error": "", "found": None}
    try:
        making = profiles.start(bench, questions) if asked else profiles.known(bench)
        if making is None:
            yield state
            return
        while not making.ended.wait(PROGRESS_INTERVAL_S):
            yield state | {"text": making.text}
        yield state | {"error": making.error, "found": making.found}
    except UserError as error:
        yield state | {"error": str(error)}


def profile_board(state: dict[str, Any]) -> str:
    """A state as the board's content: JSON text; `patch` is what Explore's view is set to."""
    found, patch, said = state["found"], None, ""
    if found is not None:
        recipe = found.recipe()
        patch = {
            "method": recipe.method,
            "params": dict(recipe.params),
            "lam": 1.0,
            "layers": "all",
            "modules": list(MODULES),
        }
        said = profile_sentence(found)
    return json.dumps(
        {"text": state["text"], "error": state["error"], "said": said, "patch": patch}, ensure_ascii=False
    )


def profile_sentence(found: Any) -> str:
    """The profile in a sentence: its mean, its ends, what it was made of."""
    known = [b for b in found.blocks if b.lam is not None]
    if not known:
        return "The parents' blocks put out the same on every response: there is nothing to blend."
    low, high = min(known, key=lambda b: b.lam), max(known, key=lambda b: b.lam)
    same = len(found.blocks) - len(known)
    return (
        f"Mean λ* {found.mean:.2f}; lowest {low.lam:.2f} ({low.module} of layer {low.layer}), "
        f"highest {high.lam:.2f} ({high.module} of layer {high.layer})"
        + (f"; {same} blocks are the same in both parents" if same else "")
        + f". From {found.responses} responses of each parent, {found.tokens:,} tokens, greedy, at most {RESPONSE_TOKENS} tokens each."
    )


def profile_figure(found: Any) -> str:
    """One bar per block, by layer and module, as a figure's content."""
    drawn = go.Figure()
    for module in dict.fromkeys(b.module for b in found.blocks):
        mine = [b for b in found.blocks if b.module == module and b.lam is not None]
        drawn.add_bar(
            x=[str(b.layer) for b in mine], y=[b.lam for b in mine], name="MLP" if module == "mlp" else module, marker_color=MODULE_COLOURS[module],
            customdata=[f"{module}|{b.layer}" for b in mine],
            hovertemplate=f"{module}, layer %{{x}}<br><b>λ* %{{y:.3f}}</b><br>{found.responses} responses of each parent<extra></extra>",
        )  # fmt: skip
    drawn.add_hline(y=found.mean, line={"dash": "dot", "width": 1, "color": "#767c89"})
    drawn.update_layout(
        barmode="group", yaxis={"range": [0, 1], "title": {"text": "λ*"}}, legend={"orientation": "h", "y": 1.12, "x": 0},
        xaxis={"title": {"text": "layer"}, "type": "category", "categoryorder": "array",
               "categoryarray": [str(i) for i in sorted({b.layer for b in found.blocks})]},
        margin={"l": 52, "r": 16, "t": 30, "b": 44},
    )  # fmt: skip
    columns = ["module", "layer", "λ*", "‖Δf‖² on Instruct's responses", "‖Δf‖² on Thinking's responses"]
    return figure_content(
        drawn, columns, [[b.module, b.layer, b.lam, b.instruct, b.thinking] for b in found.blocks], "submodule-profile"
    )
