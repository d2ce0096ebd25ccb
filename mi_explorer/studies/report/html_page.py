"""A study as one HTML file: what was asked, figures, tables with intervals, stages, claims, published numbers, traces.

The file asks nothing of any network (its own policy forbids it), runs no script, and prints. Everything in it is computed from
the samples; what was published elsewhere is labelled as that. `page.html` beside this file is its template; all text goes in
escaped.
"""

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from mi_explorer import __version__
from mi_explorer.errors import UserError
from mi_explorer.pair_names import short_names
from mi_explorer.paths import ASSETS
from mi_explorer.studies.plan import describe
from mi_explorer.studies.report import published, svg_cells, svg_curves, svg_interventions, svg_probes
from mi_explorer.studies.report.intervention_tables import GRID_MEASURES, answer_rows, gap_rows, grid_caption, grid_rows
from mi_explorer.studies.report.probe_curve import probe_curve, probes_sentence
from mi_explorer.studies.report.probe_table import NOTE, probe_rows
from mi_explorer.studies.report.results import cell_name, efficiency_rows, measures_of, paper_table
from mi_explorer.studies.report.sample_traces import ReportTraces, choose_traces
from mi_explorer.studies.report.table import Table, safe_html
from mi_explorer.studies.stats.summary import Summary, summarise
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import JsonMapping, JsonObject

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
PUBLISHED = {
    "sweep": "mi_dynamics", "methods": "mi_dynamics", "layers": "mi_layers", "modules": "mi_modules", "decoding": "mi_decoding",
    "backbone": "mi_backbones",
}  # fmt: skip
VALUE = "value"  # the column of settings: numbers and words, all from the left
MODEL, BENCHMARK = "Qwen3-4B-2507", "AIME25"
STYLE = ASSETS / "web" / "report.css"


def html_report(store: Store, name: str, *, traces: ReportTraces | None = None, host: bool = True) -> str:
    """The report of a study as HTML. `traces` take the place of those chosen from the study; `host`: whether machines are named.

    Raises `UserError` if there is no such study, or no sample of it yet.
    """
    summary = summarise(store, name)
    if not summary.rows:
        raise UserError(f"The study {name!r} has no samples yet; there is nothing to report.")
    info = summary.info
    return _template().render(
        policy=POLICY,
        style=Markup(STYLE.read_text(encoding="utf-8")),
        name=info.name,
        facts=_facts(summary),
        made={"live": "measured here", "imported": "imported"}.get(info.origin, info.origin),
        changed=time.strftime("%Y-%m-%d %H:%M", time.localtime(info.updated)),
        note=info.note,
        findings=_findings(summary),
        figures=[(Markup(svg), caption) for svg, caption in _figures(summary)],
        refit=published.refit(MODEL, BENCHMARK).message if info.plan.kind == "sweep" else "",
        traces=traces or choose_traces(store, info, summary),
        tables={
            "claims": _claims(summary),
            "fits": _fits(summary),
            "cells": _records(
                paper_table(summary),
                "Shares in percent, tokens per response; brackets are 95 % intervals (bootstrap over questions); n = questions × samples.",
            ),
            "interventions": _interventions(summary),
            "probes": [_records(probe_rows(summary, p), f"Probes, {p.words}. {NOTE}") for p in summary.probes],
            "efficiency": _efficiency(summary),
            "published": _published(info.plan.kind),
            "settings": _settings(summary),
            "runs": _runs(summary, host),
        },
    )


@cache
def _template() -> Template:
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clean"] = safe_html  # escapes, and drops what no document may hold
    return environment.get_template("page.html")


def _records(records: list[JsonObject], caption: str = "") -> Markup:
    return Table.of_records(records).html(caption, words=[VALUE]) if records else Markup("")


def _facts(summary: Summary) -> list[str]:
    """What was measured, in a few words each."""
    info, settings = summary.info, summary.settings
    decodings = list(dict.fromkeys(row.cell.decoding for row in summary.rows))
    return [
        f"pair {', '.join(short_names(info.plan.pairs).values())}",
        f"task {info.plan.task}" + (f", split {settings['split']}" if settings["split"] else ""),
        f"{settings['questions']} questions × {settings['samples']} samples",
        describe(decodings[0]) if len(decodings) == 1 else f"{len(decodings)} decodings",
        f"{info.samples:,} samples in all",
    ]


def _findings(summary: Summary) -> list[str]:
    """The paper's claims and the stages, in words."""
    sentences = summary.sentence, summary.budget_sentence, *(probes_sentence(summary.rows, p) for p in summary.probes)
    found = [sentence for sentence in sentences if sentence]
    for name, stages in summary.stages.items():
        which = f"{name}: " if len(summary.stages) > 1 else ""
        found.append(f"{which}{stages['message']} {stages['useful']}")
    return found


def _claims(summary: Summary) -> Markup:
    words = {True: "holds", False: "does not hold", None: "undecided"}
    return _records(
        [{"the paper's statement": c.text, "here": words[c.holds], "evidence": c.evidence} for c in summary.claims],
        "Each statement of arXiv 2510.10977 about this kind of study, tested on these samples (paired 95 % intervals).",
    )


def _interventions(summary: Summary) -> list[Markup]:
    """λ against budgets at equal tokens, and the grids of interventions."""
    gaps = "λ against a thought budget on Thinking that takes as many tokens, paired over questions: accuracy of λ minus the budget's."
    tables = [_records(gap_rows(summary), gaps)]
    answers = "Another λ for the answer, against an answer at the thought's own λ: paired differences over questions."
    tables.append(_records(answer_rows(summary), answers))
    for grid in summary.grids:
        for metric, title in GRID_MEASURES:
            tables.append(_records(grid_rows(summary, grid, metric), grid_caption(summary, grid, title)))
    return [table for table in tables if table]


def _fits(summary: Summary) -> Markup:
    return _records(
        [
            {
                "curve": name,
                "kind": found["kind"],
                "λ50": _with_interval(found["lambda50"], found["lambda50_ci"]),
                "s": _with_interval(found["s"], found["s_ci"]),
                "stage 2": _interval(found["stage2"]),
            }
            for name, found in summary.stages.items()
            if found.get("lambda50") is not None
        ],
        "Stage fit: where half of the responses close a thought (λ50), its width s, and the bounds of stage 2.",
    )


def _interval(values: Sequence[float | None] | None) -> str:
    if not values or values[0] is None or values[1] is None or values[0] != values[0]:
        return "–"
    return f"[{values[0]:.3f}, {values[1]:.3f}]"


def _with_interval(value: float | None, ci: Sequence[float | None] | None) -> str:
    return "–" if value is None else f"{value:.3f} {_interval(ci)}"


def _figures(summary: Summary) -> Iterator[tuple[str, str]]:
    """Pictures with captions."""
    try:
        yield (
            svg_curves.curves_svg(summary),
            "Accuracy, tokens and think ratio over λ with 95 % intervals; every point is a cell of the table.",
        )
    except UserError:  # no curve over λ in it
        yield svg_cells.bars_svg(summary), "Accuracy, tokens and think ratio of every cell with 95 % intervals."
    if summary.frontiers is not None:
        yield (
            svg_interventions.frontiers_svg(summary),
            "Tokens against accuracy: λ without a budget, a thought budget on Thinking, and the cells of λ × budget that no other beats. "
            "Small dots: the other cells.",
        )
    elif measures_of(summary).grid.judged and len(summary.cells) > 1:
        yield (
            svg_cells.pareto_svg(summary),
            "Tokens against accuracy with 95 % intervals. Rings: on the Pareto front. A star: better than either parent in tokens "
            f"and accuracy at once with a probability of at least {100 * svg_cells.SURE:.0f} %.",
        )
    for grid in summary.grids:
        yield (
            svg_interventions.grid_svg(summary, grid),
            f"λ (rows) and {grid.what} (columns); intervals are in the tables.",
        )
    for probed in summary.probes:
        if probe_curve(summary.rows, probed):
            yield svg_probes.probes_svg(summary, probed), f"Probes along λ with 95 % intervals: {probed.words}."


def _efficiency(summary: Summary) -> Markup:
    if not measures_of(summary).grid.judged:
        return Markup("")

    def share(x: float | None) -> str:
        return "–" if x is None else f"{100 * x:.1f}"

    records = [
        {
            "": cell_name(summary, i),
            "Pareto front": "yes" if row["pareto"] else "",
            "OckScore": "–" if row["ock_score"] is None else f"{row['ock_score']:.2f}",
            "AES": "–" if row["aes"] is None else f"{row['aes']:+.3f}",
            "P(improves on Instruct) %": share(row["improves_instruct"]),
            "P(improves on Thinking) %": share(row["improves_thinking"]),
            "P(on either) %": share(row["improves_either"]),
        }
        for i, row in enumerate(efficiency_rows(summary))
    ]
    return _records(
        records,
        "Improves: more accuracy in no more tokens or as much in fewer, by bootstrap over questions. AES against Thinking.",
    )


def _published(kind: str) -> Markup:
    """The paper's own numbers of this kind of study."""
    table = PUBLISHED.get(kind)
    if table is None:
        return Markup("")
    frame = published.published(table)
    if kind == "sweep":
        frame = published.dynamics(MODEL, BENCHMARK)
    elif table == "mi_dynamics":
        frame = frame[(frame["model"] == MODEL) & (frame["benchmark"] == BENCHMARK)]
    return _records(
        [{str(k): _printed(v) for k, v in row.items()} for row in frame.to_dict("records")],
        f"Published: {published.source(table)}. Another model and benchmark, not measured here; percentages as printed. "
        "Compare the shape, not the level.",
    )


def _printed(value: object) -> str:
    """A published value; "" for one that is missing (NaN)."""
    return "" if value != value else f"{value:g}" if isinstance(value, float) else str(value)


def _settings(summary: Summary) -> Markup:
    settings, plan = summary.settings, summary.info.plan
    decodings = dict.fromkeys(row.cell.decoding for row in summary.rows)
    rows: list[tuple[str, object]] = [
        ("kind", plan.kind),
        ("pairs", ", ".join(short_names(plan.pairs).values())),
        ("task", settings["task"]),
        ("split", settings["split"]),
        ("task seed", settings["task_seed"]),
        ("questions", settings["questions"]),
        ("samples per question", settings["samples"]),
        *((f"decoding {i}" if i > 1 else "decoding", describe(d)) for i, d in enumerate(decodings, 1)),
        ("numbers", settings["dtype"]),
        ("weights (fingerprints)", list(dict.fromkeys(row.fingerprint for row in summary.rows))),
        *((f"version of {name}", version) for name, version in settings["versions"].items()),
        ("command", settings["command"]),
        ("report by", f"MI Explorer {__version__}"),
    ]
    return _records([{"": name, VALUE: _joined(value)} for name, value in rows if value not in (None, "", [])])


def _joined(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _runs(summary: Summary, host: bool) -> Markup:
    def record(run: JsonMapping) -> dict[str, str]:
        return {
            "run of": time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"])),
            **({"on": run["host"]} if host else {}),
            "device": run["device"],
            "numbers": run["dtype"],
            "samples": f"{run['samples']:,}",
            "decoding, s": f"{run['seconds']:,.1f}",
        }

    return _records([record(run) for run in summary.runs], "Who made the samples.")
