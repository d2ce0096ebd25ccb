"""A study as one HTML file: what was asked, figures, tables with intervals, stages, claims, published numbers, traces.

The file asks nothing of any network (its own policy forbids it), runs no script, and prints. Everything in it is computed from
the samples; what was published elsewhere is labelled as that. All text goes in escaped.
"""

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mi_explorer import __version__
from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.studies.report import published, svg_cells, svg_curves
from mi_explorer.studies.report.sample_traces import MOST_TEXT, Traces, chosen
from mi_explorer.studies.report.table import Report, of_study
from mi_explorer.studies.stats.summary import Summary, describe, summarise
from mi_explorer.studies.store.store import Store

LEVEL = 0.95
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
PUBLISHED = {
    "sweep": "mi_dynamics", "methods": "mi_dynamics", "layers": "mi_layers", "modules": "mi_modules", "decoding": "mi_decoding",
    "backbone": "mi_backbones",
}  # fmt: skip
VALUE = "value"  # the column of settings: numbers and words, all from the left
MODEL, BENCHMARK = "Qwen3-4B-2507", "AIME25"
STYLE = ASSETS / "web" / "report.css"


def render(store: Store, name: str, *, traces: Traces | None = None, host: bool = True) -> str:
    """The report of a study as HTML. `traces` take the place of those chosen from the study; `host`: whether machines are named.

    Raises `UserError` if there is no such study, or no sample of it yet.
    """
    summary = summarise(store, name)
    if not summary.rows:
        raise UserError(f"The study {name!r} has no samples yet; there is nothing to report.")
    report, info = of_study(store, name), summary.info
    parts = [
        _head(summary),
        _findings(summary, report),
        *_figures(summary, report),
        _section(
            "Cells",
            _table(
                report.table(),
                "Shares in percent, tokens per response; brackets are 95 % intervals (bootstrap over questions); n = questions × samples.",
            ),
        ),
        _efficiency(report),
        _published(info.plan.kind),
        _traces(traces or chosen(store, info, summary)),
        _settings(summary, host),
    ]
    return "\n".join([
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">', '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_e(info.name)} – MI Explorer</title>",
        f"<style>{STYLE.read_text(encoding='utf-8')}</style>", "</head>", "<body>",
        *filter(None, parts), "</body>", "</html>", "",
    ])  # fmt: skip


# -- parts ----------------------------------------------------------------------------------------------------------------


def _head(summary: Summary) -> str:
    info, s = summary.info, summary.settings
    made = {"live": "measured here", "imported": "imported"}.get(info.origin, info.origin)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.updated))
    decodings = list(dict.fromkeys(row.cell.decoding for row in summary.rows))
    how = describe(decodings[0]) if len(decodings) == 1 else f"{len(decodings)} decodings"
    facts = [f"pair {', '.join(info.plan.pairs)}", f"task {info.plan.task}" + (f", split {s['split']}" if s["split"] else ""),
             f"{s['questions']} questions × {s['samples']} samples", how, f"{info.samples:,} samples in all"]  # fmt: skip
    note = f"<p>{_e(info.note)}</p>" if info.note else ""
    label = f'<p><span class="label">{_e(made)}</span> <span class="soft">last changed {when}</span></p>'
    return f'<h1>{_e(info.name)}</h1>\n<p class="soft">{_e(" · ".join(facts))}</p>\n{label}{note}'


def _findings(summary: Summary, report: Report) -> str:
    """Stages and the paper's claims, in words."""
    out = []
    if summary.sentence:
        out.append(f"<p>{_e(summary.sentence)}</p>")
    for group, found in summary.stages.items():
        which = f"{group}: " if len(summary.stages) > 1 else ""
        out.append(f"<p>{_e(which + found['message'])} {_e(found['useful'])}</p>")
    if summary.claims:
        words = {True: "holds", False: "does not hold", None: "undecided"}
        rows = [
            {"the paper's statement": c.text, "here": words[c.holds], "evidence": c.evidence} for c in summary.claims
        ]
        out.append(
            _table(
                rows,
                "Each statement of arXiv 2510.10977 about this kind of study, tested on these samples (paired 95 % intervals).",
            )
        )
    fits = [
        {"curve": group, **_fit(found)} for group, found in summary.stages.items() if found.get("lambda50") is not None
    ]
    if fits:
        out.append(
            _table(
                fits,
                "Stage fit: where half of the responses close a thought (λ50), its width s, and the bounds of stage 2.",
            )
        )
    return _section("What was found", *out) if out else ""


def _fit(found: Mapping[str, Any]) -> dict[str, str]:
    def pair(values: Any) -> str:
        return (
            "–"
            if not values or values[0] is None or values[1] is None or values[0] != values[0]
            else f"[{values[0]:.3f}, {values[1]:.3f}]"
        )

    def one(value: Any, ci: Any) -> str:
        return "–" if value is None else f"{value:.3f} {pair(ci)}"

    return {
        "kind": found["kind"],
        "λ50": one(found["lambda50"], found["lambda50_ci"]),
        "s": one(found["s"], found["s_ci"]),
        "stage 2": pair(found["stage2"]),
    }


def _figures(summary: Summary, report: Report) -> list[str]:
    out = []
    try:
        out.append(
            _figure(
                svg_curves.curves(summary),
                "Accuracy, tokens and think ratio over λ with 95 % intervals; every point is a cell of the table.",
            )
        )
    except UserError:  # no curve over λ in it
        out.append(
            _figure(
                svg_cells.bars(summary, report), "Accuracy, tokens and think ratio of every cell with 95 % intervals."
            )
        )
    if report.measures.grid.judged and len(report.cells) > 1:
        out.append(_figure(svg_cells.pareto(summary, report),
                           "Tokens against accuracy with 95 % intervals. Rings: on the Pareto front. A star: better than either parent in tokens "
                           f"and accuracy at once with a probability of at least {100 * LEVEL:.0f} %."))  # fmt: skip
    return [_section("Figures", *out)]


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{_e(caption)}</figcaption></figure>"


def _efficiency(report: Report) -> str:
    if not report.measures.grid.judged:
        return ""

    def share(x: float | None) -> str:
        return "–" if x is None else f"{100 * x:.1f}"

    rows = [
        {"": report.name(i), "Pareto front": "yes" if row["pareto"] else "",
         "OckScore": "–" if row["ock_score"] is None else f"{row['ock_score']:.2f}",
         "AES": "–" if row["aes"] is None else f"{row['aes']:+.3f}", "P(improves on Instruct) %": share(row["improves_instruct"]),
         "P(improves on Thinking) %": share(row["improves_thinking"]), "P(on either) %": share(row["improves_either"])}
        for i, row in enumerate(report.efficiency())
    ]  # fmt: skip
    return _section(
        "Efficiency",
        _table(
            rows,
            "Improves: more accuracy in no more tokens or as much in fewer, by bootstrap over questions. AES against Thinking.",
        ),
    )


def _published(kind: str) -> str:
    """The paper's own numbers of this kind of study."""
    table = PUBLISHED.get(kind)
    if table is None:
        return ""
    frame, words = published.published(table), ""
    if table == "mi_dynamics":
        frame = frame[(frame["model"] == MODEL) & (frame["benchmark"] == BENCHMARK)]
        frame = published.dynamics(MODEL, BENCHMARK) if kind == "sweep" else frame
        words = (
            f"<p>A fit on the published points, by the same formula: {_e(published.refit(MODEL, BENCHMARK).message)}</p>"
            if kind == "sweep"
            else ""
        )
    rows = [
        {k: "" if v != v else f"{v:g}" if isinstance(v, float) else str(v) for k, v in row.items()}
        for row in frame.to_dict("records")
    ]
    caption = (
        f"Published: {published.source(table)}. Another model and benchmark, not measured here; percentages as printed. "
        "Compare the shape, not the level."
    )
    return _section("Published numbers", _table(rows, caption), words)


def _traces(traces: Traces) -> str:
    out = [f'<p class="soft">{_e(traces.how)}</p>']
    if traces.shown:
        out.append(f"<pre>{_e(traces.question)}</pre>")
        if traces.gold:
            out.append(f'<p class="soft">Known answer: {_e(traces.gold)}</p>')
    for t in traces.shown:
        facts = [
            f"{t.tokens:,} tokens, {t.think_tokens:,} of them thought",
            *([t.verdict] if t.verdict else []),
            *(["cut at the limit"] if t.truncated else []),
        ]
        thought = (
            f'<details open><summary>Thought</summary><pre class="thought">{_e(t.thought[:MOST_TEXT])}</pre></details>'
            if t.thought.strip()
            else ""
        )
        out.append(
            f'<div class="trace"><h3>{_e(t.name)}</h3><p class="soft">{_e(" · ".join(facts))}</p>{thought}'
            f"<pre>{_e(t.answer[:MOST_TEXT])}</pre></div>"
        )
    return _section("Traces", *out)


def _settings(summary: Summary, host: bool) -> str:
    s, info = summary.settings, summary.info
    rows: list[tuple[str, Any]] = [
        ("kind", info.plan.kind), ("pairs", ", ".join(info.plan.pairs)), ("task", s["task"]), ("split", s["split"]), ("task seed", s["task_seed"]),
        ("questions", s["questions"]), ("samples per question", s["samples"]),
        *((f"decoding {i}" if i > 1 else "decoding", describe(d)) for i, d in enumerate(dict.fromkeys(r.cell.decoding for r in summary.rows), 1)),
        ("numbers", s["dtype"]), ("weights (fingerprints)", ", ".join(dict.fromkeys(row.fingerprint for row in summary.rows))),
        *((f"version of {k}", v) for k, v in s["versions"].items()), ("command", s["command"]), ("report by", f"MI Explorer {__version__}"),
    ]  # fmt: skip
    table = _table([{"": k, VALUE: _one(v)} for k, v in rows if v not in (None, "", [])], "")
    runs = [
        {"run of": time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"])), **({"on": run["host"]} if host else {}), "device": run["device"],
         "numbers": run["dtype"], "samples": f"{run['samples']:,}", "decoding, s": f"{run['seconds']:,.1f}"}
        for run in summary.runs
    ]  # fmt: skip
    return _section("Settings and versions", table, _table(runs, "Who made the samples.") if runs else "")


def _one(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _section(title: str, *parts: str) -> str:
    return f"<h2>{_e(title)}</h2>\n" + "\n".join(filter(None, parts))


def _table(rows: Sequence[Mapping[str, Any]], caption: str) -> str:
    """Rows as a table; columns in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def numeric(value: Any) -> bool:
        return len(str(value)) < 40 and str(value)[:1] in "0123456789–+-"  # an empty one too

    kinds = {c: "num" if c != VALUE and all(numeric(row.get(c, "")) for row in rows) else "text" for c in columns}
    body = "\n".join(
        "<tr>" + "".join(f'<td class="{kinds[c]}">{_e(row.get(c, ""))}</td>' for c in columns) + "</tr>" for row in rows
    )
    head = "".join(f'<th scope="col" class="{kinds[c]}">{_e(c)}</th>' for c in columns)
    said = f"<caption>{_e(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{said}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _e(text: Any) -> str:
    """Text as HTML text, without characters that no document may hold."""
    return escape(
        "".join(c if c in "\n\t" or ord(c) >= 32 and not 0xD800 <= ord(c) < 0xE000 else "\ufffd" for c in str(text))
    )
