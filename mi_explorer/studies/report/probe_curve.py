"""Probe measures along λ: which panels are drawn, their points, and what they say in a sentence. Report and page draw the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from mi_explorer.studies.stats.curve import longest_curve
from mi_explorer.studies.stats.metrics import Estimate
from mi_explorer.studies.stats.probe_measures import ProbedCell, ProbedStudy
from mi_explorer.studies.store.store import CellRow
from mi_explorer.untyped import JsonMapping


@dataclass(frozen=True)
class ProbePanel:
    """A panel: its title, the scale of its values, and its lines as (measure, words)."""

    title: str
    scale: float
    lines: tuple[tuple[str, str], ...]


PANELS = (
    ProbePanel("sufficient after, tokens", 1, (("sufficient", "sufficient"),)),
    ProbePanel("verbose, %", 100, (("verbose", "verbose"),)),
    ProbePanel("harmful, %", 100, (("harmful", "harmful"),)),
    ProbePanel("switches", 1, (("switches", "switches"),)),
    ProbePanel("right, %", 100, (("forced_beside_free", "forced answer"), ("free", "free continuation"))),
)
FORCED_ALONE = ProbePanel("right, %", 100, (("forced", "forced answer"),))


def probe_curve(rows: Sequence[CellRow], probed: ProbedStudy) -> tuple[JsonMapping, ...]:
    """The probed cells of the longest curve by λ, as `ProbedCell.json` with `lambda`; () where fewer than two λs had thoughts."""
    cells = {cell.cell: cell for cell in probed.cells if cell.samples}
    mine = [row for row in rows if row.key in cells]
    points = tuple(
        {"lambda": mine[i].cell.recipe.lam, **cells[mine[i].key].json()}
        for i in longest_curve([row.cell for row in mine])
    )
    return points if len(points) > 1 else ()


def probe_panels(points: Sequence[JsonMapping]) -> tuple[ProbePanel, ...]:
    """The panels that these points fill."""
    has_free = any(point["free"] is not None for point in points)
    panels = PANELS if has_free else (*PANELS[:-1], FORCED_ALONE)
    return tuple(p for p in panels if any(point[name] is not None for point in points for name, _ in p.lines))


def probes_sentence(rows: Sequence[CellRow], probed: ProbedStudy) -> str:
    """What the probes of the highest λ say, and how verbose overthinking goes along λ; "" without probes of a thought."""
    lams = {row.key: row.cell.recipe.lam for row in rows}
    found = sorted((c for c in probed.cells if c.samples and c.cell in lams), key=lambda c: lams[c.cell])
    if not found:
        return ""
    low, high = found[0], found[-1]
    said = [
        f"Probes at λ {lams[high.cell]:g} ({high.samples:,} samples with a thought of {high.questions:,} questions)"
    ]
    said += [_sufficient(high), f"harmful in {_share(high.values['harmful'])} of the samples"]
    text = f"{said[0]}: {'; '.join(filter(None, said[1:]))}."
    verbose = [cell.values["verbose"] for cell in (low, high)]
    if low is not high and all(e.value == e.value for e in verbose):
        text += (
            f" Verbose overthinking is {_share(verbose[0])} at λ {lams[low.cell]:g} and {_share(verbose[1])} at λ "
            f"{lams[high.cell]:g}."
        )
    fails = high.values["forced_fails"]
    if fails.value == fails.value:
        text += f" Of the points from which going on is right, a forced answer is wrong at {_share(fails)}."
    return text


def _sufficient(cell: ProbedCell) -> str:
    share, tokens = cell.values["sufficient_share"], cell.values["sufficient"]
    if tokens.value != tokens.value:
        return "no prefix was sufficient"
    return f"a prefix was sufficient in {_share(share)} of them, after {tokens.value:.0f} tokens{_ends(tokens, 1, 0)}"


def _share(e: Estimate) -> str:
    return f"{100 * e.value:.1f} %{_ends(e, 100, 1)}"


def _ends(e: Estimate, scale: float, digits: int) -> str:
    low, high = e.ci
    return "" if low is None or high is None else f" [{scale * low:.{digits}f}, {scale * high:.{digits}f}]"
