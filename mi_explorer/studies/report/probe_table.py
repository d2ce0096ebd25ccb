"""The probes of a study as rows of a table, for terminal, Markdown and report."""

from mi_explorer.studies.report.results import cell_name
from mi_explorer.studies.stats.metrics import Estimate
from mi_explorer.studies.stats.probe_measures import ProbedStudy
from mi_explorer.studies.stats.summary import Summary

NOTE = (
    "sufficient: tokens of the first prefix from which the forced answer is right and stays right. verbose: share of a right sample's "
    "tokens after it. harmful: right at some point, wrong at the end. switches: changes of the forced answer. forced, free: right "
    "answers where the thought was stopped, and where it went on, over the same points; forced fails: wrong forced answers among the "
    "points from which going on is right. Brackets: 95 % intervals, bootstrap over questions; n: samples with a thought."
)


def probe_rows(summary: Summary, probed: ProbedStudy) -> list[dict[str, str]]:
    """One record a cell, shares in per cent."""
    names = {row.key: cell_name(summary, i) for i, row in enumerate(summary.rows)}
    free = any(cell.values["free"].questions for cell in probed.cells)
    records = []
    for cell in probed.cells:
        if cell.cell not in names:
            continue
        v = cell.values
        record = {
            "recipe": names[cell.cell],
            "sufficient": _text(v["sufficient"], 1, 0),
            "of them %": _text(v["sufficient_share"], 100, 0),
            "verbose %": _text(v["verbose"], 100, 1),
            "harmful %": _text(v["harmful"], 100, 1),
            "switches": _text(v["switches"], 1, 2),
            "forced %": _text(v["forced"], 100, 1),
        }
        if free:
            record |= {
                "free %": _text(v["free"], 100, 1),
                "free − forced": _text(v["free_minus_forced"], 100, 1),
                "forced fails %": _text(v["forced_fails"], 100, 1),
            }
        records.append(record | {"n": f"{cell.samples:,}"})
    return records


def _text(found: Estimate, scale: float, digits: int) -> str:
    if found.value != found.value:
        return "–"
    low, high = found.ci
    ends = "" if low is None or high is None else f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
    return f"{scale * found.value:.{digits}f}{ends}"
