"""What the Search tab does when the page asks: list searches, show one, say what one would cost, start it, stop it, go on with it.

No gradio here: JSON types in and out, so that tests call it directly. Searches belong to the process: whoever comes back finds them.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.search.search_job import SearchJobs
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.handler_errors import broken
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.page_workers import PageWorkers
from mi_explorer.ui.plotly_component import figure_content
from mi_explorer.ui.search.search_boards import bar_board, recipes_board
from mi_explorer.ui.search.search_figures import area_figure, candidates_figure
from mi_explorer.ui.search.search_request import saved_request
from mi_explorer.ui.search.search_runs import SearchRunError, SearchRuns
from mi_explorer.ui.search.shown_search import PRECOMPUTED, SearchLibrary, ShownSearch
from mi_explorer.untyped import Json, JsonObject

log = logging.getLogger(__name__)


class SearchHandlers:
    """The handlers of one page."""

    def __init__(
        self,
        pairs: PagePairs,
        jobs: SearchJobs,
        settings: Settings | None = None,
        workers: PageWorkers | None = None,
    ) -> None:
        self.pairs = pairs
        self.library = SearchLibrary(lambda: Path(pairs.at("").bench.store.path).parent, jobs)
        self.runs = SearchRuns(pairs, jobs, settings, workers)

    def pair(self, name: Json) -> str:
        """The open pair of this name; the first one for any other name."""
        return self.pairs.at(name).name

    def choices(self, pair: Json) -> list[tuple[str, str]]:
        """The searches of a pair as (label, name)."""
        self.library.refresh()
        return [(shown.title, shown.name) for shown in self.library.of_pair(self.pair(pair))]

    def first(self, pair: Json) -> str:
        """Which search to open with: one that runs, else the latest of one's own, else a precomputed one, else none ("")."""
        found = self.library.of_pair(self.pair(pair))
        return next((s.name for s in found if s.state == "running"), found[0].name if found else "")

    def show(self, name: Json, pair: Json, error: str = "", owner: str = "") -> JsonObject:
        """Everything about a search: `candidates` and `area` (contents of figures), `bar` and `recipes` (JSON texts), `running`,
        `resumable`, and `stamp`, which changes when any of them does."""
        pair = self.pair(pair)
        shown = self.library.get(str(name or ""), pair)
        found: JsonObject = {
            "candidates": "",
            "area": "",
            "running": bool(shown and shown.state == "running"),
            "resumable": bool(shown and shown.state in ("stopped", "failed", "unfinished")),
            "stamp": _stamp(name, shown),
        }
        if shown is not None and (shown.candidates or shown.result):
            beside = shown.beside(self.library.of_pair(pair))
            found["candidates"] = figure_content(*_content(candidates_figure(shown), f"{shown.name}-candidates"))
            found["area"] = figure_content(*_content(area_figure(shown, beside), f"{shown.name}-area"))
        layers = int(self.pairs.at(pair).bench.layers or 0)
        controls = self.runs.controls(shown.name, owner) if shown else {}
        found["bar"] = _text({**bar_board(shown, error, self._command(shown)), **controls})
        found["recipes"] = _text(recipes_board(shown, layers))
        return found

    def stamp(self, name: Json, pair: Json) -> str:
        """The `stamp` of `show`, cheap: for a look whether there is anything new."""
        return _stamp(name, self.library.get(str(name or ""), self.pair(pair)))

    def _command(self, shown: ShownSearch | None) -> str:
        if shown is None:
            return ""
        try:
            own_name = "" if shown.origin == PRECOMPUTED else shown.name
            return saved_request(own_name, shown.settings, self.pairs.access.task).command
        except (UserError, KeyError):
            return ""

    # -- running -----------------------------------------------------------------------------------------------------
    def cost(self, form: JsonObject, pair: Json) -> str:
        """What the search of a form takes, in words; what is wrong with the form, if something is."""
        try:
            _, search, cost = self.runs.prepared(form, self.pair(pair))
            known = self.library.get(search.name, self.pair(pair))
            goes_on = f" It goes on with {search.name!r}." if known and known.state != "done" else ""
            return cost.text + goes_on
        except UserError as error:
            return str(error)
        except Exception as error:
            log.exception("A search could not be costed")
            return broken(error)

    def start(self, form: JsonObject, pair: Json, owner: str = "") -> tuple[str, str]:
        """Run the search of a form; (its name, "") or ("", what went wrong)."""
        return self._do(lambda: self.runs.start(form, self.pair(pair), owner))

    def resume(self, name: Json, pair: Json, owner: str = "") -> tuple[str, str]:
        """Go on with a search; (its name, "") or ("", what went wrong)."""

        def act() -> str:
            here = self.pair(pair)
            shown = self.library.get(str(name or ""), here)
            if shown is None or shown.origin == PRECOMPUTED:
                raise SearchRunError("Choose a search of your own to go on with.")
            return self.runs.resume(saved_request(shown.name, shown.settings, self.pairs.access.task), here, owner)

        return self._do(act)

    def stop(self, name: Json, owner: str = "") -> str:
        """Stop a search; "" or what went wrong."""
        return self._do(lambda: str(self.runs.stop(str(name or ""), owner)))[1]

    def change_workers(self, asked: Json) -> str:
        """Add a worker to a search (`search`), or let one go (`change` 1 or -1); "" or what went wrong."""
        asked = asked if isinstance(asked, dict) else {}
        return self._do(lambda: self.runs.resize(str(asked.get("search") or ""), asked.get("change")))[1]

    def _do(self, act: Callable[[], str]) -> tuple[str, str]:
        try:
            return act(), ""
        except UserError as error:
            return "", str(error)
        except Exception as error:
            log.exception("A search could not be steered")
            return "", broken(error)


def _content(drawn: tuple[Json, ...], name: str) -> tuple[Json, ...]:
    figure, columns, rows, narrow = drawn
    return figure, columns, rows, name, narrow


def _stamp(name: Json, shown: ShownSearch | None) -> str:
    return f"{name} {shown.version if shown else 0} {shown.state if shown else ''}"


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
