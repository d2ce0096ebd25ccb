"""The traces of a report: a few of the study, chosen by rule and not by taste, or those that a visitor pinned in Explore."""

from collections.abc import Iterable
from dataclasses import dataclass

from mi_explorer.recipe import Decoding
from mi_explorer.studies.plan import Item, describe
from mi_explorer.studies.stats.curve import curves
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.studies.store.sample import trace_from
from mi_explorer.studies.store.store import CellRow, Store, StudyInfo
from mi_explorer.untyped import JsonMapping

MOST_NOTES, MOST_NOTE = 60, 400  # of one trace, and characters of each
MOST_TEXT = 200_000  # characters of one trace's thought or answer


@dataclass(frozen=True)
class ReportTrace:
    """One trace of a report. `verdict` is "correct", "wrong", another word of the judge, or None without a known answer."""

    name: str
    thought: str
    answer: str
    verdict: str | None
    tokens: int
    think_tokens: int
    truncated: bool = False
    notes: tuple[str, ...] = ()
    """Where a branch came from, and what probes of the trace said."""

    @property
    def facts(self) -> list[str]:
        """Length, verdict and whether it was cut off, in words."""
        return [
            f"{self.tokens:,} tokens, {self.think_tokens:,} of them thought",
            *([self.verdict] if self.verdict else []),
            *(["cut at the limit"] if self.truncated else []),
            *self.notes,
        ]


@dataclass(frozen=True)
class ReportTraces:
    """The traces of a report: the question, its known answer, how they were chosen and drawn."""

    question: str
    gold: str
    how: str
    traces: tuple[ReportTrace, ...]


def choose_traces(store: Store, info: StudyInfo, summary: Summary) -> ReportTraces:
    """A few traces by rule, not by taste: the first question with stored texts, its first sample, at the ends and the transition."""
    rows = _few(summary)
    items: dict[str, Item] = {item.key: item for item in store.items(info.id) if not item.private}
    wanted = {row.key for row in rows}
    first = {
        (s.item, s.cell): s for s in store.samples(info.id) if s.number == 0 and s.cell in wanted and s.item in items
    }
    for key, item in items.items():
        found = [(row, sample, store.body(sample.key)) for row in rows if (sample := first.get((key, row.key)))]
        if len(found) == len(rows) and all(body is not None for *_, body in found):
            shown = []
            for row, sample, body in found:
                trace = trace_from(sample, body or {}, item.answer)
                shown.append(
                    ReportTrace(
                        _name(row),
                        trace.thought.strip()[:MOST_TEXT],
                        trace.answer_text.strip()[:MOST_TEXT],
                        sample.verdict,
                        trace.tokens,
                        trace.think_tokens,
                        trace.truncated,
                    )
                )
            how = "Chosen by rule: the first question whose texts are stored, its first sample, " + (
                "at the lowest λ, nearest to the transition, and at the highest λ."
                if info.plan.kind == "sweep"
                else "in the first and last cells."
            )
            return ReportTraces(item.prompt, item.answer or "", how, tuple(shown))
    why = (
        "The questions of this task may not be republished, so no trace is shown."
        if not items
        else "The study keeps no texts, so no trace is shown."
    )
    return ReportTraces("", "", why, ())


def _few(summary: Summary) -> list[CellRow]:
    """At most four cells: the ends of the first curve and its transition; of other studies the first two and the last two."""
    rows = [row for row in summary.rows if row.cell.group != "ends"] or list(summary.rows)
    found = curves([row.cell for row in rows], least=1)
    if summary.info.plan.kind != "sweep" or not found:
        return list(dict.fromkeys(rows[:2] + rows[-2:]))
    curve = [rows[i] for i in next(iter(found.values()))]
    centre = next((found["lambda50"] for found in summary.stages.values() if found["lambda50"] is not None), None)
    middle = curve[len(curve) // 2] if centre is None else min(curve, key=lambda row: abs(row.cell.recipe.lam - centre))
    return list(dict.fromkeys([curve[0], middle, curve[-1]]))


def _name(row: CellRow) -> str:
    return row.cell.label or f"{row.cell.recipe.method}, λ {row.cell.recipe.lam:g}"


def traces_of_frames(frames: Iterable[JsonMapping], question: str, gold: str, decoding: Decoding) -> ReportTraces:
    """The traces that a visitor looks at in Explore: `{"lam", "thought", "answer", "verdict", "tokens", "think", "truncated"}` each,
    with `notes` (texts) on branches and probes."""

    def number(value: object) -> int:
        return int(value) if isinstance(value, (int, float)) and abs(value) < 1e9 else 0

    def text(value: object) -> str:
        return value[:MOST_TEXT] if isinstance(value, str) else ""

    def notes(value: object) -> tuple[str, ...]:
        return tuple(text(x)[:MOST_NOTE] for x in value[:MOST_NOTES]) if isinstance(value, list) else ()

    shown = [
        ReportTrace(f"λ {f['lam']:g}", text(f.get("thought")), text(f.get("answer")), text(f.get("verdict"))[:20] or None,
              number(f.get("tokens")), number(f.get("think")),
              f.get("truncated") is True, notes(f.get("notes")))
        for f in frames if isinstance(f.get("lam"), (int, float))
    ]  # fmt: skip
    how = (
        f"Pinned in Explore by whoever made this report: one question, one sample per λ, {describe(decoding)}. "
        "They are no part of the study's figures."
    )
    return ReportTraces(question, gold, how, tuple(shown))
