"""A study's results as the paper prints them: its own tables, by parts of the questions, and accuracy against tokens.

In: a `Summary`. Out: one record a row, with printed values; `table.Table.of_records` draws them.
"""

import math
from collections.abc import Mapping, Sequence

from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES
from mi_explorer.studies.stats import efficiency
from mi_explorer.studies.stats.curve import longest_curve
from mi_explorer.studies.stats.mentions import Mentions
from mi_explorer.studies.stats.metrics import SHARES, Estimate, Measures
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.untyped import JsonMapping, JsonObject

PASS_AT = {"layers": (8, 32, 64)}  # table 3 prints these besides; others only pass@k of all samples


def cell_name(summary: Summary, i: int) -> str:
    """What distinguishes cell i within this kind of study, as the paper's table names it."""
    cell, kind = summary.rows[i].cell, summary.info.plan.kind
    recipe, scope = cell.recipe, cell.recipe.scope
    if kind == "decoding":
        return f"T {cell.decoding.temperature:g}, top-p {cell.decoding.top_p:g}"
    if cell.label:
        return cell.label
    parts = [f"λ {recipe.lam:g}"]
    if recipe.method != "linear" or kind == "methods":
        parts.insert(0, recipe.method)
    if recipe.answer_lam is not None:
        parts.append(f"answer λ {recipe.answer_lam:g}")
    if cell.decoding.think_budget is not None:
        parts.append(f"budget {cell.decoding.think_budget}")
    if scope.layers != "all":
        parts.append(f"layers {scope.layers}")
    missing = [m for m in MODULES if m not in scope.modules]
    if missing:
        parts.append("without " + ", ".join(missing))
    return ", ".join(parts)


def paper_table(summary: Summary) -> list[JsonObject]:
    """The paper's own table: one row a cell; shares in percent with intervals, tokens, n; pass@k also at the paper's k."""
    measures, kind = measures_of(summary), summary.info.plan.kind
    thinking = next((i for i, row in enumerate(summary.rows) if row.cell.recipe.lam == 1), None)
    tokens, truncated = measures.values("tokens"), measures.values("truncated")
    lenient, strict = measures.values("think_lenient"), measures.values("think_ratio")
    out = []
    for i in range(len(summary.rows)):

        def share(metric: str, cell: int = i) -> str:
            return print_share(measures.estimate(cell, metric))

        n = measures.grid.n[i]
        k = measures.k or int(n.max())
        row: JsonObject = {
            "": cell_name(summary, i),
            f"Mean@{int(n.max())}": share("mean"),
            f"Pass@{k}": share("pass"),
        }
        fewer = [x for x in PASS_AT.get(kind, ()) if x < k]
        extra = measures.row(i, fewer)
        row |= {f"Pass@{x}": f"{100 * extra[f'pass@{x}']:.1f}" for x in fewer if extra[f"pass@{x}"] is not None}
        row |= {f"Vote@{k}": share("vote"), "Tokens": print_amount(measures.estimate(i, "tokens"))}
        row |= {"Think %": share("think_ratio")}
        if abs(lenient[i] - strict[i]) >= 0.005:
            row["Think % (any tag)"] = share("think_lenient")
        row |= {"Truncated %": f"{100 * truncated[i]:.1f}"}
        if kind == "modules" and thinking is not None:
            row["Length % of Thinking"] = f"{100 * tokens[i] / tokens[thinking]:.1f}"
        row["n"] = f"{int((n > 0).sum())} × {int(n.max())}"
        out.append(row)
    return out


def mentions_table(summary: Summary, mentions: Mapping[str, Mentions]) -> list[JsonObject]:
    """One row a cell that has texts: right by its verdict, and by the two generous readings of `stats.mentions`."""
    return [
        {
            "": cell_name(summary, i),
            "Right %": print_share(found.right),
            "In the last sentence %": print_share(found.last),
            "Anywhere %": print_share(found.anywhere),
            "n": f"{found.right.questions}, {found.samples} samples",
        }
        for i, row in enumerate(summary.rows)
        if (found := mentions.get(row.key))
    ]


def parts_table(
    summary: Summary, part_of: JsonMapping, lams: Sequence[float], metric: str = "mean"
) -> list[JsonObject]:
    """One row a part of the questions, one column a λ of the curve: the metric with its interval.

    `part_of` gives the part (family, level or the like) by question key. Raises `UserError` for a λ that was not measured.
    """
    measures = measures_of(summary)
    is_sweep = summary.info.plan.kind == "sweep"
    curve = longest_curve([row.cell for row in summary.rows]) if is_sweep else ()
    by_lam = {summary.rows[i].cell.recipe.lam: i for i in curve}
    for lam in lams:
        if lam not in by_lam:
            known = ", ".join(f"{x:g}" for x in by_lam)
            raise UserError(f"λ {lam:g} was not measured along a curve of this study; it has {known or 'none'}.")
    questions = measures.grid.questions
    printed = print_share if metric in SHARES else print_amount
    out = []
    for part in sorted({part_of[q] for q in questions if q in part_of}, key=str):
        chosen = [i for i, q in enumerate(questions) if part_of.get(q) == part]
        of_part = Measures(measures.grid.pick(questions=chosen), measures.k)
        n = max(of_part.estimate(i, metric).questions for i in range(len(summary.rows)))
        row: JsonObject = {"": part, "questions": n}
        row |= {f"λ {lam:g}": printed(of_part.estimate(by_lam[lam], metric)) for lam in lams}
        out.append(row)
    return out


def efficiency_rows(summary: Summary) -> list[JsonObject]:
    """Per cell: OckScore, AES against Thinking, whether it is on the Pareto front, and P(Pareto-improves) on each parent.

    None where there is no such parent, no known answer, or the cell is that parent itself.
    """
    measures = measures_of(summary)
    tokens, accuracy = (measures.values(m).tolist() for m in ("tokens", "mean"))
    front = set(efficiency.pareto(tokens, accuracy))
    recipes = [row.cell.recipe for row in summary.rows]
    ends = {r.lam: i for i, r in enumerate(recipes) if r.lam in (0, 1) and r.method == "linear"}
    parents = list(ends.values())
    out = []
    for i in range(len(recipes)):
        aes = efficiency.aes_estimate(measures, i, ends[1]) if 1 in ends else None
        row: JsonObject = {
            "pareto": i in front,
            "ock_score": _value(efficiency.ock_estimate(measures, i)),
            "aes": _value(aes) if aes is not None else None,
        }
        for lam, name in ((0, "instruct"), (1, "thinking")):
            known = lam in ends and ends[lam] != i and measures.grid.judged
            row[f"improves_{name}"] = efficiency.improves(measures, i, ends[lam]) if known else None
        better = parents and i not in parents
        row["improves_either"] = efficiency.improves_either(measures, i, parents) if better else None
        out.append(row)
    return out


def measures_of(summary: Summary) -> Measures:
    """The measures of a study that has samples; raises `UserError` for one that has none yet."""
    if summary.measures is None:
        raise UserError(f"The study {summary.info.name!r} has no samples yet, so there is nothing to show.")
    return summary.measures


def print_share(e: Estimate) -> str:
    """`49.1 [45.2, 53.0]` in percent; a dash where it is not defined, no bracket where it has no interval."""
    if math.isnan(e.value):
        return "–"
    return f"{100 * e.value:.1f}" + ("" if math.isnan(e.low) else f" [{100 * e.low:.1f}, {100 * e.high:.1f}]")


def print_amount(e: Estimate) -> str:
    """An amount like tokens, in the same form."""
    if math.isnan(e.value):
        return "–"
    digits = 1 if e.value < 1000 else 0
    return f"{e.value:.{digits}f}" + ("" if math.isnan(e.low) else f" [{e.low:.{digits}f}, {e.high:.{digits}f}]")


def _value(e: Estimate) -> float | None:
    return None if math.isnan(e.value) else e.value
