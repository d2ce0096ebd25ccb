"""What every tab is built from: the open pairs, the settings, the work in the background, and what tabs share."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import gradio as gr

from mi_explorer.search.search_job import SearchJobs
from mi_explorer.studies.jobs import Jobs
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.file_jobs import FileJobs
from mi_explorer.ui.open_pairs import PagePairs
from mi_explorer.ui.page_workers import PageWorkers

if TYPE_CHECKING:
    from mi_explorer.ui.explore.explore_handlers import Explore
    from mi_explorer.workbench import Workbench


@dataclass(frozen=True)
class PageContext:
    """One page. `pair` is a gr.State with the name of the visitor's pair; it is set once, when the page is opened."""

    pairs: PagePairs
    pair: gr.State
    settings: Settings = field(default_factory=Settings)
    jobs: Jobs = field(default_factory=Jobs)
    searches: SearchJobs = field(default_factory=SearchJobs)
    file_jobs: FileJobs = field(default_factory=FileJobs)

    @cached_property
    def workers(self) -> PageWorkers:
        """Who makes the samples of studies and searches."""
        return PageWorkers(self.settings)

    def explore(self, name: object = None) -> "Explore":
        """The handlers of Explore on an open pair; the first one for any other name."""
        return self.pairs.at(name).explore

    def bench(self, name: object = None) -> "Workbench":
        """The workbench of an open pair: its store, engine, parents; the first one for any other name."""
        return self.pairs.at(name).bench

    def task(self, name: object = None) -> str:
        """The task that a pair is asked unless another is named: the operator's, else the pair's own; "" where it has none."""
        return self.settings.task or str(self.bench(name).pair.task)

    def task_for(self, name: object, chosen: object, first: str) -> str:
        """The task of a form that is opened on a pair: the pair's own, where nothing but the `first` pair's is chosen yet."""
        return (self.task(name) if chosen == first else "") or str(chosen)

    def in_use(self, name: str) -> bool:
        """Whether a study or a search runs on this pair: it must stay open."""
        searching = any(job.running and job.search.space.recipe.pair == name for job in self.searches.all())
        return searching or any(job.state.running and name in job.runner.plan.pairs for job in self.jobs.all())
