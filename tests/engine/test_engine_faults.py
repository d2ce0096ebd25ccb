"""What breaks ends its own sequence in words, and nobody else's: NaN, memory, steps, the scheduler."""

import threading
import time

import torch

from mi_explorer.engine import Engine
from mi_explorer.engine.events import Failed, Finished, Request, Token
from tests.engine.asking import PROMPTS
from tests.engine.lab import CHEAP_ROWS, greedy, run


def test_what_cannot_run_fails_alone(labs, solo):
    lab = labs("qwen3")
    good = Request("good", PROMPTS[0], lab.recipe(0.3), greedy(8))
    bad = {
        "empty": Request("empty", (), lab.recipe(0.3)),
        "outside": Request("outside", (5, 96), lab.recipe(0.3)),
        "method": Request("method", (5,), lab.recipe(0.3, method="linaer")),
        "base": Request("base", (5,), lab.recipe(0.3, method="ties")),
    }
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        events = list(engine.submit([*bad.values(), good]))
    failed = {e.id: e.message for e in events if isinstance(e, Failed)}
    assert set(failed) == set(bad)
    assert (
        "empty" in failed["empty"]
        and "0–95" in failed["outside"]
        and "linear" in failed["method"]
        and "base" in failed["base"]
    )
    assert [e.token for e in events if isinstance(e, Token)] == solo(0.3, 0, greedy(8))


def test_a_row_that_turns_to_nan_leaves_its_companions_alone(labs, solo):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        whole, broken = engine.backend.run, lab.recipe(0.9).hash

        def poisoned(bound, mode, first, ids, *rest):
            logits = whole(bound, mode, first, ids, *rest)
            for i in range(ids.shape[0]):
                slot = engine.batch.slots[first + i]
                if slot is not None and slot.bound.key == broken and len(slot.sequence.tokens) >= 3:
                    logits[i] = float("nan")
            return logits

        engine.backend.run = poisoned
        events = list(
            engine.submit([Request(str(lam), PROMPTS[0], lab.recipe(lam), greedy(8)) for lam in (0.3, 0.9, 1.0)])
        )
    assert [e.id for e in events if isinstance(e, Failed)] == ["0.9"]
    for lam in (0.3, 1.0):
        assert [e.token for e in events if isinstance(e, Token) and e.id == str(lam)] == solo(lam, 0, greedy(8))


def test_out_of_memory_halves_the_batch_and_loses_nothing(labs, solo):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        whole = engine.backend.run

        def tight(bound, mode, first, ids, *rest):
            if ids.shape[0] > 2:
                raise torch.OutOfMemoryError("too many rows")
            return whole(bound, mode, first, ids, *rest)

        engine.backend.run = tight
        got = run(engine, [Request(str(lam), PROMPTS[0], lab.recipe(lam), greedy(8)) for lam in (0.0, 0.3, 0.5, 1.0)])
        assert engine.status().max_rows == 2 and "Out of memory" in engine.status().notes[-1]
    assert got == {str(lam): solo(lam, 0, greedy(8)) for lam in (0.0, 0.3, 0.5, 1.0)}


def test_a_step_that_breaks_ends_its_rows_and_the_engine_goes_on(labs, solo):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        whole = engine.backend.run
        engine.backend.run = lambda *a: 1 / 0
        events = list(engine.submit([Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))]))
        assert isinstance(events[-1], Failed) and "ZeroDivisionError" in events[-1].message
        engine.backend.run = whole
        assert run(engine, [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))])["a"] == solo(0.3, 0, greedy(8))
        assert engine.status().slots == 0


def test_a_closed_engine_says_so_and_leaves_no_thread(labs):
    lab = labs("qwen3")
    before = threading.active_count()
    engine = Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS)
    stream = engine.submit(
        [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(100)), Request("b", PROMPTS[0], lab.recipe(0.4), greedy(100))]
    )
    time.sleep(0.02)
    engine.close()
    engine.close()
    assert {e.reason for e in stream if isinstance(e, Finished)} == {"cancelled"}
    assert isinstance(engine.submit([Request("c", PROMPTS[0], lab.recipe(0.3))]).get(1), Failed)
    assert threading.active_count() == before


def test_no_fault_leaves_anybody_waiting(labs, solo, monkeypatch):
    """Start-up that cannot measure, and a bug in the scheduler: requests end with a message, the next ones run."""
    lab = labs("qwen3")
    monkeypatch.setattr("mi_explorer.engine.measured_costs.StepTimer", lambda *a: 1 / 0)
    with Engine(lab.resident, max_rows=4, max_context=64) as engine:
        assert run(engine, [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))])["a"] == solo(0.3, 0, greedy(8))
        assert "could not be measured" in engine.status().notes[-1]
        whole = engine.scheduler.schedule
        engine.scheduler.schedule = lambda: {}["bug"]
        events = list(engine.submit([Request(str(i), PROMPTS[0], lab.recipe(0.3), greedy(8)) for i in range(9)]))
        assert [type(e) for e in events] == [Failed] * 9 and "KeyError" in events[0].message
        engine.scheduler.schedule = whole
        assert run(engine, [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))])["a"] == solo(0.3, 0, greedy(8))
