"""λ* per block on the Weights tab: let both parents answer some questions, compute the profile in the background, draw it.

No gradio here. Like a measurement of distances, a profile belongs to the pair's files: it is made once per process, goes on when
its tab is closed, and is shown to whoever looks. Both parents are loaded a second time for it; too little memory is said first.
"""

import json
from collections.abc import Callable, Iterator, Sequence

import plotly.graph_objects as go

from mi_explorer.background import BackgroundTask, BackgroundTasks, Step
from mi_explorer.engine.memory import available
from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.machine import gigabytes
from mi_explorer.merging.block_profile import BlockProfile, find_profile
from mi_explorer.recipe import MODULES, Decoding, Recipe
from mi_explorer.studies.report.palette import INSTRUCT, PURPLE, THINKING
from mi_explorer.tasks.task import Question
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.weights.weights_handlers import PROGRESS_INTERVAL_S, parents_of, resident_of
from mi_explorer.untyped import JsonObject
from mi_explorer.workbench import Workbench

MAX_QUESTIONS = 32
RESPONSE_TOKENS = 256  # of a response that are looked at
MODULE_COLOURS = {"attention": INSTRUCT, "mlp": THINKING, "other": PURPLE}
Publish = Callable[[Step], None]


class ProfileJobs:
    """The profiles of one process, by the files of the pair."""

    def __init__(self) -> None:
        self._tasks: BackgroundTasks[Step, BlockProfile] = BackgroundTasks()

    def known(self, bench: Workbench) -> BackgroundTask[Step, BlockProfile] | None:
        return self._tasks.get(parents_of(bench).id)

    def start(self, bench: Workbench, questions: Sequence[Question]) -> BackgroundTask[Step, BlockProfile]:
        """The profile of this pair, begun if it is not there or failed. Raises `UserError` where it cannot be made."""
        check_profile(bench, questions)
        chosen = evenly_chosen(questions)
        return self._tasks.start(parents_of(bench).id, "profile", lambda publish: _profile(publish, bench, chosen))


def evenly_chosen(questions: Sequence[Question], most: int = MAX_QUESTIONS) -> Sequence[Question]:
    """At most so many of the questions, evenly from first to last, so that every family has its share."""
    return tuple(questions[i * len(questions) // most] for i in range(most)) if len(questions) > most else questions


def check_profile(bench: Workbench, questions: Sequence[Question]) -> None:
    """Raise a `UserError` where no profile can be made here."""
    resident = resident_of(bench)
    if type(bench) is not Workbench or bench.device == "auto":
        raise UserError("A profile needs both parents in this process, on one device; this page keeps them elsewhere.")
    if not questions:
        raise UserError("This page has no task whose questions the parents could answer. Start it with --task.")
    need, free = 2 * resident.weight_bytes, available(resident.device)
    if free is not None and need * 1.2 > free:
        raise UserError(
            f"A profile holds both parents in memory once more: {gigabytes(need)}, and {gigabytes(free)} are free. Use a larger machine."
        )


def _profile(publish: Publish, bench: Workbench, questions: Sequence[Question]) -> BlockProfile:
    instruct, thinking = (parent_responses(publish, bench, questions, lam) for lam in (0.0, 1.0))

    def report(done: int, total: int) -> None:
        publish(Step(f"Comparing blocks: {done} of {total} responses", done, total))

    publish(Step("Reading both parents…"))
    resident = resident_of(bench)
    device = str(bench.device)
    return find_profile(resident.parents, instruct, thinking, device=device, dtype=resident.dtype, progress=report)


def parent_responses(
    publish: Publish, bench: Workbench, questions: Sequence[Question], lam: float
) -> list[tuple[int, ...]]:
    """Prompt and greedy response of a parent to every question, as ids; those that failed are left out."""
    who = "Thinking" if lam else "Instruct"
    recipe, decoding = Recipe(bench.pair.name, lam=lam), Decoding(temperature=0, cap=RESPONSE_TOKENS)
    asks = [GenerationRequest(f"{i}", q.text, recipe, decoding) for i, q in enumerate(questions)]
    ended: JsonObject = {}
    for changed in bench.stream(asks, priority=1, hz=4):
        ended |= {s.id: s for s in changed if s.state == "done"}
        publish(Step(f"{who} answers: {len(ended)} of {len(questions)} questions", len(ended), len(questions)))
    return [(*s.prompt_ids, *s.ids) for s in ended.values() if s.ids]


def watch_profile(
    jobs: ProfileJobs, bench: Workbench, questions: Sequence[Question], asked: bool
) -> Iterator[JsonObject]:
    """States `{"text", "error", "found"}` until it is made; without `asked` only what is there or in the making already."""
    board: JsonObject = {"text": "", "error": "", "found": None}
    try:
        task = jobs.start(bench, questions) if asked else jobs.known(bench)
        if task is None:
            yield board
            return
        for state in task.watch(PROGRESS_INTERVAL_S):
            text = "" if state.ended else state.progress.text if state.progress else "Starting…"
            yield board | {"text": text, "error": state.error, "found": state.result}
    except UserError as error:
        yield board | {"error": str(error)}


def profile_board(state: JsonObject) -> str:
    """A state as the board's content: JSON text; `patch` is what Explore's view is set to."""
    found, patch, sentence = state["found"], None, ""
    if found is not None:
        recipe = found.recipe()
        patch = {
            "method": recipe.method,
            "params": dict(recipe.params),
            "lam": 1.0,
            "layers": "all",
            "modules": list(MODULES),
        }
        sentence = profile_sentence(found)
    return json.dumps(
        {"text": state["text"], "error": state["error"], "sentence": sentence, "patch": patch}, ensure_ascii=False
    )


def profile_sentence(found: BlockProfile) -> str:
    """The profile in a sentence: its mean, its ends, what it was made of."""
    known = [(b.lam, b) for b in found.blocks if b.lam is not None]
    if not known:
        return "The parents' blocks put out the same on every response: there is nothing to blend."
    (least, low), (most, high) = (choose(known, key=lambda x: x[0]) for choose in (min, max))
    same = len(found.blocks) - len(known)
    return (
        f"Mean λ* {found.mean:.2f}; lowest {least:.2f} ({low.module} of layer {low.layer}), "
        f"highest {most:.2f} ({high.module} of layer {high.layer})"
        + (f"; {same} blocks are the same in both parents" if same else "")
        + f". From {found.responses} responses of each parent, {found.tokens:,} tokens, greedy, at most {RESPONSE_TOKENS} tokens each."
    )


def profile_figure(found: BlockProfile) -> str:
    """One bar per block, by layer and module, as a figure's content."""
    drawn = go.Figure()
    for module in dict.fromkeys(b.module for b in found.blocks):
        mine = [b for b in found.blocks if b.module == module and b.lam is not None]
        drawn.add_bar(
            x=[str(b.layer) for b in mine], y=[b.lam for b in mine], customdata=[f"{module}|{b.layer}" for b in mine],
            name="MLP" if module == "mlp" else module, marker_color=MODULE_COLOURS[module],
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
