"""The part of docs/results.md that sets the embedded pair, SmolLM2 and the paper side by side: the three stages, λ, layers, modules.

Ours come from the precomputed studies PAIR-sweep, PAIR-layers and PAIR-modules in `assets/studies`; of a study that is not there the
column is left out. The paper's come from `assets/paper`, as printed.
"""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from intervention_results import folded, summary_of_file

from mi_explorer.studies.report.published import QUESTIONS, dynamics, refit, source
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.stats.kept_summary import kept_summary
from mi_explorer.studies.stats.stages import Transition
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.studies.store.bundled import FOLDER
from mi_explorer.ui.ablations.ablation_rows import BESIDE, AblationRow, CellKey, ablation_rows
from mi_explorer.untyped import JsonMapping

PAIRS = {"mini": "embedded pair", "smollm2": "SmolLM2"}
MODEL, BENCHMARKS = "Qwen3-4B-2507", ("AIME25", "GPQA-Diamond")
PAPER = f"{MODEL} on {BENCHMARKS[0]}, published"
MEASURES = ("right %", "thinks %", "tokens %")
VERDICTS = {True: "yes", False: "no", None: "undecided"}
LABELS: dict[CellKey, str] = {((0, 1), (2, 3)): "first and last third"}
THINKS, THINKS_NOT, CHEAPER = (
    95.0,
    5.0,
    0.85,
)  # think ratios in percent, and a share of Thinking's tokens, as in stats/claims.py


def studies(kind: str) -> dict[str, Summary]:
    """Pair → its precomputed study of this kind, where there is one with samples."""
    names = {pair: f"{pair}-{kind}" for pair in PAIRS}
    there = {pair: name for pair, name in names.items() if (FOLDER / f"{name}.parquet").exists()}
    found = {pair: kept_summary(name, FOLDER) or summary_of_file(name) for pair, name in there.items()}
    return {pair: summary for pair, summary in found.items() if summary.cells}


def sizes(found: Mapping[str, Summary]) -> str:
    """What was measured for each column, in a sentence."""
    parts = []
    for pair, summary in found.items():
        s = summary.settings
        d, k = s["decoding"], s["samples"]
        parts.append(
            f"{PAIRS[pair]} (`{pair}-{summary.info.plan.kind}`): {s['questions']} held-out questions × {k} "
            f"sample{'s' * (k != 1)} a cell, temperature {d['temperature']:g}, top-p {d['top_p']:g}, cap {d['cap']}, "
            f"seed {d['seed']}, {s['dtype']}"
        )
    return "; ".join(parts) + "."


def beside(rows: Sequence[str], columns: Mapping[str, Sequence[Sequence[str]]], first: str) -> str:
    """A Markdown table: three measures for each column's title."""
    heads = [first, *(f"{title}: {m}" if m == MEASURES[0] else m for title in columns for m in MEASURES)]
    cells = [[row, *(text for lines in columns.values() for text in lines[i])] for i, row in enumerate(rows)]
    return Table.of(heads, cells).markdown()


def ours(cell: JsonMapping | None, thinking_tokens: float) -> tuple[str, str, str]:
    """Accuracy with its interval, think ratio, and tokens as a share of Thinking's; blank where it was not measured."""
    if cell is None:
        return "", "", ""
    low, high = (f"{100 * x:.1f}" for x in cell["mean_ci"])
    share = f"{100 * cell['tokens'] / thinking_tokens:.0f}" if thinking_tokens else ""
    return f"{100 * cell['mean']:.1f} [{low}, {high}]", f"{100 * cell['think_ratio']:.1f}", share


def theirs(values: Mapping[str, float | None] | None) -> tuple[str, str, str]:
    """The same of a published line, as printed."""

    def printed(name: str, digits: int) -> str:
        value = (values or {}).get(name)
        return "" if value is None else f"{value:.{digits}f}"

    return printed("mean", 1), printed("think", 1), printed("length", 0)


def thinking_tokens(cells: Sequence[JsonMapping]) -> float:
    """Tokens of a response of Thinking itself; 0 where it was not measured."""
    return next((c["tokens"] for c in cells if c["lambda"] == 1 and c["scope"]["layers"] == "all"), 0.0)


def lambda_table(found: Mapping[str, Summary]) -> str:
    """λ by λ, where at least two columns have it."""
    paper = dynamics(MODEL, BENCHMARKS[0])
    full = float(paper["tokens"].iloc[-1])
    published = {
        row["lambda"]: {"mean": row["mean_at_k"], "think": row["think_ratio"], "length": 100 * row["tokens"] / full}
        for row in paper.to_dict("records")
    }
    cells = {pair: {c["lambda"]: c for c in summary.cells} for pair, summary in found.items()}
    every = [*cells.values(), published]
    lams = sorted(lam for lam in set().union(*every) if sum(lam in has for has in every) > 1)
    columns = {
        PAIRS[pair]: [ours(has.get(lam), thinking_tokens(found[pair].cells)) for lam in lams]
        for pair, has in cells.items()
    }
    return beside([f"{lam:g}" for lam in lams], columns | {PAPER: [theirs(published.get(lam)) for lam in lams]}, "λ")


def ablation_table(kind: str, found: Mapping[str, Summary]) -> str:
    """What is blended, line by line: thirds of the depth match, whatever the number of layers."""
    lines: dict[CellKey, dict[str, AblationRow]] = {}
    for pair, summary in found.items():
        for row in ablation_rows(kind, summary.cells, BESIDE[kind][0]):
            lines.setdefault(row.key, {})[pair] = row
    published = {key: next(r.theirs for r in rows.values()) for key, rows in lines.items()}
    columns = {
        PAIRS[pair]: [
            ours(row.ours if (row := rows.get(pair)) else None, thinking_tokens(found[pair].cells))
            for rows in lines.values()
        ]
        for pair in found
    }
    names = [LABELS.get(key) or next(iter(rows.values())).label.partition(": ")[0] for key, rows in lines.items()]
    return beside(
        names,
        columns | {PAPER: [theirs(published[key]) for key in lines]},
        "blended at λ 0.8, the rest Instruct",
    )


# -- the three stages -----------------------------------------------------------------------------------------------------


def points(rows: pd.DataFrame, i: int, j: int) -> str:
    """Accuracy and tokens of published line i against line j."""
    gain = rows["mean_at_k"].iloc[i] - rows["mean_at_k"].iloc[j]
    return f"{gain:+.1f} points, {rows['tokens'].iloc[i] - rows['tokens'].iloc[j]:+,.0f} tokens"


def appears(rows: pd.DataFrame, found: Transition) -> str:
    low, high = found.stage2
    if found.lambda50 is None or low is None or high is None:
        return "no transition"
    return f"half of the responses at λ {found.lambda50:.2f}, from 1 to 99 % between λ {low:.2f} and {high:.2f}"


def before(rows: pd.DataFrame, found: Transition) -> str:
    early = [i for i in range(1, len(rows)) if rows["think_ratio"].iloc[i] <= THINKS_NOT]
    best = max(early, key=lambda i: rows["mean_at_k"].iloc[i])
    return f"λ {rows['lambda'].iloc[best]:g} against 0: {points(rows, best, 0)}"


def late(rows: pd.DataFrame, found: Transition) -> str:
    start = next(i for i in range(len(rows)) if rows["think_ratio"].iloc[i] >= THINKS)
    return f"λ {rows['lambda'].iloc[start]:g} to 1: {points(rows, len(rows) - 1, start)}"


def cheaper(rows: pd.DataFrame, found: Transition) -> str:
    last = len(rows) - 1
    fewer = [i for i in range(1, last) if rows["tokens"].iloc[i] <= CHEAPER * rows["tokens"].iloc[last]]
    if not fewer:
        return "no λ with so few tokens"
    best = max(fewer, key=lambda i: rows["mean_at_k"].iloc[i])
    return f"λ {rows['lambda'].iloc[best]:g}: {points(rows, best, last)}"


def end(rows: pd.DataFrame, found: Transition) -> str:
    last = len(rows) - 1
    return f"λ {rows['lambda'].iloc[last - 1]:g} to 1: {points(rows, last, last - 1)}"


STAGES: dict[str, tuple[str, Callable[[pd.DataFrame, Transition], str]]] = {
    "thought appears": ("2: thought appears at a transition", appears),
    "before thought": ("1: before it, answers grow longer and better", before),
    "late in λ": ("3: late in λ tokens keep rising", late),
    "some λ below": ("a λ below 1 is as accurate as Thinking with at most 85 % of its tokens", cheaper),
    "the end of stage 3": ("3: its end overthinks, more tokens and no more accuracy", end),
}


def stage_table(found: Mapping[str, Summary]) -> str:
    """The paper's statements about λ: our verdict and evidence, and the paper's own numbers for two of its tasks."""
    records = []
    for start, (words, evidence) in STAGES.items():
        record = {"stage": words}
        for pair, summary in found.items():
            claim = next((c for c in summary.claims if c.text.startswith(start)), None)
            record[PAIRS[pair]] = f"{VERDICTS[claim.holds]}: {claim.evidence}" if claim else "not measured"
        parts = (f"{b}: {evidence(dynamics(MODEL, b), refit(MODEL, b))}" for b in BENCHMARKS)
        record[f"{MODEL}, published"] = "; ".join(parts)
        records.append(record)
    return Table.of_records(records).markdown()


def side_by_side() -> str:
    """All of it, in Markdown."""
    swept, layers, modules = (studies(kind) for kind in ("sweep", "layers", "modules"))
    sources = "; ".join(map(source, ("mi_dynamics", "mi_layers", "mi_modules")))
    parts = [
        "## The embedded pair, SmolLM2 and the paper side by side",
        f"The paper's numbers are published ones ({sources}), of {MODEL} with {QUESTIONS[BENCHMARKS[0]]} questions × 64 samples on "
        "AIME'25, and come without intervals. Models and tasks of the three differ, so compare the shape of a column and not its "
        "height. tokens %: of Thinking's. Brackets are 95 % intervals (bootstrap over questions).",
    ]
    if swept:
        parts += ["### The three stages", sizes(swept), stage_table(swept), "### Along λ", lambda_table(swept)]
    for kind, title, found in (("layers", "Layers", layers), ("modules", "Modules", modules)):
        if found:
            parts += [f"### {title}", sizes(found), ablation_table(kind, found)]
    return "\n\n".join(folded(part) for part in parts)
