"""What a search found, as values and as the JSON object that the command ends with.

Search scores chose the finalists and flatter them; the held-out scores do not. Differences are accuracy of a finalist minus that of the
plain λ line's best mix at equal tokens (see `frontier.line_mix`), over the same questions and seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mi_explorer.recipe import Decoding
from mi_explorer.recipe_io import from_dict, to_dict
from mi_explorer.search.frontier import VolumePoint
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.report.table import Table
from mi_explorer.untyped import JsonMapping, JsonObject

NOT_BETTER = "no better than the line"


@dataclass(frozen=True)
class HeldoutScore:
    """Accuracy and mean tokens on held-out questions with 95 % intervals, and the paired difference at equal tokens.

    `line` is what it is compared with: (λ, weight). `surely`: the difference is above 0 also with one interval for all finalists together.
    """

    right: float
    right_ci: tuple[float, float]
    tokens: float
    tokens_ci: tuple[float, float]
    difference: float
    difference_ci: tuple[float, float]
    line: tuple[tuple[float, float], ...]
    line_tokens: float
    surely: bool


@dataclass(frozen=True)
class Finalist:
    """One recipe of the frontier."""

    cell: Cell
    right: float
    tokens: float
    heldout: HeldoutScore
    on_line: bool

    def json(self) -> JsonObject:
        h = self.heldout
        return {
            "recipe": to_dict(self.cell.recipe),
            "think_budget": self.cell.decoding.think_budget,
            "label": self.cell.label,
            "on_line": self.on_line,
            "search": {"mean": self.right, "tokens": self.tokens},
            "heldout": {
                "mean": h.right,
                "mean_ci": list(h.right_ci),
                "tokens": h.tokens,
                "tokens_ci": list(h.tokens_ci),
                "difference": h.difference,
                "difference_ci": list(h.difference_ci),
                "line": [{"lambda": lam, "weight": weight} for lam, weight in h.line],
                "line_tokens": h.line_tokens,
                "better": h.surely,
            },
        }


@dataclass(frozen=True)
class LineScore:
    """A point of the plain λ line on the held-out questions, with 95 % intervals."""

    lam: float
    right: float
    right_ci: tuple[float, float]
    tokens: float
    tokens_ci: tuple[float, float]

    def json(self) -> JsonObject:
        intervals = {"mean_ci": list(self.right_ci), "tokens_ci": list(self.tokens_ci)}
        return {"lambda": self.lam, "mean": self.right, "tokens": self.tokens, **intervals}


@dataclass(frozen=True)
class SearchResult:
    """The end of a search. Volumes are shares of one box; `line_volumes` is the λ grid's trace.

    `heldout_volume` and `heldout_line_volume`: what the finalists and the line's own finalists dominate on held-out questions.
    `tokens_used` counts all samples of the candidates, `tokens_generated` those that were not in the store before it began.
    """

    name: str
    finalists: tuple[Finalist, ...]
    volumes: tuple[VolumePoint, ...]
    line_volumes: tuple[VolumePoint, ...]
    heldout_volume: float
    heldout_line_volume: float
    evaluations: int
    stopped_early: int
    tokens_used: int
    tokens_generated: int
    questions: tuple[int, int]
    heldout_questions: tuple[int, int]
    settings: JsonMapping = field(default_factory=dict)
    line: tuple[LineScore, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether the search beat the plain line, in a sentence."""
        found = [f for f in self.finalists if not f.on_line]
        better = [f for f in found if f.heldout.surely]
        if not better:
            return (
                f"{NOT_BETTER}: on {self.heldout_questions[0]} held-out questions × {self.heldout_questions[1]}, "
                + (
                    f"none of the {len(found)} recipes found is surely above the plain λ line at equal tokens."
                    if found
                    else "every finalist is a point of the line itself."
                )
            )
        best = max(better, key=lambda f: f.heldout.difference)
        h = best.heldout
        return (
            f"better than the line: {len(better)} of {len(found)} recipes found; at most {100 * h.difference:+.1f} points "
            f"[{100 * h.difference_ci[0]:+.1f}, {100 * h.difference_ci[1]:+.1f}] at {h.tokens:.0f} tokens ({best.cell.label})."
        )

    def json(self) -> JsonObject:
        """The object that `search --json` ends with."""
        return {
            "name": self.name,
            "frontier": [f.json() for f in self.finalists],
            "hypervolume": [v.json() for v in self.volumes],
            "line_hypervolume": [v.json() for v in self.line_volumes],
            "heldout_hypervolume": {"search": self.heldout_volume, "line": self.heldout_line_volume},
            "evaluations": self.evaluations,
            "stopped_early": self.stopped_early,
            "tokens_used": self.tokens_used,
            "tokens_generated": self.tokens_generated,
            "questions": list(self.questions),
            "heldout_questions": list(self.heldout_questions),
            "settings": dict(self.settings),
            "line": [point.json() for point in self.line],
            "verdict": self.verdict,
        }

    @staticmethod
    def of(data: JsonMapping, decoding: Decoding) -> "SearchResult":
        """Inverse of `json`; `decoding` is the search's own."""
        return SearchResult(
            data["name"],
            tuple(_finalist(f, decoding) for f in data["frontier"]),
            _volumes(data["hypervolume"]),
            _volumes(data["line_hypervolume"]),
            data["heldout_hypervolume"]["search"],
            data["heldout_hypervolume"]["line"],
            data["evaluations"],
            data["stopped_early"],
            data["tokens_used"],
            data["tokens_generated"],
            tuple(data["questions"]),
            tuple(data["heldout_questions"]),
            data["settings"],
            tuple(
                LineScore(p["lambda"], p["mean"], tuple(p["mean_ci"]), p["tokens"], tuple(p["tokens_ci"]))
                for p in data.get("line", ())
            ),
        )

    def table(self) -> Table:
        """The finalists by tokens, as a table."""
        rows = []
        for f in self.finalists:
            h = f.heldout
            against = " + ".join(f"{weight:.2f}·λ {lam:g}" if weight < 1 else f"λ {lam:g}" for lam, weight in h.line)
            rows.append(
                [
                    f.cell.label,
                    f"{100 * f.right:.1f}",
                    f"{f.tokens:,.1f}",
                    f"{100 * h.right:.1f} [{100 * h.right_ci[0]:.0f}, {100 * h.right_ci[1]:.0f}]",
                    f"{h.tokens:,.1f}",
                    f"{100 * h.difference:+.1f} [{100 * h.difference_ci[0]:+.1f}, {100 * h.difference_ci[1]:+.1f}]",
                    against,
                ]
            )
        titles = ["recipe", "search %", "tokens", "held-out %", "tokens", "difference", "against"]
        return Table.of(titles, rows)


def _volumes(data: Sequence[JsonMapping]) -> tuple[VolumePoint, ...]:
    return tuple(VolumePoint(v["evaluations"], v["tokens"], v["value"]) for v in data)


def _finalist(data: JsonMapping, decoding: Decoding) -> Finalist:
    h = data["heldout"]
    line = tuple((x["lambda"], x["weight"]) for x in h["line"])
    heldout = HeldoutScore(
        h["mean"],
        tuple(h["mean_ci"]),
        h["tokens"],
        tuple(h["tokens_ci"]),
        h["difference"],
        tuple(h["difference_ci"]),
        line,
        h["line_tokens"],
        h["better"],
    )
    cell = Cell(
        from_dict(data["recipe"]), replace(decoding, think_budget=data["think_budget"]), data["label"], "search"
    )
    return Finalist(cell, data["search"]["mean"], data["search"]["tokens"], heldout, data["on_line"])
