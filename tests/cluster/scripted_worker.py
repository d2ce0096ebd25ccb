"""Worker engines for tests, made in the worker's own process: scripted ones with faults on demand, and the embedded pair."""

import os
import time
from functools import partial
from pathlib import Path

from mi_explorer.cluster.own_worker import OwnWorkerEngine
from tests.fakes import ScriptedEngine, scripted_bench

POISON = "poison"  # in a question: what happens to whoever is asked it


class FaultyWorkerEngine(OwnWorkerEngine):
    """Ours on a scripted pair. A question "poison crash" ends the process, "poison hang" never comes back, "poison error" raises."""

    def exchange(self, units, seconds, order):
        for unit in units:
            prompt = self._work.items[unit.item].prompt
            if POISON in prompt:
                what = prompt.split()[-1]
                if what == "crash":
                    os._exit(9)
                if what == "hang":
                    time.sleep(3600)
        return super().exchange(units, seconds, order)


def make(delay=0.0, fingerprint="scripted", first_only=None):
    """An engine; with `first_only` (a path) only the first process that comes there has the true weights."""
    if first_only is not None:
        try:
            Path(first_only).touch(exist_ok=False)
        except FileExistsError:
            fingerprint = "other"
    return FaultyWorkerEngine(lambda setup: scripted_bench(ScriptedEngine(delay=delay), fingerprint=fingerprint))


def maker(**options):
    """As `make`, to be sent."""
    return partial(make, **options)
