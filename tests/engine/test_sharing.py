"""Users share the engine: people come before a sweep, nobody waits behind a flood, who cancels makes room at once."""

import threading

import pytest

from mi_explorer.engine import Engine
from mi_explorer.engine.events import BULK, Finished, Request, Token
from tests.engine.asking import PROMPTS, SLOW_ROWS
from tests.engine.lab import CHEAP_ROWS, greedy


def test_cancel_takes_effect_within_one_step(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=256, costs=CHEAP_ROWS) as engine:
        stream = engine.submit([Request(str(i), PROMPTS[0], lab.recipe(0.3), greedy(240)) for i in range(6)])
        for event in stream:
            if isinstance(event, Token) and event.index == 5:
                break
        before = engine.status().steps
        stream.cancel(["0", "5"])
        ends = {}
        while len(ends) < 2:
            event = stream.get(5)
            if isinstance(event, Finished):
                ends[event.id] = event.reason
        assert ends == {"0": "cancelled", "5": "cancelled"}
        assert (
            engine.status().steps <= before + 20
        )  # the reader is slower than the engine; the bound is checked exactly below
        stream.cancel()
        assert {e.reason for e in stream if isinstance(e, Finished)} == {"cancelled"}
        assert engine.status().slots == 0 and engine.status().waiting == 0


def test_a_cancelled_row_gets_no_further_step(labs):
    """From inside the engine's thread: cancel during step n, no token of step n + 2."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=2, max_context=256, costs=CHEAP_ROWS) as engine:
        whole, steps, holder = engine.backend.run, [], {}

        def counted(*a):
            steps.append(1)
            if len(steps) == 10:
                holder["stream"].cancel()
            return whole(*a)

        engine.backend.run = counted
        holder["stream"] = engine.submit([Request("a", PROMPTS[0], lab.recipe(0.3), greedy(200))])
        events = list(holder["stream"])
        assert events[-1] == Finished("a", "cancelled", 10)
        assert len(steps) == 10


def test_people_come_before_a_sweep(labs):
    """A sweep fills every slot; a person who comes later is done long before it, and the sweep goes on meanwhile."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=256, costs=CHEAP_ROWS) as engine:
        sweep = engine.submit(
            [Request(f"s{i}", PROMPTS[i % 3], lab.recipe(i % 4 / 4), greedy(120), (), BULK) for i in range(24)]
        )
        for event in sweep:
            if isinstance(event, Token) and event.index == 20:
                break
        person = engine.submit([Request("p", PROMPTS[0], lab.recipe(0.77), greedy(30))])
        list(person)
        seen = sweep.drain()
        assert sum(isinstance(e, Finished) for e in seen) < 8
        sweep.cancel()


def test_users_share_the_engine_whatever_the_mode(labs):
    """Two people, one with many rows at another recipe, and rows that never share a batch: both get tokens from the start."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=256, only="fold", costs=SLOW_ROWS) as engine:
        order: list[str] = []
        many = engine.submit([Request(f"m{i}", PROMPTS[0], lab.recipe(0.2), greedy(150)) for i in range(8)])
        one = engine.submit([Request("one", PROMPTS[1], lab.recipe(0.8), greedy(60))])

        def read(stream):
            for event in stream:
                if isinstance(event, (Token, Finished)):
                    order.append(event.id)

        threads = [threading.Thread(target=read, args=(s,), daemon=True) for s in (many, one)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert order.index("one") < len(order) / 8, "the single row starts early"
    assert len(order) - order[::-1].index("one") < len(order) * 0.7, "and ends well before the many"


def test_more_requests_join_a_stream(labs, solo):
    """A user's further requests come through the stream there is; an id can be asked again once it has ended, not before."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=128, costs=CHEAP_ROWS) as engine:
        stream = engine.submit([Request("a", PROMPTS[1], lab.recipe(0.5), greedy(40))])
        assert engine.submit([Request("b", PROMPTS[1], lab.recipe(0.5), greedy(12))], stream) is stream
        with pytest.raises(ValueError, match="still running"):
            engine.submit([Request("a", PROMPTS[1], lab.recipe(0.5), greedy(5))], stream)
        events = list(stream)
        assert {e.id for e in events if isinstance(e, Finished)} == {"a", "b"}
        assert [e.token for e in events if isinstance(e, Token) and e.id == "b"] == solo(0.5, 1, greedy(12))
        again = list(engine.submit([Request("a", PROMPTS[1], lab.recipe(0.5), greedy(5))], stream))
        assert [e.token for e in again if isinstance(e, Token)] == solo(0.5, 1, greedy(5))


def test_nobody_waits_behind_a_flood_that_holds_every_slot(labs):
    """One user queues far more rows than there are slots, at many recipes, folded in turns; the next user's row is admitted soon."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=2, max_context=256, only="fold", costs=SLOW_ROWS) as engine:
        flood = engine.submit([Request(f"f{i}", PROMPTS[0], lab.recipe(i % 5 / 5), greedy(40)) for i in range(40)])
        while engine.status().slots < 4:
            flood.get(1)
        list(engine.submit([Request("late", PROMPTS[1], lab.recipe(0.9), greedy(10))]))
        assert sum(isinstance(e, Finished) for e in flood.drain()) <= 16
        flood.cancel()
        assert sum(1 for e in flood if isinstance(e, Finished)) > 0
        assert engine.status().slots == 0


def test_a_newcomer_shares_the_next_step_with_a_full_batch(labs):
    """Row-wise: more rows than fit into a step; every user's rows get tokens in it at once."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=256, only="rowwise", costs=CHEAP_ROWS) as engine:
        many = engine.submit([Request(f"m{i}", PROMPTS[0], lab.recipe(i / 10), greedy(200)) for i in range(4)])
        while not isinstance(many.get(1), Token):
            pass
        list(engine.submit([Request("late", PROMPTS[1], lab.recipe(0.9), greedy(20))]))
        assert engine.status().rows == 4, "nobody of the four had to end for it"
        many.cancel()
