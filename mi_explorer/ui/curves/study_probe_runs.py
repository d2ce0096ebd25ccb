"""Probes of a study from the page: started in the background, stopped, gone on with. Nothing is decoded anew but the probes.

A run belongs to the server, as a sweep's does, and the same people may steer it. What is saved stays: the same settings go on.
"""

import threading
from collections.abc import Iterator

from mi_explorer.command_line import command_line
from mi_explorer.generation.probe_points import ProbeOptions
from mi_explorer.studies.jobs import Job
from mi_explorer.studies.probe_runner import ProbeRunner
from mi_explorer.studies.progress import Progress
from mi_explorer.ui.access.limits import MAX_BACKGROUND_RUNS, check_sample_count
from mi_explorer.ui.curves.sweep_runs import SweepError, SweepRuns, probes_name
from mi_explorer.untyped import Json, JsonObject

KIND = "probes"


class ProbeWork:
    """A `ProbeRunner` as a job of the page, under a name of its own beside the sweep of the same study."""

    def __init__(self, runner: ProbeRunner) -> None:
        self.study, self.name, self.options = runner.name, probes_name(runner.name), runner.options
        self.plan, self.store, self.stop = runner.info.plan, runner.store, runner.stop
        self._runner = runner

    def run(self) -> Iterator[Progress]:
        """Progress until the end, under the job's name."""
        return self._runner.run()


class ProbeRuns:
    """The background probes of one page; pairs, store, owners and limits are those of its sweeps."""

    def __init__(self, sweeps: SweepRuns) -> None:
        self.sweeps = sweeps
        self._lock = threading.Lock()

    def start(self, name: str, points: Json = 12, free: Json = 0, owner: str = "") -> str:
        """Probe what has no points under this setting yet, up to `points` of each trace with `free` continuations; the study's name.

        Raises `UserError` for a study that is not the user's own, runs, or cannot be probed by the pair that is loaded.
        """
        return self._start(name, ProbeOptions(points, free=free), owner)

    def _start(self, name: str, options: ProbeOptions, owner: str) -> str:
        sweeps, store = self.sweeps, self.sweeps.store
        info = store.find(name)
        if info is None:
            raise SweepError(
                f"“{name[:80]}” is not one of your own studies, so no probes are added to it. Run its sweep here, or import its file "
                "under Take away, and then probe that."
            )
        sweeps.check_owner(name, owner)
        if sweeps.public:
            check_sample_count(info.samples * options.points * (1 + options.free))
        for pair in info.plan.pairs:
            sweeps.bench(pair)
        words = ["study", "probe", name, "--points", f"{options.points}", "--free", f"{options.free}"]
        runner = ProbeRunner(store, name, sweeps.bench, options, command_line(*words))
        with self._lock:
            if sweeps.public and sum(job.state.running for job in sweeps.jobs.all()) >= MAX_BACKGROUND_RUNS:
                raise SweepError("Others run already. Try again when one of them is done.")
            sweeps.jobs.start(ProbeWork(runner))
        return name

    def resume(self, name: str, owner: str = "") -> str:
        """Go on with the probes of a study that were stopped or broke off."""
        job = self._job(name)
        if job is None:
            raise SweepError(f"No probes of “{name[:80]}” were begun here. Start them with points and continuations.")
        return self._start(name, job.runner.options, owner)

    def stop(self, name: str, owner: str = "") -> bool:
        """Stop within a moment; the samples that are probed are saved. False if nothing runs."""
        job = self._job(name)
        if job is None or not job.state.running:
            return False
        self.sweeps.check_owner(name, owner)
        job.runner.stop()
        return True

    def _job(self, name: str) -> Job | None:
        """The job of a study's probes; None where there is none."""
        job = self.sweeps.jobs.get(probes_name(name))
        return job if job is not None and isinstance(job.runner, ProbeWork) else None

    def states(self, owner: str = "") -> list[JsonObject]:
        """Every run of probes of this process, the latest first, as `SweepRuns.states` has them; `kind` is "probes"."""
        own = self.sweeps.library.own
        return [
            {**_of_probes(job), "mine": self.sweeps.mine(job.runner.study, owner)}
            for job in reversed(self.sweeps.jobs.all())
            if isinstance(job.runner, ProbeWork) and (own is None or own.find(job.runner.study))
        ]


def _of_probes(job: Job) -> JsonObject:
    state, work = job.state, job.runner
    assert isinstance(work, ProbeWork)
    p = state.progress
    return {
        "kind": KIND,
        "study": work.study,
        "state": "failed" if state.error else p.state,
        "done": p.done + p.reused,
        "total": p.total,
        "cells": 0,
        "cells_done": None,
        "rate": round(p.tokens_per_second, 1),
        "eta": p.eta,
        "seconds": round(p.seconds, 1),
        "message": state.error or (f"{p.failed:,} samples could not be probed: {p.message}." if p.failed else ""),
        "version": state.version,
    }
