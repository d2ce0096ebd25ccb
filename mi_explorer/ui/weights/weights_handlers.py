"""What the Weights tab does: measure a pair once, in the background, keep the result, and say how far it is.

No gradio here. A measurement belongs to the pair's files (`Parents.id`), not to a visitor: everyone who looks meanwhile sees the
same progress, and a closed tab ends nothing. Results are kept in memory and, where there is a home, as JSON beside the store.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.background import BackgroundTask, BackgroundTasks, Step
from mi_explorer.checkpoints.parents import Parents
from mi_explorer.errors import UserError
from mi_explorer.merging.distances import Distances, distances
from mi_explorer.pair_names import pair_name
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.weights import weights_figures
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.engine import ResidentPair
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
PROGRESS_INTERVAL_S = 0.25
AUTO_MEASURE_NUMBERS = 500_000_000  # numbers in a parent up to which opening the tab is reason enough to measure
HINT = "Click a cell or a tensor to blend only that in Explore. The final norm goes with every choice of norms."


def parents_of(bench: "Workbench") -> Parents:
    """The open checkpoints of a workbench. Raises `UserError` where it has none (a scripted one)."""
    return resident_of(bench).parents


def resident_of(bench: "Workbench") -> "ResidentPair":
    """The weights of a workbench. Raises `UserError` where it has none (a scripted one)."""
    resident = getattr(bench, "resident", None)
    if resident is None:
        raise UserError("The weights of this pair are not at hand here, so there is nothing to measure.")
    return resident


def compared_numbers(parents: Parents) -> int:
    """How many numbers of a parent are compared."""
    return sum(parents.entry("instruct", name).numel for name in parents.names() if parents.blends(name))


class Measurements:
    """The distances of pairs by their files: measured in this process, or before and kept in the home folder."""

    def __init__(self) -> None:
        self._tasks: BackgroundTasks[Step, Distances] = BackgroundTasks()

    def known(self, bench: "Workbench") -> BackgroundTask[Step, Distances] | None:
        """The measurement of this pair: running, ended, or read from the home folder; None if it was never measured."""
        parents = parents_of(bench)
        if (task := self._tasks.get(parents.id)) is not None:
            return task
        kept = _read(_file(bench, parents.id))
        return None if kept is None else self._tasks.start(parents.id, "distances", lambda publish: kept)

    def start(self, bench: "Workbench") -> BackgroundTask[Step, Distances]:
        """The measurement of this pair, begun in the background if it is not there or failed. Raises `UserError` without weights."""
        parents = parents_of(bench)
        self.known(bench)

        def measure(publish: Callable[[Step], None]) -> Distances:
            publish(Step(total=compared_numbers(parents)))
            found = distances(parents, lambda done, total: publish(Step("", done, total)))
            _write(_file(bench, parents.id), found)
            return found

        return self._tasks.start(parents.id, "distances", measure)

    def found(self, bench: "Workbench") -> Distances | None:
        """The distances of this pair, if they are there."""
        task = self.known(bench)
        return task.join(PROGRESS_INTERVAL_S).result if task else None


def _file(bench: "Workbench", id: str) -> Path | None:
    """Where a pair's distances are kept; None without a home."""
    try:
        return Path(bench.store.path).parent / "distances" / f"{id}.json"
    except (UserError, AttributeError, OSError):
        return None


def _read(path: Path | None) -> Distances | None:
    if path is None or not os.path.isfile(path):
        return None
    try:
        return Distances.of(json.loads(path.read_text(encoding="utf-8")))
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


def watch_measurement(measurements: Measurements, bench: "Workbench", asked: bool = False) -> Iterator[JsonObject]:
    """States of the board until the measurement ends; the last one has `found`. `asked`: measure a large pair too.

    `{"text", "done", "total", "error", "ask", "found"}`: `ask` is the label of the button that a large pair needs.
    """
    board: JsonObject = {"text": "", "done": 0, "total": 0, "error": "", "ask": "", "found": None}
    try:
        known, size = measurements.known(bench), compared_numbers(parents_of(bench))
        if (known is None or known.state.status == "failed") and not asked and size > AUTO_MEASURE_NUMBERS:
            about = f"Each parent holds {size / 1e9:.1f} billion numbers; comparing them reads every file once, in the background."
            yield board | {"text": about, "ask": "Measure this pair"}
            return
        for state in measurements.start(bench).watch(PROGRESS_INTERVAL_S):
            step = state.progress or Step(total=size)
            share = 100 * step.done / max(step.total, 1)
            if not state.ended:
                text = f"Comparing the parents: {share:.0f} % of {step.total:,} numbers"
                yield board | {"text": text, "done": step.done, "total": step.total}
            elif state.result is None:
                yield board | {"error": state.error, "ask": "Try again"}
            else:
                yield board | {"found": state.result}
    except UserError as error:
        yield board | {"error": str(error)}


def distances_board(bench: "Workbench", state: JsonObject) -> str:
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


def heat_map_content(bench: "Workbench", found: Distances | None, measure: str) -> str:
    """The heat map's content; "" before there is anything."""
    if found is None:
        return ""
    measure = measure if measure in {name for _, name in weights_figures.offered_measures(found)} else "sigma"
    return figure_content(*weights_figures.heat_map_figure(found, measure), f"{measure}-{_plain_name(bench)}")


def gauge_content(bench: "Workbench", found: Distances | None) -> str:
    """The gauge's content; "" before there is anything."""
    if found is None:
        return ""
    name = getattr(bench.pair, "title", "") or pair_name(bench.pair.name)
    return figure_content(*weights_figures.gauge_figure(found, name), f"gauge-{_plain_name(bench)}")


def _plain_name(bench: "Workbench") -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in pair_name(bench.pair.name))[:60]
