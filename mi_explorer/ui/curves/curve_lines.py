"""What the bar says of the curves that are shown: a line each, and one for all curves of a grid of interventions."""

from collections.abc import Sequence

from mi_explorer.studies.report.probe_curve import probes_sentence
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.ui.curves.curve import Curve
from mi_explorer.untyped import JsonObject


def study_lines(curves: Sequence[Curve], summaries: Sequence[Summary]) -> list[JsonObject]:
    """One record a line: `name`, `about`, `origin`, and sentences on `stages`, `useful` and `claims` (of the study, at its first line)."""
    by_name = {summary.info.name: summary for summary in summaries}
    told: set[str] = set()
    lines = []
    for c in curves:
        summary = by_name.get(c.study)
        is_grid = summary is not None and bool(summary.grids)
        if c.study in told and is_grid:
            continue
        sentences = _sentences(summary) if summary is not None and c.study not in told else []
        if c.study:
            told.add(c.study)
        lines.append(
            {
                "name": c.study if is_grid else c.name,
                "about": c.about,
                "origin": c.origin,
                "stages": str(c.stages.get("message") or ""),
                "useful": str(c.stages.get("useful") or ""),
                "claims": sentences,
            }
        )
    return lines


def _sentences(summary: Summary) -> list[str]:
    """The paper's claims, λ against budgets, and the probes, in words."""
    probes = (probes_sentence(summary.rows, probed) for probed in summary.probes)
    return [sentence for sentence in (summary.sentence, summary.budget_sentence, *probes) if sentence]
