"""The loop: what a request asks for is what it gets, alone or in company; nobody waits behind a sweep; nothing is left behind."""

import threading
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.engine import Engine
from mi_explorer.engine.events import BULK, Admitted, Failed, Finished, Request, Token, Verified
from mi_explorer.engine.policy import Costs
from mi_explorer.recipe import Decoding
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run

SLOW_ROWS = Costs({"folded": [(1, 1.0), (64, 1.2)], "rowwise": [(1, 9.0), (64, 99.0)]}, fold=0.01)
PROMPTS = [prompt(6, 1), prompt(23, 2), prompt(40, 3)]


@pytest.fixture(scope="module")
def solo(labs):
    """(λ, prompt number, decoding) → tokens of the request run alone, by an engine of its own."""
    lab, known = labs("qwen3"), {}

    def tokens(lam, which, decoding):
        key = lam, which, decoding
        if key not in known:
            with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
                known[key] = run(engine, [Request("x", PROMPTS[which], lab.recipe(lam), decoding)])["x"]
        return known[key]

    return tokens


asks = st.tuples(
    st.sampled_from((0.0, 0.3, 0.5, 1.0)),
    st.integers(0, 2),
    st.builds(
        Decoding,
        temperature=st.sampled_from((0.0, 0.8, 1.5)),
        top_k=st.sampled_from((0, 5, 20)),
        top_p=st.sampled_from((0.7, 1.0)),
        cap=st.integers(1, 20),
        seed=st.integers(0, 3),
    ),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(asks, min_size=1, max_size=12),
    st.integers(1, 6),
    st.sampled_from((CHEAP_ROWS, SLOW_ROWS)),
    st.randoms(),
    st.booleans(),
)
def test_a_trace_does_not_depend_on_company_order_or_mode(labs, solo, batch, rows, costs, random, bulk):
    lab = labs("qwen3")
    requests = [
        Request(f"{i}", PROMPTS[w], lab.recipe(lam), d, (), BULK if bulk and i % 2 else 0)
        for i, (lam, w, d) in enumerate(batch)
    ]
    want = {str(i): solo(lam, w, d) for i, (lam, w, d) in enumerate(batch)}
    random.shuffle(requests)
    with Engine(lab.resident, max_rows=rows, max_context=128, costs=costs) as engine:
        streams = [engine.submit([r]) for r in requests]
        got = {r.id: [e.token for e in s if isinstance(e, Token)] for r, s in zip(requests, streams)}
        assert engine.status().slots == 0
    assert got == want


def test_switching_modes_in_mid_trace_changes_no_token(labs, solo):
    """A strip whose companions leave ends folded on the KV that was written row-wise."""
    lab = labs("qwen3")
    costs = Costs({"folded": [(1, 1.0), (64, 64.0)], "rowwise": [(1, 1.5), (64, 3.0)]}, fold=0.5)
    modes = []
    caps = {0.0: 4, 0.3: 8, 0.5: 16, 1.0: 60}
    with Engine(lab.resident, max_rows=8, max_context=128, costs=costs) as engine:
        whole = engine.backend.run
        engine.backend.run = lambda bound, mode, *a: (modes.append(mode), whole(bound, mode, *a))[1]
        got = run(engine, [Request(str(lam), PROMPTS[1], lab.recipe(lam), greedy(cap)) for lam, cap in caps.items()])
    assert modes[0] == "rowwise" and modes[-1] == "folded"
    assert got == {str(lam): solo(lam, 1, greedy(cap)) for lam, cap in caps.items()}


def test_samples_of_a_prompt_share_one_prefill_but_never_across_coefficients(labs, solo, monkeypatch):
    lab = labs("qwen3")

    def strip(engine):
        widths = []
        whole = engine.backend.run
        engine.backend.run = lambda b, m, f, ids, *a: (widths.append(tuple(ids.shape)), whole(b, m, f, ids, *a))[1]
        requests = [
            Request(f"{lam} {k}", PROMPTS[2], lab.recipe(lam), greedy(12)) for lam in (0.0, 1.0) for k in range(3)
        ]
        return run(engine, requests), widths

    want = {f"{lam} {k}": solo(lam, 2, greedy(12)) for lam in (0.0, 1.0) for k in range(3)}
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        got, widths = strip(engine)
    assert got == want
    assert sum(n for n, c in widths if c > 1) == 2, "one prefill per λ, the other samples copy it"
    # The same run with a cache that ignores coefficients must be caught by this very comparison.
    monkeypatch.setattr("mi_explorer.engine.prefill.prefix_key", lambda sequence: sequence.request.prompt)
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        wrong, _ = strip(engine)
    assert wrong != want


def test_stop_ids_cap_and_context_end_a_row_with_their_reason(labs, solo):
    lab = labs("qwen3")
    free = solo(0.5, 0, greedy(20))
    stop = next(t for i, t in enumerate(free) if i > 2 and t not in free[:i])
    at = free.index(stop)
    with Engine(lab.resident, max_rows=4, max_context=32, costs=CHEAP_ROWS) as engine:
        events = list(
            engine.submit(
                [
                    Request("stop", PROMPTS[0], lab.recipe(0.5), greedy(20), (stop, 95)),
                    Request("cap", PROMPTS[0], lab.recipe(0.5), greedy(5)),
                    Request("context", PROMPTS[0], lab.recipe(0.5), greedy(500)),
                    Request("long", PROMPTS[2], lab.recipe(0.5), greedy(5)),
                ]
            )
        )
    ends = {e.id: e for e in events if isinstance(e, (Finished, Failed))}
    assert ends["stop"] == Finished("stop", "stop", at)
    assert ends["cap"] == Finished("cap", "cap", 5)
    assert ends["context"] == Finished("context", "context", 32 - 6 + 1)
    assert isinstance(ends["long"], Failed) and "40 tokens" in ends["long"].message and "32" in ends["long"].message
    assert [e.token for e in events if isinstance(e, Token) and e.id == "stop"] == free[:at]


def test_log_probabilities_are_those_of_the_raw_blend(labs):
    lab = labs("qwen3")
    decoding = Decoding(temperature=0.7, top_k=4, top_p=0.8, cap=10, seed=3)
    with Engine(lab.resident, max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        tokens = [
            e for e in engine.submit([Request("a", PROMPTS[0], lab.recipe(0.4), decoding)]) if isinstance(e, Token)
        ]
    ids = [*PROMPTS[0], *(e.token for e in tokens)]
    with torch.no_grad():
        table = lab.fold(0.4)(torch.tensor([ids])).logits[0].log_softmax(-1)
    for event in tokens:
        assert event.logprob == pytest.approx(float(table[len(PROMPTS[0]) - 1 + event.index, event.token]), abs=1e-4)


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
                slot = engine._batch.slots[first + i]
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


def test_a_draft_is_verified_in_few_passes_and_changes_nothing(labs, solo):
    lab = labs("qwen3")
    for decoding in (greedy(40), Decoding(temperature=0.9, cap=40, seed=5)):
        old, new = solo(0.5, 1, decoding), solo(0.52, 1, decoding)
        kept = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), 40)
        with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
            calls: list[int] = []
            engine.backend.run = lambda *a, whole=engine.backend.run, calls=calls: (calls.append(1), whole(*a))[1]
            for recipe, want, same in ((0.52, new, kept), (0.5, old, 40)):
                calls.clear()
                events = list(engine.submit([Request("d", PROMPTS[1], lab.recipe(recipe), decoding, draft=tuple(old))]))
                assert [e.token for e in events if isinstance(e, Token)] == want
                assert [e.kept for e in events if isinstance(e, Verified)] == [same]
                assert len(calls) <= 2 + (40 - same)


def test_logit_blends_mix_the_parents_distributions(labs):
    """Against the definition: ℓ = (1−λ)ℓ_I + λℓ_T, and ℓ_λ + β(ℓ_T − ℓ_I), greedy, from plain models."""
    lab = labs("qwen3")
    recipes = {
        "logit": lab.recipe(0.6, method="logit"),
        "logit_proxy": lab.recipe(0.4, method="logit_proxy", params=(("beta", 0.7),)),
    }
    with Engine(lab.resident, max_rows=8, max_context=64, costs=CHEAP_ROWS) as engine:
        got = run(
            engine,
            [Request(k, PROMPTS[0], r, greedy(12)) for k, r in recipes.items()]
            + [Request("plain", PROMPTS[0], lab.recipe(0.6), greedy(12))],
        )
        assert engine.status().slots == 0

    @torch.no_grad()
    def logits(lam, ids):
        return lab.fold(lam)(torch.tensor([ids])).logits[0, -1]

    def decode(mix):
        ids = list(PROMPTS[0])
        for _ in range(12):
            ids.append(int(mix(ids).argmax()))
        return ids[len(PROMPTS[0]) :]

    assert got["logit"] == decode(lambda ids: 0.4 * logits(0.0, ids) + 0.6 * logits(1.0, ids))
    assert got["logit_proxy"] == decode(lambda ids: logits(0.4, ids) + 0.7 * (logits(1.0, ids) - logits(0.0, ids)))
    assert got["plain"] == lab.generate(0.6, PROMPTS[0], 12)


def test_admitted_comes_first_and_says_how_it_runs(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        events = list(
            engine.submit(
                [
                    Request("a", PROMPTS[0], lab.recipe(0.3), greedy(3)),
                    Request("b", PROMPTS[0], lab.recipe(0.4), greedy(3)),
                ]
            )
        )
    for name in "ab":
        mine = [e for e in events if e.id == name]
        assert mine[0] == Admitted(name, "rowwise")
        assert [type(e) for e in mine[1:]] == [Token] * 3 + [Finished]


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


def test_no_fault_leaves_anybody_waiting(labs, solo, monkeypatch):
    """Start-up that cannot measure, and a bug in the scheduler: requests end with a message, the next ones run."""
    lab = labs("qwen3")
    monkeypatch.setattr("mi_explorer.engine.engine.StepTimer", lambda *a: 1 / 0)
    with Engine(lab.resident, max_rows=4, max_context=64) as engine:
        assert run(engine, [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))])["a"] == solo(0.3, 0, greedy(8))
        assert "could not be measured" in engine.status().notes[-1]
        whole = engine._scheduler.schedule
        engine._scheduler.schedule = lambda: {}["bug"]
        events = list(engine.submit([Request(str(i), PROMPTS[0], lab.recipe(0.3), greedy(8)) for i in range(9)]))
        assert [type(e) for e in events] == [Failed] * 9 and "KeyError" in events[0].message
        engine._scheduler.schedule = whole
        assert run(engine, [Request("a", PROMPTS[0], lab.recipe(0.3), greedy(8))])["a"] == solo(0.3, 0, greedy(8))


@pytest.mark.parametrize("after", range(1, 8))
def test_a_row_that_ends_as_another_comes_is_gone(labs, solo, after):
    """A row is admitted in the very step in which one ends: as many rows as before, but not the same ones."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
        step, batch, streams = engine._step, engine._batch, []

        def checked():
            if len(streams) == 2 and any(len(sequence.tokens) == after for sequence in batch.sequences):
                streams.append(engine.submit([Request("2", PROMPTS[2], lab.recipe(1.0), greedy(6))]))
            step()
            assert {slot.sequence for slot in batch.slots if slot} == set(batch.sequences)
            assert batch.used == sum(len(sequence.slots) for sequence in batch.sequences)

        engine._step = checked
        asks = [
            Request("0", PROMPTS[0], lab.recipe(0.0), greedy(6)),
            Request("1", PROMPTS[1], lab.recipe(0.5), greedy(20)),
        ]
        streams += [engine.submit([ask]) for ask in asks]
        got = {e.id: [] for e in asks}
        for stream in streams:
            for event in stream:
                assert not isinstance(event, Failed), event.message
                if isinstance(event, Token):
                    got.setdefault(event.id, []).append(event.token)
    assert got == {str(i): solo(lam, i, greedy(cap)) for i, (lam, cap) in enumerate(((0.0, 6), (0.5, 20), (1.0, 6)))}
