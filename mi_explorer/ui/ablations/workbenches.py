"""The workbenches that a background run needs: the page's own, and another one where another backbone is asked for."""

from mi_explorer.studies.jobs import Job
from mi_explorer.ui.ablations.ablation_setup import AblationError
from mi_explorer.workbench import Workbench


class BackboneBenches:
    """The workbenches of one run: the page's own, and one more for a pair with another backbone, closed at the end."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._more: dict[str, Workbench] = {}

    def get(self, pair: str) -> Workbench:
        """The workbench of a pair, opened at first need. Raises `UserError`, also where it does not fit into memory."""
        if pair == self.bench.pair.name:
            return self.bench
        if pair not in self._more:
            if type(self.bench) is not Workbench:
                raise AblationError(
                    "Another backbone needs a second model in memory, which this page cannot open. Use the command line."
                )
            self._more[pair] = Workbench.open(pair, device=self.bench.device, dtype=self.bench.dtype)
        return self._more[pair]

    def close_after(self, job: Job) -> None:
        """Wait for the end of a run, then close what was opened for it."""
        job.join()
        for bench in self._more.values():
            bench.close()
        self._more.clear()
