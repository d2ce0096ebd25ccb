"""What a request asks for is what it gets: alone or in company, in every mode, to its last token and log-probability."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.engine import Engine
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import BULK, Admitted, Failed, Finished, Request, Token, Verified
from mi_explorer.recipe import Decoding
from tests.engine.asking import PROMPTS, SLOW_ROWS, asks
from tests.engine.lab import CHEAP_ROWS, greedy, run


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


@pytest.mark.parametrize("after", range(1, 8))
def test_a_row_that_ends_as_another_comes_is_gone(labs, solo, after):
    """A row is admitted in the very step in which one ends: as many rows as before, but not the same ones."""
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
        step, batch, streams = engine.step, engine.batch, []

        def checked():
            if len(streams) == 2 and any(len(sequence.tokens) == after for sequence in batch.sequences):
                streams.append(engine.submit([Request("2", PROMPTS[2], lab.recipe(1.0), greedy(6))]))
            step()
            assert {slot.sequence for slot in batch.slots if slot} == set(batch.sequences)
            assert batch.used == sum(len(sequence.slots) for sequence in batch.sequences)

        engine.step = checked
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
