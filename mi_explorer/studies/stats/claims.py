"""What the paper says, put to the test on our own samples: each claim with a verdict and its evidence in one clause.

A claim holds or fails only where a paired interval says so; otherwise it is undecided, and that is said too. Shares are
printed in percent, differences in points with 95 % intervals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.recipe import MODULES, parse_layers
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.stats.curve import intervened, longest_curve
from mi_explorer.studies.stats.metrics import LEVEL, SHARES, Estimate, Measures
from mi_explorer.studies.stats.stages import Transition, of_measures
from mi_explorer.studies.stats.useful_end import end_of_useful_stage_3

MARGIN = 0.015  # accuracy differences within 1.5 points count as equal
ENOUGH_LAMBDAS = 4  # λs between the parents from which on a study may say that there is none of a kind
NO_TRANSITION = Transition("none", "No λ sweep in this study, so no transition.")
NEAR_ALL, NEAR_NONE = 0.8, 0.1  # think ratios that read as "thinks" and "does not think"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper about this kind of study. `holds` is None where the samples cannot decide."""

    text: str
    holds: bool | None
    evidence: str


def claims_sentence(claims: Sequence[Claim]) -> str:
    """What agrees with the paper, what does not and what is undecided, as one sentence."""
    if not claims:
        return "This study has no cells that the paper's own could be compared with."
    parts = [
        f"{word}: " + ", and ".join(f"{c.text} ({c.evidence})" for c in claims if c.holds is verdict)
        for verdict, word in ((True, "Agrees with the paper"), (False, "does not agree"), (None, "undecided"))
        if any(c.holds is verdict for c in claims)
    ]
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _percent(x: float) -> str:
    return f"{100 * x:.1f} %"


def _points(e: Estimate) -> str:
    """A difference of shares: `+3.1 points [+0.4, +5.9]`."""
    return f"{100 * e.value:+.1f} points [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"


def _above(e: Estimate, bound: float = 0.0) -> bool | None:
    """Whether a difference is certainly above the bound, certainly not, or undecided."""
    if e.low > bound:
        return True
    return False if e.high <= bound else None


def paired_difference(measures: Measures, cell: int, other: int, metric: str) -> Estimate:
    """A paired difference; where every draw agrees, a share's interval is the exact bound of `Measures.estimate`, not a point."""
    e = measures.paired(cell, other, metric)
    if metric not in SHARES or e.low != e.high or not e.questions:
        return e
    far = 1 - ((1 - LEVEL) / 2) ** (1 / e.questions)
    return Estimate(e.value, max(-1.0, e.value - far), min(1.0, e.value + far), e.questions)


def _sweep(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """The three stages along λ."""
    lams = [c.recipe.lam for c in cells]
    by_lam = {lam: i for i, lam in enumerate(lams)}
    never = found.kind == "none" and 0.0 in by_lam and 1.0 in by_lam  # a part of the range cannot tell
    appears = True if found.lambda50 is not None else False if never else None
    claims = [Claim("thought appears at a transition in λ", appears, _where(found))]
    if found.lambda50 is None or 0.0 not in by_lam or 1.0 not in by_lam:
        return claims
    first, last = by_lam[0.0], by_lam[1.0]
    ratio, tokens, accuracy = (measures.values(m) for m in ("think_ratio", "tokens", "mean"))
    early = [i for lam, i in sorted(by_lam.items()) if 0 < lam < found.lambda50 and ratio[i] <= 0.05]
    if early:
        best = max(early, key=lambda i: accuracy[i])
        gain, longer = (
            paired_difference(measures, best, first, "mean"),
            paired_difference(measures, best, first, "tokens"),
        )
        both = [_above(gain), _above(longer)]
        claims.append(Claim(
            "before thought appears, answers grow longer and better", False if False in both else None if None in both else True,
            f"λ {lams[best]:g} against 0: {_points(gain)}, {longer.value:+.0f} tokens [{longer.low:+.0f}, {longer.high:+.0f}]",
        ))  # fmt: skip
    late = [i for lam, i in sorted(by_lam.items()) if found.lambda50 < lam < 1 and ratio[i] >= 0.95]
    if late:
        start = late[0]
        gain, longer = (
            paired_difference(measures, last, start, "mean"),
            paired_difference(measures, last, start, "tokens"),
        )
        rises = _above(longer)
        claims.append(Claim(
            "late in λ tokens keep rising", rises,
            f"λ {lams[start]:g} to 1: {tokens[start]:.0f} to {tokens[last]:.0f} tokens "
            f"({100 * (tokens[last] / tokens[start] - 1):+.0f} %), {_points(gain)}",
        ))  # fmt: skip
    between = [i for i in range(len(lams)) if 0 < lams[i] < 1]
    cheaper = [i for i in between if tokens[i] <= 0.85 * tokens[last]]
    text = "some λ below 1 is as accurate as Thinking with at most 85 % of its tokens"
    if between and not cheaper:
        fewest = min(between, key=lambda i: tokens[i])
        claims.append(Claim(
            text, False if len(between) >= ENOUGH_LAMBDAS else None,
            f"none of {len(between)} λ between has so few: {100 * tokens[fewest] / tokens[last]:.0f} % at λ {lams[fewest]:g}",
        ))  # fmt: skip
    if cheaper:
        best = max(cheaper, key=lambda i: measures.paired(i, last, "mean").low)
        gap = paired_difference(measures, best, last, "mean")
        claims.append(Claim(
            text, _above(gap, -MARGIN),
            f"λ {lams[best]:g}: {_points(gap)} at {100 * tokens[best] / tokens[last]:.0f} % of the tokens",
        ))  # fmt: skip
    end = end_of_useful_stage_3(measures, lams, found)
    step = end.last if end.lam is None or end.to is None else (end.lam, end.to)
    if step is not None:
        start, stop = by_lam[step[0]], by_lam[step[1]]
        gain, longer = (
            paired_difference(measures, stop, start, "mean"),
            paired_difference(measures, stop, start, "tokens"),
        )
        claims.append(Claim(
            "the end of stage 3 overthinks: more tokens, no more accuracy",
            False if step == end.last else True if gain.high <= MARGIN else None,
            f"λ {step[0]:g} to {step[1]:g}: {longer.value:+.0f} tokens, {_points(gain)}",
        ))  # fmt: skip
    return claims


def _where(found: Transition) -> str:
    low, high = found.stage2
    if found.lambda50 is None:
        return found.message.rstrip(".")
    band = f", from 1 to 99 % between λ {low:.2f} and {high:.2f}" if low is not None and high is not None else ""
    return f"half of the responses at λ {found.lambda50:.2f}{band}"


def _thinks(text: str, measures: Measures, i: int, expect: bool) -> Claim:
    e = measures.estimate(i, "think_ratio")
    holds = e.low >= NEAR_ALL if expect else e.high <= NEAR_NONE
    clearly_not = e.high < NEAR_ALL if expect else e.low > NEAR_NONE
    return Claim(
        text,
        True if holds else False if clearly_not else None,
        f"think ratio {_percent(e.value)} [{100 * e.low:.1f}, {100 * e.high:.1f}]",
    )


def _layers(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """Table 3: which thirds of the layers carry the thought."""
    spans = {
        i: parse_layers(c.recipe.scope.layers)
        for i, c in enumerate(cells)
        if c.recipe.scope.layers not in ("all", "none")
    }
    depth = 1 + max((span[-1][1] for span in spans.values() if span), default=-1)
    part = {}
    for i, span in spans.items():
        if span and len(span) == 1 and depth:
            part[round(3 * span[0][0] / depth), round(3 * (span[0][1] + 1) / depth)] = i
    claims = []
    for key, text, expect in (
        ((1, 3), "the last two thirds of the layers alone think", True),
        ((0, 1), "the first third alone does not", False),
    ):
        if key in part:
            claims.append(_thinks(text, measures, part[key], expect))
    if (1, 3) in part and (0, 2) in part:
        gap = paired_difference(measures, part[1, 3], part[0, 2], "think_ratio")
        claims.append(Claim("the last two thirds think more than the first two", _above(gap), _points(gap)))
    return claims


def _modules(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """Figure 5: leaving modules out."""
    claims = []
    for i, cell in enumerate(cells):
        missing = set(MODULES) - set(cell.recipe.scope.modules)
        if missing == {"attention"}:
            claims.append(_thinks("without attention it still thinks", measures, i, True))
        if missing == {"mlp"}:
            claims.append(_thinks("without MLP it does not", measures, i, False))
    return claims


def _decoding(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """Figure 4: temperature and top-p hardly matter."""
    if len(cells) < 2:
        return []
    accuracy = measures.values("mean")
    high, low = int(accuracy.argmax()), int(accuracy.argmin())
    a, b = cells[high].decoding, cells[low].decoding
    # Best against worst is large by selection alone: compare the range with the ranges of the draws around their own means.
    noise = measures.draws("mean") - accuracy
    chance, extreme = (float(x) for x in np.quantile(np.ptp(noise, axis=1), [LEVEL, 0.99]))
    span = float(accuracy[high] - accuracy[low])
    return [Claim(
        "temperature and top-p hardly change accuracy",
        True if span <= max(chance, 2 * MARGIN) else False if span > max(extreme, 2 * MARGIN) else None,
        f"best T {a.temperature:g}, top-p {a.top_p:g}, worst T {b.temperature:g}, top-p {b.top_p:g}: {100 * span:.1f} points apart; "
        f"up to {100 * chance:.1f} by chance alone" if span else f"equal in all {len(cells)} cells",
    )]  # fmt: skip


def _backbone(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """Table 4: an Instruct backbone is at least as good as a base model in its place."""
    names = {c.label.lower() or c.recipe.pair.lower(): i for i, c in enumerate(cells)}
    instruct = next((i for name, i in names.items() if "instruct" in name), None)
    base = next((i for name, i in names.items() if "base" in name and "instruct" not in name), None)
    if instruct is None or base is None:
        return []
    gap = paired_difference(measures, instruct, base, "mean")
    return [Claim("an Instruct backbone is more accurate than the base model in its place", _above(gap), _points(gap))]


def _methods(measures: Measures, cells: Sequence[Cell], found: Transition) -> list[Claim]:
    """Table 2: plain interpolation against task arithmetic and TIES."""
    accuracy, tokens = measures.values("mean"), measures.values("tokens")
    inside = [i for i, c in enumerate(cells) if c.recipe.method == "linear" and 0 < c.recipe.lam < 1]
    claims = []
    for method in ("task_arithmetic", "ties"):
        others = [i for i, c in enumerate(cells) if c.recipe.method == method]
        if not others or not inside:
            continue
        other = max(others, key=lambda i: accuracy[i])
        best = max(inside, key=lambda i: accuracy[i])
        gap = paired_difference(measures, best, other, "mean")
        claims.append(Claim(
            f"interpolation is more accurate than {method.replace('_', ' ').replace('ties', 'TIES')}", _above(gap),
            f"λ {cells[best].recipe.lam:g} against its best: {_points(gap)}, {tokens[best]:.0f} against {tokens[other]:.0f} tokens",
        ))  # fmt: skip
    return claims


_CLAIMS: dict[str, Callable[[Measures, Sequence[Cell], Transition], list[Claim]]] = {
    "sweep": _sweep, "layers": _layers, "modules": _modules, "decoding": _decoding, "backbone": _backbone, "methods": _methods,
}  # fmt: skip


def tested_claims(kind: str, cells: Sequence[Cell], measures: Measures) -> tuple[Claim, ...]:
    """The paper's statements about this kind of study, tested on the cells of `measures`; () where it makes none.

    Those about a sweep are tested along its longest curve, if nobody intervened in it.
    """
    if kind not in _CLAIMS or not measures.grid.judged:
        return ()
    indices = longest_curve(cells) if kind == "sweep" else tuple(range(len(cells)))
    if kind == "sweep" and indices and intervened(cells[indices[0]]):
        return ()
    part, tested = measures.of_cells(indices), [cells[i] for i in indices]
    found = NO_TRANSITION
    if kind == "sweep":
        found = of_measures(part, [cell.recipe.lam for cell in tested])
    return tuple(_CLAIMS[kind](part, tested, found))
