"""What every tab is given: the resident pairs, background runs, settings, and the components that tabs share."""

from dataclasses import dataclass, field
from typing import Any

from mi_explorer.studies.jobs import Jobs
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.file_jobs import FileJobs
from mi_explorer.ui.open_pairs import OpenPairs


@dataclass(frozen=True)
class PageContext:
    """One page. `pair` is a gr.State with the name of the visitor's pair; it is set once, when the page is opened.

    `settings` is None in tests that serve a scripted workbench.
    """

    pairs: OpenPairs
    pair: Any
    settings: Any = None
    jobs: Jobs = field(default_factory=Jobs)
    parcels: FileJobs = field(default_factory=FileJobs)

    def explore(self, name: Any = None) -> Explore:
        """The handlers of Explore on a resident pair; the first one for any other name."""
        return self.pairs.at(name)[0]

    def bench(self, name: Any = None) -> Any:
        """The workbench of a resident pair: its store, engine, parents; the first one for any other name."""
        return self.explore(name).bench

    def held(self, name: str) -> bool:
        """Whether a study runs on this pair: it must stay resident."""
        return any(job.state.running and name in job.runner.plan.pairs for job in self.jobs.all())
