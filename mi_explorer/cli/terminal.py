"""What the command line draws: the paper's table with intervals, a progress line, traces as they stream. Text only."""

import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from mi_explorer.studies.plan import describe
from mi_explorer.studies.progress import Progress, WorkerNews, WorkerStatus
from mi_explorer.studies.report.intervention_tables import GRID_MEASURES, answer_rows, gap_rows, grid_caption, grid_rows
from mi_explorer.studies.report.probe_curve import probes_sentence
from mi_explorer.studies.report.probe_table import NOTE, probe_rows
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.stats.probe_measures import ProbedStudy
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.search.search_events import SearchEvent, SearchProgress

LOG_EVERY_S = 15.0  # between progress lines where the output is no terminal


def clean(text: str) -> str:
    """Model text for a terminal: control characters (escape sequences!) become visible, newlines and tabs stay."""
    return "".join(c if c in "\n\t" or (ord(c) >= 32 and not 127 <= ord(c) < 160) else f"\\x{ord(c):02x}" for c in text)


def percent(value: float | None, ci: Sequence[float | None] | None = None) -> str:
    """A share as per cent, with its interval where there is one."""
    return "–" if value is None else f"{100 * value:.1f}" + _interval(ci, 100)


def tokens_text(value: float | None, ci: Sequence[float | None] | None = None) -> str:
    """Tokens, with their interval where there is one."""
    return "–" if value is None else f"{value:,.{0 if value >= 1000 else 1}f}" + _interval(ci, 1)


def _interval(ci: Sequence[float | None] | None, scale: float) -> str:
    if ci is None or ci[0] is None or ci[1] is None:
        return ""
    return f" [{scale * ci[0]:.0f}, {scale * ci[1]:.0f}]"


def probes_text(summary: Summary, probes: Sequence[ProbedStudy]) -> str:
    """The probes of a study, a table for each setting."""
    if not probes:
        return "No probes yet."
    parts = []
    for probed in probes:
        rows = probe_rows(summary, probed)
        head = f"Probes: {probed.words}"
        parts.append(f"{head}\n{Table.of_records(rows).text()}" if rows else f"{head}\nNo sample has a thought.")
        if sentence := probes_sentence(summary.rows, probed):
            parts.append(textwrap.fill(sentence, 124))
    return "\n\n".join([*parts, textwrap.fill(NOTE, 124)])


def interventions_text(summary: Summary) -> str:
    """λ against budgets at equal tokens, and the grids of interventions; "" without any."""
    gaps = gap_rows(summary)
    parts = [f"λ against a thought budget of as many tokens:\n{Table.of_records(gaps).text()}"] if gaps else []
    if answers := answer_rows(summary):
        parts.append(f"Another λ for the answer, against the thought's own:\n{Table.of_records(answers).text()}")
    for grid in summary.grids:
        for metric, title in GRID_MEASURES:
            caption = textwrap.fill(grid_caption(summary, grid, title), 124)
            parts.append(f"{caption}\n{Table.of_records(grid_rows(summary, grid, metric)).text()}")
    return "\n\n".join(parts)


def study_table(summary: Summary) -> str:
    """The paper's table of a study: mean, pass, vote, tokens, think ratio with 95 % intervals, n, and the stages."""
    info, plan = summary.info, summary.info.plan
    decodings = list(dict.fromkeys(row.cell.decoding for row in summary.rows))
    head = [
        f"{info.name}: task {plan.task}, pair {', '.join(plan.pairs)}"
        + (f" ({info.origin})" if info.origin != "live" else "")
    ]
    if len(decodings) == 1:
        head.append(describe(decodings[0]))
    elif decodings:
        seeds = dict.fromkeys(str(d.seed) for d in decodings)
        head.append(f"decoding as named, cap {max(d.cap for d in decodings)}, seed {'/'.join(seeds)}")
    if not summary.rows:
        return "\n".join([*head, "No samples yet."])
    k = max(cell["samples"] for cell in summary.cells)
    labelled = any(cell["label"] for cell in summary.cells)
    groups = len({cell["group"] for cell in summary.cells}) > 1
    rows = []
    for cell in summary.cells:
        name = cell["label"] or (f"{cell['group']} " if groups and cell["group"] else "") + f"{cell['lambda']:g}"
        shares = [
            percent(cell[m], cell[f"{m}_ci"])
            for m in ("mean", "pass", "vote", "think_ratio", "truncated", "overthinking")
        ]
        rows.append(
            [
                name,
                *shares[:3],
                tokens_text(cell["tokens"], cell["tokens_ci"]),
                *shares[3:],
                f"{cell['questions']}×{cell['samples']}",
            ]
        )
    titles = [
        "recipe" if labelled else "λ",
        f"mean@{k} %",
        f"pass@{k} %",
        f"vote@{k} %",
        "tokens",
        "think ratio %",
        "cut %",
        "overthinking %",
        "n",
    ]
    notes = [
        "Brackets: 95 % intervals, bootstrap over questions. cut: no end of turn within the cap (counts as wrong). "
        "overthinking: share of",
        "tokens after the first right answer, in right samples. n: questions × samples.",
    ]
    words = [
        f"{group}: {found['message']}" if len(summary.stages) > 1 else found["message"]
        for group, found in summary.stages.items()
    ]
    words += [
        found["useful"]
        for found in summary.stages.values()
        if found["lambda50"] is not None and len(summary.stages) == 1
    ]
    if summary.sentence:
        words += ["", *textwrap.wrap(summary.sentence, 120)]
    if summary.budget_sentence:
        words += ["", *textwrap.wrap(summary.budget_sentence, 120)]
    return "\n".join([*head, "", Table.of(titles, rows).text(), "", *notes, *words])


def duration(seconds: float | None) -> str:
    """Seconds in words: 42 s, 3:05 min, 2:10 h."""
    if seconds is None:
        return "?"
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60}:{s % 60:02d} min" if s < 3600 else f"{s // 3600}:{s % 3600 // 60:02d} h"


class ProgressLine:
    """Progress of a run on `out` (standard error): one line redrawn in place on a terminal, elsewhere a line now and then."""

    def __init__(self, out: TextIO | None = None, quiet: bool = False) -> None:
        self.out, self.quiet = out or sys.stderr, quiet
        self._live = None if quiet or not self.out.isatty() else tqdm(file=self.out, bar_format="{desc}", leave=True)
        self._logged = -LOG_EVERY_S

    def show(self, progress: Progress) -> None:
        """Draw a progress event."""
        self.show_text(progress_text(progress), progress.state != "running")

    def show_text(self, text: str, last: bool = False) -> None:
        """Draw a line; `last`: it is also noted where the output is no terminal and the time has not come."""
        if self._live is not None:
            self._live.set_description_str(text)
        elif last or time.monotonic() >= self._logged + LOG_EVERY_S:
            self._logged = time.monotonic()
            self.note(text)

    def note(self, text: str) -> None:
        """A line that stays."""
        if not self.quiet:
            tqdm.write(text, file=self.out)

    def end(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.close()


class SearchLine:
    """Progress of a search on `out` (standard error): each line stays; where the output is no terminal, one now and then."""

    def __init__(self, out: TextIO | None = None, quiet: bool = False) -> None:
        self._line = ProgressLine(out, quiet)

    def show(self, event: "SearchEvent") -> None:
        """Draw an event."""
        from mi_explorer.search.search_events import SearchProgress

        if isinstance(event, SearchProgress):
            self._line.show_text(search_text(event), event.phase in ("done", "stopped"))
        elif isinstance(event, WorkerNews):
            self._line.note(clean(event.text))

    def note(self, text: str) -> None:
        """A line that stays."""
        self._line.note(text)

    def end(self) -> None:
        """Leave the last state on the screen."""
        self._line.end()


def search_text(p: "SearchProgress") -> str:
    """A search's progress in one line."""
    words = [f"{p.phase}: {p.evaluations}/{p.of} evaluations"]
    if p.total:
        words.append(f"{p.done:,}/{p.total:,} samples")
    if p.tokens_per_second:
        words.append(f"{p.tokens_per_second:,.0f} tokens/s")
    if p.workers:
        words.append(workers_text(p.workers))
    return " · ".join([*words, duration(p.seconds)])


def progress_text(p: Progress) -> str:
    """A progress event in one line."""
    if p.workers and not p.total:
        return f"loading the pair · {workers_text(p.workers)} · {duration(p.seconds)}"
    ready = p.done + p.reused
    share = ready / p.total if p.total else 1.0
    bar = "█" * round(20 * share) + "·" * (20 - round(20 * share))
    words = [f"{bar} {ready:,}/{p.total:,} samples", *([f"{p.cells_done}/{p.cells} cells"] if p.cells else [])]
    if p.reused:
        words.append(f"{p.reused:,} from the store")
    if p.failed:
        words.append(f"{p.failed:,} failed ({clean(p.message)[:80]})")
    if p.state == "running":
        words += [f"{p.tokens_per_second:,.0f} tokens/s", f"{duration(p.eta)} left"]
        words += [workers_text(p.workers)] if p.workers else []
    else:
        words += [p.state, duration(p.seconds)]
    return " · ".join(words)


def workers_text(workers: Sequence[WorkerStatus]) -> str:
    """The workers of a run: each with its tokens a second where they are few, else how many are in which state."""
    if len(workers) <= 4:
        rates = (f"{w.tokens_per_second:,.0f}/s" if w.state == "busy" else w.state for w in workers)
        return f"workers {', '.join(rates)}"
    states = Counter(w.state for w in workers)
    return f"{len(workers)} workers: {', '.join(f'{n} {state}' for state, n in states.items())}"


def trace_sentence(values: JsonObject) -> str:
    """One line about a finished trace: verdict and counts."""
    verdict = {True: "✓ correct", False: "✗ wrong", None: ""}[values["correct"]]
    parts = [f"λ {values['lambda']:g}", verdict, f"{values['tokens']} tokens ({values['think_tokens']} of thought)"]
    if values["truncated"]:
        parts.append("cut off at the cap")
    elif values["answer"] is None:
        parts.append("no answer found")
    else:
        parts.append(f"answer {clean(values['answer'])}")
    return " · ".join(filter(None, parts))


def byte_size(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:,} B"
