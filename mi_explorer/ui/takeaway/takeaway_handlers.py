"""What the Take away tab asks of the server: forms of the view, a recipe read, files made, studies listed and taken in.

No Gradio here. Every handler takes plain values from outside and gives a dict; what is wrong comes back as `{"error"}`.
"""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.pair_names import short_names
from mi_explorer.studies.store.exchange import export_study, import_study, study_name
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.view import View
from mi_explorer.ui.file_jobs import FileJobs, FileResult, ReportProgress
from mi_explorer.ui.handler_errors import errors_as_dict
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.study_library import StudyLibrary
from mi_explorer.ui.takeaway import checkpoint_files
from mi_explorer.ui.takeaway.recipe_forms import brief, forms, read_pasted
from mi_explorer.untyped import JsonObject
from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
STUDY_FILES = (".parquet", ".csv", ".jsonl", ".json")  # the last holds the figures, the others the samples
MAX_IMPORTED = 50  # studies that visitors of an open page may have brought in
MAX_REPORT_FRAMES = 12  # traces of Explore that a report may hold


class TakeawayError(UserError):
    """Something that cannot be taken away, or taken in, as asked."""


class TakeawayHandlers:
    """The handlers of one page: its open pairs, the operator's settings, the files in the making."""

    def __init__(self, pairs: PagePairs, settings: Settings | None = None, file_jobs: FileJobs | None = None) -> None:
        self.pairs, self.settings, self.file_jobs = pairs, settings or Settings(), file_jobs or FileJobs()
        self.library = StudyLibrary(lambda: pairs.at("").bench.store)

    # -- recipes -----------------------------------------------------------------------------------------------------
    def _view(self, view: object) -> tuple[View, Workbench]:
        """A checked view and the workbench of its pair."""
        given = views.view_of_dict(view if isinstance(view, dict) else {})
        return given, self.pairs.at(given.pair).bench

    @errors_as_dict
    def recipe(self, view: object) -> JsonObject:
        """The view in every form (see `recipe_forms.forms`), and where its checkpoint may go (`checkpoint`, see `export_places`)."""
        given, bench = self._view(view)
        bench.check(given.recipe())
        parents = getattr(getattr(bench, "resident", None), "parents", None)
        names = parents.loaded if parents is not None else ()
        kinds = (
            {str(parents.dtype(name)).removeprefix("torch.") for name in names if parents.blends(name)}
            if parents is not None
            else set()
        )
        made = forms(given, bench.pair, names, min(kinds, default="bfloat16"))
        if self.settings.open:
            made = {key: brief(value) if isinstance(value, str) else value for key, value in made.items()}
        if parents is None or not made["export"]:
            why = (
                "The weights of this pair are not at hand."
                if made["export"]
                else "This method mixes no weights, so there is no checkpoint of it."
            )
            return {**made, "checkpoint": {"folder": "", "download": False, "why": why}}
        where = checkpoint_files.export_places(
            given.recipe(),
            bench.pair,
            checkpoint_files.export_bytes(parents),
            self.pairs.access,
            self._home(),
            self.settings.open,
        )
        return {**made, "checkpoint": where}

    @errors_as_dict
    def read(self, request: object) -> JsonObject:
        """A pasted recipe: `{"view": what to set, "kind", "note"}`. It is checked against the loaded pair before it is given back."""
        request = request if isinstance(request, dict) else {}
        bench = self.pairs.at(request.get("pair")).bench
        part, kind, note = read_pasted(str(request.get("text") or ""), bench.pair, bench.layers)
        whole = views.view_of_dict({**part, "pair": bench.pair.name})
        bench.check(whole.recipe())
        return {"view": part, "kind": kind, "note": note}

    # -- files -------------------------------------------------------------------------------------------------------
    @errors_as_dict
    def make(self, request: object) -> JsonObject:
        """Begin a file; `{"token"}` for `FileJobs.look`. `request["what"]` is "folder", "zip", "report", or an ending of `FILES`."""
        request = request if isinstance(request, dict) else {}
        what = str(request.get("what"))
        if what in ("folder", "zip"):
            return {"token": self.file_jobs.start(self._checkpoint(request, what == "folder"))}
        if what == "report" or what in STUDY_FILES:
            return {"token": self.file_jobs.start(self._study(str(request.get("study") or ""), what, request))}
        raise TakeawayError("This is nothing that can be made here.")

    def _checkpoint(self, request: JsonObject, into_folder: bool) -> Callable[[Path, ReportProgress], FileResult]:
        given, bench = self._view(request.get("view"))
        recipe = given.recipe()
        bench.check(recipe)
        found = self.recipe(request.get("view"))
        may = found.get("checkpoint", {})
        if not may.get("folder" if into_folder else "download"):
            raise TakeawayError(may.get("why") or found.get("error") or "This cannot be exported here.")
        target = None
        if into_folder:
            text = str(request.get("folder") or "").strip()
            if not Path(text).expanduser().is_absolute():
                raise TakeawayError("Give the whole path of a new folder, such as " + may["folder"] + ".")
            target = self.pairs.access.target(text)
        return checkpoint_files.checkpoint_work(recipe, bench.pair, target)

    def _study(self, name: str, what: str, request: JsonObject) -> Callable[[Path, ReportProgress], FileResult]:
        frames = request.get("frames")
        shown = [f for f in frames if isinstance(f, dict)][:MAX_REPORT_FRAMES] if isinstance(frames, list) else []
        view = views.view_of_dict(request["view"]) if shown and isinstance(request.get("view"), dict) else None
        host = not self.settings.open  # an open page does not name the machines behind it

        def make(folder: Path, report: ReportProgress) -> FileResult:
            with self.library.open(name) as (store, info):
                out = folder / (checkpoint_files.slug(info.name) + (".html" if what == "report" else what))
                report("Writing", 0, 0)
                if what == "report":
                    from mi_explorer.studies.report.html_page import html_report
                    from mi_explorer.studies.report.sample_traces import traces_of_frames

                    traces = traces_of_frames(shown, view.prompt, view.gold, view.decoding) if view else None
                    out.write_text(html_report(store, info.name, traces=traces, host=host), encoding="utf-8")
                elif what == ".json":
                    from mi_explorer.studies.stats.summary import summarise

                    runs = [run if host else {**run, "host": ""} for run in store.runs(info.id)]
                    whole = {**summarise(store, info.name).json(), "runs": runs}
                    out.write_text(json.dumps(whole, ensure_ascii=False, indent=1), encoding="utf-8")
                else:
                    export_study(store, info.name, out, host=host)
                report("Writing", 1, 1)
            return FileResult(f"{out.name}, {out.stat().st_size / 1e3:,.0f} kB", out)

        return make

    # -- studies -----------------------------------------------------------------------------------------------------
    def _home(self) -> Path | None:
        store = self.library.own
        return Path(store.path).parent if store is not None else None

    @errors_as_dict
    def studies(self, _: object = None) -> JsonObject:
        """`{"columns", "rows", "files"}`: the page's own studies and the precomputed ones; `files` are the forms to save one in."""
        found = self.library.studies()
        columns = ["study", "kind", "task", "pair", "cells", "samples", "origin", "updated"]
        rows = [[i.name, i.plan.kind, i.plan.task, ", ".join(short_names(i.plan.pairs).values())[:60], len(i.plan.cells),
                 i.samples, i.origin, time.strftime("%Y-%m-%d %H:%M", time.localtime(i.updated))] for i in found]  # fmt: skip
        return {"columns": columns, "rows": rows, "files": STUDY_FILES}

    def imports(self) -> str:
        """ "" if visitors may bring studies in, or why not."""
        if self.library.own is None:
            return "This page keeps no studies of its own, so none can be brought in."
        return "" if self.settings.upload else "The operator of this page takes no files."

    @errors_as_dict
    def take_in(self, path: object) -> JsonObject:
        """Read an uploaded study file into the page's store under a name that is new there; `{"words", "study"}`."""
        if why := self.imports():
            raise TakeawayError(why)
        file, own = Path(str(path)), self.library.own
        if own is None or file.suffix.lower() != ".parquet":
            raise TakeawayError("A study is brought in as .parquet.")
        if file.stat().st_size > self.settings.upload * 1_000_000:
            raise TakeawayError(f"This file is larger than {self.settings.upload} MB.")
        if self.settings.open and sum(info.origin == "imported" for info in own.studies()) >= MAX_IMPORTED:
            raise TakeawayError(f"{MAX_IMPORTED} studies were brought in already, which is all that this page keeps.")
        wanted = study_name(file)
        taken = {info.name for info in self.library.studies()}
        name = next(x for x in (wanted, *(f"{wanted} ({n})" for n in range(2, 10_000))) if x not in taken)
        _, new = import_study(own, file, name)
        samples = own.study(name).samples
        known = "" if new == samples else f" ({samples - new:,} of them were here already)"
        return {"words": f"“{name}” is here: {samples:,} samples{known}.", "study": name}
