"""What the Weights tab does: measure a pair once, in the background, keep the result, and say how far it is.

No gradio here. A measurement belongs to the pair's files (`Parents.id`), not to a visitor: everyone who looks meanwhile sees the
same progress, and a closed tab ends nothing. Results are kept in memory and, where there is a home, as JSON beside the store.
"""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.merging.distances import Distances, distances
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.weights import weights_figures

log = logging.getLogger(__name__)
PROGRESS_INTERVAL_S = 0.25  # seconds between two words about progress
AUTO_MEASURE_NUMBERS = 500_000_000  # numbers in a parent up to which opening the tab is reason enough to measure
HINT = "Click a cell or a tensor to blend only that in Explore. The final norm goes with every choice of norms."


@dataclass
class Measurement:
    """One measurement: `done` of `total` numbers, then `found` or `error`."""

    total: int
    done: int = 0
    found: Distances | None = None
    error: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class Measurements:
    """The measurements of one process, by the files that were measured."""

    def __init__(self) -> None:
        self._works: dict[str, Measurement] = {}
        self._lock = threading.Lock()

    def known(self, bench: Any) -> Measurement | None:
        """The work on this workbench's pair: running, ended, or read from the home folder; None if it was never measured."""
        parents = parents_of(bench)
        with self._lock:
            work = self._works.get(parents.id)
            if work is None and (kept := _read(_file(bench, parents.id))) is not None:
                work = self._works[parents.id] = Measurement(kept.overall.numel, kept.overall.numel, kept)
                work.ended.set()
            return work

    def start(self, bench: Any) -> Measurement:
        """The work on this pair, begun in the background if it is not there or failed. Raises `UserError` without weights."""
        work = self.known(bench)
        parents = parents_of(bench)
        with self._lock:
            work = self._works.get(parents.id, work)
            if work is None or work.error:
                work = self._works[parents.id] = Measurement(compared_numbers(parents))
                threading.Thread(target=_measure, args=(work, bench), name="distances", daemon=True).start()
            return work


def parents_of(bench: Any) -> Any:
    """The open checkpoints of a workbench. Raises `UserError` where it has none (a scripted one)."""
    parents = getattr(getattr(bench, "resident", None), "parents", None)
    if parents is None:
        raise UserError("The weights of this pair are not at hand here, so there is nothing to measure.")
    return parents


def compared_numbers(parents: Any) -> int:
    """How many numbers of a parent are compared."""
    return sum(parents.entry("instruct", name).numel for name in parents.names() if parents.blends(name))


def _measure(work: Measurement, bench: Any) -> None:
    parents = parents_of(bench)

    def tell(done: int, total: int) -> None:
        work.done, work.total = done, total

    try:
        work.found = distances(parents, tell)
        _write(_file(bench, parents.id), work.found)
    except UserError as error:
        work.error = str(error)
    except Exception as error:
        log.exception("The distances could not be measured")
        work.error = f"The measurement broke off ({type(error).__name__}). Try again; the server's log says more."
    finally:
        work.ended.set()


def _file(bench: Any, id: str) -> Path | None:
    """Where a pair's distances are kept; None without a home."""
    try:
        return Path(bench.store.path).parent / "distances" / f"{id}.json"
    except (UserError, AttributeError, OSError):
        return None


def _read(path: Path | None) -> Distances | None:
    try:
        return (
            Distances.of(json.loads(path.read_text(encoding="utf-8"))) if path is not None and path.is_file() else None
        )
    except (OSError, ValueError):
        return None  # it is measured anew


def _write(path: Path | None, found: Distances) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found.to_dict()), encoding="utf-8")
        part.replace(path)
    except OSError:
        log.warning("The distances could not be kept in %s", path)


def watch_measurement(measuring: Measurements, bench: Any, asked: bool = False) -> Iterator[dict[str, Any]]:
    """States of the board until the measurement ends; the last one has `found`. `asked`: measure a large pair too.

    `{"text", "done", "total", "error", "ask"}`: `ask` is the label of the button that a large pair needs.
    """
    state: dict[str, Any] = {"text": "", "done": 0, "total": 0, "error": "", "ask": "", "found": None}
    try:
        work = measuring.known(bench)
        size = compared_numbers(parents_of(bench))
        if (work is None or work.error) and not asked and size > AUTO_MEASURE_NUMBERS:
            yield state | {
                "text": f"Each parent holds {size / 1e9:.1f} billion numbers; comparing them reads every file once, in the background.",
                "ask": "Measure this pair",
            }
            return
        work = measuring.start(bench)
        while not work.ended.wait(PROGRESS_INTERVAL_S):
            share = 100 * work.done / max(work.total, 1)
            yield state | {
                "text": f"Comparing the parents: {share:.0f} % of {work.total:,} numbers",
                "done": work.done,
                "total": work.total,
            }
        if work.error:
            yield state | {"error": work.error, "ask": "Try again"}
        else:
            yield state | {"found": work.found}
    except UserError as error:
        yield state | {"error": str(error)}


def distances_board(bench: Any, state: dict[str, Any]) -> str:
    """A state as the board's content: JSON text."""
    found: Distances | None = state["found"]
    shown = {k: v for k, v in state.items() if k != "found"}
    if found is not None:
        columns, rows = weights_figures.distance_table(found, found.tensors)
        shown |= {
            "verdict": found.verdict,
            "gauge": found.gauge,
            "facts": weights_figures.distance_facts(found),
            "slerp": weights_figures.slerp_note(found),
            "hint": HINT,
            "columns": columns,
            "rows": rows,
            "name": f"weights-{_plain_name(bench)}",
        }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def heat_map_content(bench: Any, found: Distances | None, measure: str) -> str:
    """The heat map's content; "" before there is anything."""
    if found is None:
        return ""
    measure = measure if measure in {name for _, name in weights_figures.offered_measures(found)} else "sigma"
    return figure_content(*weights_figures.heat_map_figure(found, measure), f"{measure}-{_plain_name(bench)}")


def gauge_content(bench: Any, found: Distances | None) -> str:
    """The gauge's content; "" before there is anything."""
    name = getattr(bench.pair, "title", "") or bench.pair.name
    return (
        ""
        if found is None
        else figure_content(*weights_figures.gauge_figure(found, name), f"gauge-{_plain_name(bench)}")
    )


def measure_text(found: Distances | None, measure: str) -> str:
    """What the chosen measure is, in our own words (no text from outside)."""
    m = weights_figures.MEASURES.get(measure, weights_figures.MEASURES["sigma"])
    return f"{m.title}: {m.about}." if found is not None else ""


def _plain_name(bench: Any) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in str(bench.pair.name))[:60]
