"""The form of the Search tab: what may vary, how much may be spent, and what that costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from mi_explorer.search.settings import SAMPLERS
from mi_explorer.ui.components import QUIET
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.search import search_request as request
from mi_explorer.ui.search.search_handlers import SearchHandlers
from mi_explorer.ui.search.shown_search import SAMPLER_TITLES
from mi_explorer.untyped import GradioValue, Json, JsonObject

LONG_CAP = 4096  # tokens of a response of other pairs than the embedded one
FIELD_ORDER = tuple(request.DEFAULTS)


@dataclass(frozen=True)
class SearchFields:
    """Fields in the order of `search_request.DEFAULTS`, what they cost, and the button that starts."""

    fields: list[GradioValue]
    cost: gr.Textbox
    run: gr.Button


def search_form_values(given: Sequence[Json]) -> JsonObject:
    """The form as `search_request` takes it."""
    return dict(zip(FIELD_ORDER, given, strict=True))


def search_fields(page: PageContext, handlers: SearchHandlers) -> SearchFields:
    """The form of a new search. Its cost is estimated when it is opened and whenever a field changes."""
    bench, d = page.bench(), request.DEFAULTS
    layers = int(bench.layers or 1)
    first = page.task() or d["task"]

    def whole(key: str, label: str, **more: GradioValue) -> gr.Number:
        return gr.Number(d[key], label=label, precision=0, minimum=1, min_width=110, **more)

    with gr.Accordion("Set up a search", open=False, elem_id="search-setup") as fold:
        vary = gr.CheckboxGroup(
            request.vary_choices(layers), value=d["vary"], label="What may vary", elem_id="search-vary"
        )
        with gr.Row(equal_height=True):
            evaluations = whole("evaluations", "Evaluations", elem_id="search-evaluations")
            tokens = gr.Textbox(
                "", label="Token budget (optional)", placeholder="none", min_width=150, elem_id="search-tokens"
            )
            questions = whole("questions", "Questions for each", elem_id="search-questions")
            tasks = list(dict.fromkeys([first, *page.pairs.access.offered_tasks()]))
            task = gr.Dropdown(
                tasks, value=first, label="Task (a name, or a file)", allow_custom_value=True, min_width=170
            )
        with gr.Accordion("More: samples, groups, methods, sampler, decoding", open=False):
            with gr.Row():
                samples = whole("samples", "Samples of each")
                groups = whole("groups", "Layer groups (2 to all)")
                names = request.offered_methods(bench.pair.base is not None)
                methods = gr.Dropdown(
                    names, value=d["methods"], multiselect=True, label="Methods to choose among", scale=2, min_width=200
                )
                within = gr.Textbox(
                    "", label="Accuracy within … tokens", placeholder="a frontier of both", min_width=150
                )
            with gr.Row():
                sampler = gr.Dropdown(
                    [(SAMPLER_TITLES[key], key) for key in SAMPLERS],
                    value=d["sampler"],
                    label="Who proposes",
                    min_width=150,
                )
                heldout = whole("heldout_questions", "Held-out questions", elem_id="search-heldout")
                each = whole("heldout_samples", "Samples of each held-out")
                finalists = whole("finalists", "Finalists")
            with gr.Row():
                cap = whole("cap", "Token limit", elem_id="search-cap")
                temperature = gr.Number(d["temperature"], label="Temperature", minimum=0, min_width=110)
                seed = gr.Number(d["seed"], label="Seed", precision=0, minimum=0, min_width=110)
                name = gr.Textbox("", label="Name (optional)", min_width=200, scale=2, elem_id="search-name")
        with gr.Row(equal_height=True):
            cost = gr.Textbox(
                "", label="What it takes", interactive=False, scale=5, lines=1, max_lines=4, elem_id="search-cost"
            )
            run = gr.Button("Run search", variant="primary", scale=1, min_width=140, elem_id="search-run")
    fields: list[GradioValue] = [
        *(vary, evaluations, tokens, questions, task, samples, groups, methods, within, sampler),
        *(heldout, each, finalists, cap, temperature, seed, name),
    ]

    def of_pair(pair: str, chosen: str, limit: float) -> list[GradioValue]:
        """The pair's own task, and room to think: the embedded one is terse."""
        is_usual = page.bench(pair).pair.name == "mini" or limit != d["cap"]
        return [page.task_for(pair, chosen, first), limit if is_usual else min(LONG_CAP, page.settings.tokens)]

    fold.expand(of_pair, [page.pair, task, cap], [task, cap], **QUIET)

    def estimate(pair: str, *given: Json) -> str:
        return handlers.cost(search_form_values(given), pair)

    changes = [fold.expand, *(f.change for f in fields)]
    gr.on(changes, estimate, [page.pair, *fields], cost, trigger_mode="always_last", **QUIET)
    return SearchFields(fields, cost, run)
