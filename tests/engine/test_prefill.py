"""How prompts are read: in chunks, in bunches of one length, by a fold where that pays; and who gets a first token when."""

import pytest

from mi_explorer.engine import Engine
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import Request, Token
from mi_explorer.engine.prefill import PADDING_TOKENS
from mi_explorer.engine.stream import EventStream
from mi_explorer.recipe import Decoding
from tests.engine.lab import CHEAP_ROWS, CLAIMED, ROWWISE, greedy, prompt, run

# Decoding is cheaper row-wise, and reading so much dearer that a fold pays for it.
READ_BY_FOLD = Costs(
    {"folded": [(1, 1.0), (64, 64.0)], "rowwise": [(1, 0.5), (64, 0.6)]},
    fold=0.1,
    read={"folded": [(9, 1.0)], "rowwise": [(9, 81.5)]},
)


def watch(engine: Engine, note) -> None:  # noqa: ANN001
    """Tell `note(mode, ids)` of every pass."""
    whole = engine.backend.run

    def run_(bound, mode, first, ids, *rest):  # noqa: ANN001, ANN202
        note(mode, ids)
        return whole(bound, mode, first, ids, *rest)

    engine.backend.run = run_


def test_long_prompts_are_read_in_chunks(labs):
    lab, prompts = labs("qwen3"), [prompt(n, n) for n in (12, 20, 33)]
    with Engine(lab.resident, max_rows=4, max_context=128, costs=CHEAP_ROWS) as engine:
        engine.prefill.chunk, engine.prefill.budget = 7, 15
        got = run(
            engine,
            [Request(f"{lam} {i}", p, lab.recipe(lam), greedy(9)) for lam in (0.3, 1.0) for i, p in enumerate(prompts)],
        )
    assert got == {f"{lam} {i}": lab.generate(lam, p, 9) for lam in (0.3, 1.0) for i, p in enumerate(prompts)}


def test_prompts_are_read_in_bunches_of_about_one_length(labs):
    """Little is computed for padding, nobody is left out, and everybody says what they say alone."""
    lab = labs("qwen3")
    prompts = [prompt(n, n) for n in (3, 120, 4, 60, 119, 5, 58, 7, 118, 61, 6, 57)]
    requests = [Request(str(i), p, lab.recipe(0.3), greedy(4)) for i, p in enumerate(prompts)]
    passes = []
    with Engine(lab.resident, max_rows=16, max_context=160, costs=CHEAP_ROWS) as engine:
        run_ = engine.backend.run

        def seen(bound, mode, first, ids, *rest):
            if ids.shape[1] > 1:
                passes.append(tuple(ids.shape))
            return run_(bound, mode, first, ids, *rest)

        engine.backend.run = seen
        got = run(engine, requests)
    assert sum(n for n, _ in passes) == len(prompts) and 2 <= len(passes) <= 4
    assert sum(n * c for n, c in passes) - sum(map(len, prompts)) <= PADDING_TOKENS * len(passes)
    assert got == {r.id: lab.generate(0.3, r.prompt, 4) for r in requests}


@pytest.mark.parametrize("kind", ROWWISE + CLAIMED)
def test_prompts_of_rows_that_decode_row_wise_may_be_read_by_folds(labs, kind):
    lab, passes = labs(kind), []
    requests = [
        Request(f"{lam} {n}", prompt(n, n), lab.recipe(lam), greedy(6)) for lam in (0.0, 0.35, 0.8) for n in (5, 9, 30)
    ]
    requests.append(
        Request("again", prompt(30, 30), lab.recipe(0.35), Decoding(temperature=0, cap=3))
    )  # shares a prompt: forks its KV
    with Engine(lab.resident, max_rows=16, max_context=128, costs=READ_BY_FOLD) as engine:
        watch(engine, lambda mode, ids: passes.append((mode, tuple(ids.shape))))
        got = run(engine, requests)
    assert got == {r.id: lab.generate(r.recipe.lam, r.prompt, r.decoding.cap) for r in requests}
    assert {mode for mode, (_, c) in passes if c > 1} == {"folded"} and sum(n for mode, (n, c) in passes if c > 1) == 9
    assert {mode for mode, (n, c) in passes if c == 1 and n > 3} == {"rowwise"}


def test_first_tokens_do_not_wait_for_the_prompts_of_others(labs):
    lab, shown, events = labs("qwen3"), [], []
    requests = [Request(str(lam), prompt(20, 1), lab.recipe(lam), greedy(4)) for lam in (0.0, 0.5, 1.0)]
    with Engine(lab.resident, max_rows=4, max_context=64, costs=READ_BY_FOLD) as engine:
        stream = EventStream(engine.cancel)

        def look(mode, ids):
            events.extend(stream.drain())
            if ids.shape[1] > 1:
                shown.append(sum(isinstance(e, Token) for e in events))

        watch(engine, look)
        engine.submit(requests, stream)
        stream.drain(60)
    assert shown == [0, 1, 2]
