"""Step times: between and beyond what was measured; measured at start-up, anew where the machine was busy; threads that pay."""

import time
from types import SimpleNamespace

import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair, step_times
from mi_explorer.engine import engine as loop
from mi_explorer.engine.events import Request
from mi_explorer.engine.native.native_backend import NativeBackend
from mi_explorer.engine.policy import (
    Costs,
)
from tests.engine.lab import greedy, prompt, run


def test_step_times_between_and_beyond_what_was_measured():
    costs = Costs({"folded": [(1, 1.0), (4, 4.0), (16, 8.0)]})
    assert costs.step("folded", 1) == 1.0
    assert costs.step("folded", 10) == pytest.approx(6.0)
    assert costs.step("folded", 28) == pytest.approx(12.0)
    assert costs.step("rowwise", 4) == float("inf")
    assert Costs({"folded": [(1, 2.0)]}).step("folded", 3) == pytest.approx(6.0)


def test_start_up_measures_both_modes(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=8, max_context=64) as engine:
        run(engine, [Request("a", prompt(5), lab.recipe(0.5), greedy(3))])
        costs = engine.scheduler.costs
    assert [n for n, _ in costs.steps["folded"]] == [1, 2, 4, 8] == [n for n, _ in costs.steps["rowwise"]]
    assert all(t > 0 for table in costs.steps.values() for _, t in table) and costs.fold > 0


def test_the_first_use_of_so_many_slots_is_not_timed(labs, monkeypatch):
    """It takes the cache's memory from the system; here 100 ms each time."""
    lab, whole, used = labs("qwen3"), NativeBackend.run, set()

    def run_(self, bound, mode, first, ids, *rest):
        if ids.shape[0] not in used:
            used.add(ids.shape[0])
            time.sleep(0.1)
        return whole(self, bound, mode, first, ids, *rest)

    monkeypatch.setattr(NativeBackend, "run", run_)
    monkeypatch.setattr(step_times, "REPEATS", 1)  # a large model has time for no more
    with Engine(lab.resident, max_rows=8, max_context=64) as engine:
        engine.wait()
        costs = engine.scheduler.costs
    assert used >= {1, 2, 4, 8}
    assert max(seconds for table in costs.steps.values() for _, seconds in table) < 0.1


@pytest.mark.parametrize("pause", [0.5, 0.015])  # also where the wrong times are longer than a quiet moment may be
def test_a_machine_that_was_busy_at_start_up_does_not_decide_for_good(labs, monkeypatch, pause):
    """Passes take 20 ms more until start-up is over: sizes are missing and times wrong, and quiet moments mend both."""
    lab = labs("qwen3")
    monkeypatch.setattr(step_times, "QUIET_S", pause)
    monkeypatch.setattr(step_times, "START_S", 0.1)
    monkeypatch.setattr(loop, "IDLE_S", 0.01)
    whole, busy, passes = NativeBackend.run, [True], []

    def slow(*args):
        passes.append(args[2])
        if busy:
            time.sleep(0.02)
        return whole(*args)

    monkeypatch.setattr(NativeBackend, "run", slow)
    with Engine(lab.resident, max_rows=8, max_context=64) as engine:
        engine.wait()
        first = engine.scheduler.costs
        busy.clear()
        assert min(t for table in first.steps.values() for _, t in table) > 0.02
        end = time.monotonic() + 30
        while engine.measured.improving and time.monotonic() < end:
            time.sleep(0.01)
        better = engine.scheduler.costs
        assert [n for n, _ in better.steps["folded"]] == [1, 2, 4, 8] == [n for n, _ in better.steps["rowwise"]]
        assert max(t for table in better.steps.values() for _, t in table) < 0.02 and better.fold > 0
        if pause == 0.5:  # in short moments a prompt is looked at only where the start has timed it
            assert set(better.read) == {"folded", "rowwise"}
            assert all(t > 0 for table in better.read.values() for _, t in table)
        quiet = len(passes)
        time.sleep(0.1)
        assert len(passes) == quiet, "then it rests"
        assert run(engine, [Request("a", prompt(5), lab.recipe(0.5), greedy(3))])["a"] == lab.generate(
            0.5, prompt(5), 3
        )


@pytest.mark.parametrize(
    ("steps", "most", "chosen"),
    [
        ({1: 4.0, 2: 7.0}, 2, 1),  # a small model
        ({1: 4.0, 2: 3.6}, 2, 1),  # hardly a gain
        ({1: 100.0, 2: 60.0, 4: 40.0, 6: 38.0}, 6, 4),
        ({1: 350.0, 2: 340.0, 4: 335.0}, 4, 4),  # a step that long is a large model's: all of them
    ],
)
def test_as_many_threads_as_pay(monkeypatch, steps, most, chosen):
    now = [most]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: now[-1])
    monkeypatch.setattr(torch, "set_num_threads", now.append)
    timer = object.__new__(step_times.StepTimer)
    timer.backend, timer.modes, timer.slots = SimpleNamespace(device=torch.device("cpu")), ["folded", "rowwise"], 32
    timer.step_seconds = lambda mode, slots: steps[now[-1]] / 1000
    timer.choose_threads()
    assert now[-1] == chosen
    monkeypatch.setenv("OMP_NUM_THREADS", str(most))  # whoever runs it has chosen
    before = len(now)
    timer.choose_threads()
    assert len(now) == before


@pytest.mark.parametrize("narrow", ["fold", "rowwise"])
def test_an_engine_of_one_mode_does_not_narrow_the_next_of_the_pair(labs, narrow):
    resident = ResidentPair.load(labs("qwen3").pair)
    with Engine(resident, max_rows=2, max_context=64, only=narrow) as engine:
        run(engine, [Request("a", prompt(5), labs("qwen3").recipe(0.5), greedy(3))])
        assert len(engine.scheduler.costs.steps) == 1
    with Engine(resident, max_rows=2, max_context=64) as engine:
        run(engine, [Request("a", prompt(5), labs("qwen3").recipe(0.5), greedy(3))])
        assert set(engine.scheduler.costs.steps) == {"folded", "rowwise"}
