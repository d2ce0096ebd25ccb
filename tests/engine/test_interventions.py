"""Interventions are exact: a response that goes on from given tokens, under another λ or after an insertion, is what plain
`transformers` writes after that very prefix; whoever else is in the batch, in either mode, and again in a replay."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.engine import Engine, backends, memory_plan
from mi_explorer.engine.events import Change, Changed, Failed, Refused, Request, Token
from mi_explorer.engine.thoughts import TagIds
from mi_explorer.recipe import Decoding
from tests.engine.asking import SLOW_ROWS
from tests.engine.intervened import CLOSE, OPEN, OPENED, PROMPT, TAGS, follow, responses
from tests.engine.lab import CHEAP_ROWS, CLAIMED, FOLDED, ROWWISE, greedy, prompt


def by_transformers(lab, pieces, cap) -> list[int]:
    """A response by plain `transformers`: pieces (from token, λ, tokens put in there), each after all that came before."""
    out: list[int] = []
    for (_, lam, insert), end in zip(pieces, [*(p[0] for p in pieces[1:]), cap]):
        out += insert
        if len(out) < end:
            out += lab.generate(lam, [*PROMPT, *out], end - len(out))
    return out


@pytest.mark.parametrize("kind", ROWWISE + CLAIMED + FOLDED)
def test_given_tokens_and_changes_of_lambda_are_exact_on_every_architecture(labs, kind):
    lab = labs(kind)
    prefix = prompt(9, 5)
    requests = {
        "prefix": Request("prefix", PROMPT, lab.recipe(0.3), greedy(20), given=prefix),
        "other λ": Request("other λ", PROMPT, lab.recipe(1.0), greedy(20), given=prefix),
        "schedule": Request(
            "schedule",
            PROMPT,
            lab.recipe(0.3),
            greedy(24),
            schedule=(Change(6, lab.recipe(1.0)), Change(13, insert=(5, 6, 8)), Change(18, lab.recipe(0.3))),
        ),
    }
    want = {
        "prefix": by_transformers(lab, [(0, 0.3, list(prefix))], 20),
        "other λ": by_transformers(lab, [(0, 1.0, list(prefix))], 20),
        "schedule": by_transformers(lab, [(0, 0.3, []), (6, 1.0, []), (13, 1.0, [5, 6, 8]), (18, 0.3, [])], 24),
    }
    for costs in (CHEAP_ROWS, SLOW_ROWS):
        with Engine(lab.resident, max_rows=8, max_context=64, costs=costs) as engine:
            together = responses(engine, requests.values())
            alone = {name: responses(engine, [request])[name] for name, request in requests.items()}
        assert together == want and alone == want
    assert want["prefix"] != want["other λ"]


@pytest.mark.parametrize("method", ["slerp", "task_arithmetic", "logit"])
def test_other_methods_change_their_lambda_too(labs, method):
    lab = labs("llama")
    one, two = (lab.recipe(lam, method=method) for lam in (0.2, 0.9))
    with Engine(lab.resident, max_rows=8, max_context=64, costs=CHEAP_ROWS) as engine:
        changed = responses(engine, [Request("a", PROMPT, one, greedy(20), schedule=(Change(8, two),))])["a"]
        fresh = responses(engine, [Request("a", PROMPT, two, greedy(20), given=tuple(changed[:8]))])["a"]
        plain = responses(engine, [Request("a", PROMPT, one, greedy(20))])["a"]
        mixed = Request(
            "x", PROMPT, lab.recipe(0.2), greedy(20), schedule=(Change(8, lab.recipe(0.2, method="logit")),)
        )
        failed = [e for e in engine.submit([mixed]) if isinstance(e, Failed)]
    assert changed == fresh and changed[:8] == plain[:8] and changed != plain
    assert len(failed) == 1 and "logit" in failed[0].message


steps = st.lists(
    st.tuples(st.integers(0, 16), st.one_of(st.sampled_from((0.0, 0.3, 1.0)), st.lists(st.integers(1, 95), min_size=1, max_size=4))),
    max_size=4,
)  # fmt: skip
requests_ = st.lists(
    st.tuples(st.sampled_from((0.0, 0.3, 1.0)), st.sampled_from((0.0, 0.9)), st.integers(0, 2), st.integers(0, 6), steps),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests_, st.integers(1, 5), st.sampled_from((CHEAP_ROWS, SLOW_ROWS)))
def test_any_schedule_is_its_segments_whoever_is_beside_it(labs, asked, rows, costs):
    """Every token is the one that a fresh request with all before it as given draws, at its own place in the noise."""
    lab, requests = labs("qwen3"), []
    for i, (lam, temperature, seed, prefix, wanted) in enumerate(asked):
        schedule = tuple(
            Change(at, lab.recipe(what)) if isinstance(what, float) else Change(at, insert=tuple(what))
            for at, what in sorted(wanted, key=lambda x: x[0])
            if at >= prefix
        )
        decoding = Decoding(temperature=temperature, top_k=0, top_p=1, cap=22, seed=seed)
        requests.append(Request(str(i), PROMPT, lab.recipe(lam), decoding, given=PROMPT[:prefix], schedule=schedule))
    with Engine(lab.resident, max_rows=rows, max_context=64, costs=costs) as engine:
        changed: dict[str, list[Changed]] = {r.id: [] for r in requests}
        got: dict[str, list[int]] = {r.id: [] for r in requests}
        for event in engine.submit(requests):
            follow(event, got)
            if isinstance(event, Changed):
                changed[event.id].append(event)
        assert engine.status().slots == 0
    with Engine(lab.resident, max_rows=1, max_context=64, costs=CHEAP_ROWS) as engine:
        for request in requests:
            recipe, tokens = request.recipe, got[request.id]
            stops = sorted({len(request.given), *(e.at for e in changed[request.id])})
            for start, end in zip(stops, [*stops[1:], len(tokens)]):
                for event in changed[request.id]:
                    if event.at == start:
                        recipe = event.recipe or recipe
                        start += len(event.tokens)
                if start < end:
                    decoding = Decoding(**{**request.decoding.plain(), "cap": end})
                    fresh = Request("x", PROMPT, recipe, decoding, given=tuple(tokens[:start]))
                    assert responses(engine, [fresh])["x"] == tokens[:end]


def test_a_sampled_response_goes_on_as_it_would_have(labs):
    lab = labs("qwen3")
    decoding = Decoding(temperature=1.2, top_k=0, top_p=1.0, cap=30, seed=4)
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        whole = responses(engine, [Request("a", PROMPT, lab.recipe(0.5), decoding)])["a"]
        for at in (1, 7, 29):
            again = responses(engine, [Request("a", PROMPT, lab.recipe(0.5), decoding, given=tuple(whole[:at]))])["a"]
            assert again == whole
        penal = Decoding(temperature=0, repetition_penalty=1.8, cap=30)
        whole = responses(engine, [Request("a", PROMPT, lab.recipe(0.5), penal)])["a"]
        assert responses(engine, [Request("a", PROMPT, lab.recipe(0.5), penal, given=tuple(whole[:9]))])["a"] == whole


def test_probes_of_one_response_share_its_prefill(labs):
    """The longest prefix is read once, the others copy it; each says what it says alone."""
    lab, trace = labs("qwen3"), prompt(90, 8)
    requests = [
        Request(str(t), PROMPT, lab.recipe(0.5), greedy(t + 7), given=(*trace[:t], CLOSE)) for t in range(5, 90, 7)
    ]
    with Engine(lab.resident, max_rows=16, max_context=128, costs=CHEAP_ROWS) as engine:
        alone = {r.id: responses(engine, [r])[r.id] for r in requests}
        read, run = [], engine.backend.run

        def counted(bound, mode, first, ids, *rest):
            read.append(ids.numel() if ids.shape[1] > 1 else 0)
            return run(bound, mode, first, ids, *rest)

        engine.backend.run = counted
        together = responses(engine, requests)
    assert together == alone
    assert sum(read) <= len(PROMPT) + 90 + 3 * len(requests), "more was read than one trace and a tag for each probe"


@pytest.mark.parametrize("kind", ("qwen3", "gpt2", "lfm2"))
def test_a_thought_budget_closes_the_thought_at_that_token(labs, kind):
    lab = labs(kind)
    free = lab.generate(0.5, PROMPT, 30)
    budget = 12
    assert CLOSE not in free[:budget] and OPEN not in free
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        decoding = Decoding(temperature=0, cap=30, think_budget=budget)
        requests = [
            Request("open", PROMPT, lab.recipe(0.5), decoding, thought=OPENED),
            Request("no thought", PROMPT, lab.recipe(0.5), decoding, thought=TAGS),
            Request("probe", PROMPT, lab.recipe(0.5), greedy(30), given=(*free[:budget], CLOSE), thought=OPENED),
        ]
        got = responses(engine, requests)
    assert got["open"] == got["probe"] == by_transformers(lab, [(0, 0.5, []), (budget, 0.5, [CLOSE])], 30)
    assert got["no thought"] == free


def test_the_answer_has_its_own_lambda_from_the_end_of_the_thought(labs):
    """Closed by itself (a tag that the blend writes) or by its budget; the prefix is read again under the answer's λ."""
    lab = labs("qwen3")
    free = lab.generate(0.3, PROMPT, 30)
    at = next(i for i, t in enumerate(free) if t not in free[:1])  # the tag is what it happens to write there
    tags = TagIds((OPEN,), (free[at],), opened=True)
    want = by_transformers(lab, [(0, 0.3, []), (at + 1, 1.0, [])], 30)
    recipe = lab.recipe(0.3, answer_lam=1.0)
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        events = list(engine.submit([Request("a", PROMPT, recipe, greedy(30), thought=tags)]))
        budget = Decoding(temperature=0, cap=30, think_budget=at)
        forced = responses(engine, [Request("b", PROMPT, recipe, budget, thought=tags)])["b"]
        never = responses(engine, [Request("c", PROMPT, recipe, greedy(30), thought=TAGS)])["c"]
    assert [e.token for e in events if isinstance(e, Token)] == want != free
    assert [e for e in events if isinstance(e, Changed)] == [Changed("a", at + 1, "answer", lab.recipe(1.0))]
    # forced at the very token where it would have come, the tag changes nothing
    assert forced == by_transformers(lab, [(0, 0.3, []), (at, 1.0, [free[at]])], 30) == want
    assert never == free, "a response without a thought stays at its λ"


def test_what_cannot_be_meant_is_refused_in_a_sentence(labs):
    lab = labs("qwen3")
    recipe = lab.recipe(0.5)
    order = (Change(9, lab.recipe(1.0)), Change(4, lab.recipe(0.0)))
    wrong = {
        "order": Request("order", PROMPT, recipe, greedy(20), schedule=order),
        "inside": Request(
            "inside", PROMPT, recipe, greedy(20), given=(1, 2, 3), schedule=(Change(2, lab.recipe(1.0)),)
        ),
        "nothing left": Request("nothing left", PROMPT, recipe, greedy(3), given=(1, 2, 3)),
        "id": Request("id", PROMPT, recipe, greedy(20), given=(1, 96)),
        "too long": Request("too long", PROMPT, recipe, greedy(90), given=(1,) * 60),
        "tags": Request("tags", PROMPT, recipe, Decoding(cap=20, think_budget=3)),
        "answer": Request("answer", PROMPT, lab.recipe(0.5, answer_lam=1.0), greedy(20)),
        "empty": Request("empty", PROMPT, recipe, greedy(20), schedule=(Change(3),)),
    }
    words = ("order", "given", "cap", "95", "64", "tags", "tags", "one of three")
    with Engine(lab.resident, max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        for word, (name, request) in zip(words, wrong.items()):
            (event,) = engine.submit([request])
            assert isinstance(event, Failed) and word in event.message, name
        stream = engine.submit([Request("live", PROMPT, recipe, greedy(30))])
        stream.change("live", close=True)
        stream.change("live", lab.recipe(0.5, method="ties"))  # no base
        stream.change("other", lab.recipe(1.0))
        events = list(stream)
    assert sum(isinstance(e, Refused) for e in events) == 2
    assert [e.token for e in events if isinstance(e, Token)] == lab.generate(0.5, PROMPT, 30)


def test_a_long_prompt_is_read_right_by_models_that_keep_other_states(labs):
    """They read their whole prompt in one pass, and all of it again when something is put in."""
    lab, long = labs("lfm2"), prompt(60, 3)
    with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
        engine.prefill.chunk = 16
        got = responses(engine, [Request("a", long, lab.recipe(0.5), greedy(12), schedule=(Change(5, insert=(2, 3)),))])
    with torch.no_grad():
        head = lab.generate(0.5, long, 5)
        want = [*head, 2, 3, *lab.generate(0.5, [*long, *head, 2, 3], 5)]
    assert got["a"] == want


@pytest.mark.parametrize("kind", ["qwen3", "gpt2"])
def test_interventions_in_a_pool_too_small_for_everybody(labs, monkeypatch, kind):
    """Rows that give their blocks up and are read again keep their schedule, their budget and the answer's λ."""
    monkeypatch.setattr(memory_plan, "BLOCK_TOKENS", 8)
    lab = labs(kind)
    sampled = Decoding(temperature=1.0, top_p=1.0, top_k=0, cap=60, seed=3, think_budget=25)
    schedule = (Change(20, lab.recipe(1.0)), Change(33, insert=(5, 6, 7)), Change(45, lab.recipe(0.2)))
    requests = [
        Request("schedule", prompt(9, 1), lab.recipe(0.4), greedy(60), schedule=schedule),
        Request("budget", prompt(15, 2), lab.recipe(0.4, answer_lam=1.0), sampled, thought=OPENED),
        *(Request(f"probe {t}", prompt(9, 1), lab.recipe(0.4), greedy(60), given=prompt(t, 4)) for t in (10, 25, 40)),
    ]
    with Engine(lab.resident, max_rows=6, max_context=96, costs=CHEAP_ROWS) as engine:
        whole = responses(engine, requests)
        assert engine.room.parked == 0
    plan = backends.plan_pair
    monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), blocks=22))
    with Engine(lab.resident, max_rows=6, max_context=96, costs=CHEAP_ROWS) as engine:
        got = responses(engine, requests)
        assert engine.room.parked > 0
        assert engine.backend.cache.blocks.free == engine.backend.cache.blocks.blocks
    assert got == whole and all(len(tokens) == 60 for tokens in got.values())
