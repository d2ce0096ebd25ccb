"""Greedy equals plain `transformers` on the folded model, token for token in fp32; logits within 1e-4. Every architecture."""

import pytest
import torch

from mi_explorer.engine import Engine
from mi_explorer.engine.events import Request
from mi_explorer.recipe import Scope
from tests.engine.lab import CHEAP_ROWS, CLAIMED, FOLDED, ROWWISE, greedy, prompt, run

LAMS = (0.0, 0.3, 0.5, 0.8, 1.0, 1.2)
PROMPT = prompt(17)


@pytest.mark.parametrize("kind", ROWWISE + CLAIMED + FOLDED)
def test_a_strip_equals_generate_of_each_folded_model(labs, kind):
    lab = labs(kind)
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        status = engine.status()
        assert status.supports_rowwise == (kind in ROWWISE + CLAIMED), status
        got = run(engine, [Request(str(lam), PROMPT, lab.recipe(lam), greedy()) for lam in LAMS])
        assert engine.status().supports_rowwise or engine.status().why_folded
    assert got == {str(lam): lab.generate(lam, PROMPT, 24) for lam in LAMS}
    assert len(set(map(tuple, got.values()))) > 1, "λ changes nothing here: the test would prove nothing"


@pytest.mark.parametrize("kind", ROWWISE + CLAIMED)
@pytest.mark.parametrize("only", ["fold", "rowwise"])
def test_both_modes_give_the_same_tokens(labs, kind, only):
    lab = labs(kind)
    prompts = [prompt(5 + 7 * i, i) for i in range(3)]
    requests = [Request(f"{lam} {i}", p, lab.recipe(lam), greedy()) for lam in LAMS[1:4] for i, p in enumerate(prompts)]
    with Engine(lab.resident, max_rows=8, max_context=128, only=only, costs=CHEAP_ROWS) as engine:
        got = run(engine, requests)
    assert got == {r.id: lab.generate(r.recipe.lam, r.prompt, 24) for r in requests}


@pytest.mark.parametrize("kind", ROWWISE + CLAIMED + FOLDED)
@pytest.mark.parametrize("mode", ["folded", "rowwise"])
def test_logits_agree_with_transformers(labs, kind, mode):
    lab = labs(kind)
    if mode == "rowwise" and kind in FOLDED:
        mode = "folded"
    worst = 0.0
    with Engine(lab.resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine, torch.inference_mode():
        backend = engine.backend
        ids = torch.tensor([PROMPT[:12], PROMPT[5:17]])
        where = torch.arange(12).expand(2, 12)
        lams = (0.35, 0.8) if mode == "rowwise" else (0.35, 0.35)
        recipes = [lab.recipe(lam) for lam in lams]
        bounds = [backend.bind(r.hash, lab.resident.blend(r)) for r in recipes]
        for slot, bound in enumerate(bounds):
            backend.assign(1 + slot, bound)
        first = backend.run(bounds[0], mode, 1, ids, where, 12, [11, 11])
        next_ids = first.argmax(-1, keepdim=True)
        second = backend.run(bounds[0], mode, 1, next_ids, torch.full((2, 1), 12), 13)
        for row, lam in enumerate(lams):
            want = lab.fold(lam)(torch.cat((ids[row], next_ids[row]))[None]).logits[0]
            worst = max(worst, float((first[row] - want[11]).abs().max()), float((second[row] - want[12]).abs().max()))
    assert worst < 1e-4


@pytest.mark.parametrize("kind", ("qwen3", "qwen2"))
def test_scopes_share_a_row_wise_batch(labs, kind):
    lab = labs(kind)
    scopes = {
        "all": Scope(),
        "late": Scope("1-2"),
        "no mlp": Scope("all", ("attention", "norm")),
        "head": Scope("none", ("embedding", "lm_head")),
    }
    inside = {
        "all": lambda n: True,
        "late": lambda n: not n.startswith("model.layers.0."),
        "no mlp": lambda n: ".self_attn." in n or "norm" in n,
        "head": lambda n: "embed_tokens" in n or "lm_head" in n,
    }
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        got = run(
            engine, [Request(name, PROMPT, lab.recipe(0.8, scope=scope), greedy()) for name, scope in scopes.items()]
        )
        modes = engine.status()
    assert modes.supports_rowwise
    assert got == {name: lab.generate(0.8, PROMPT, 24, inside=inside[name]) for name in scopes}


def test_slerp_rows_join_linear_rows(labs):
    """Per-tensor coefficients inside one fused product, in company of rows with uniform ones."""
    lab = labs("qwen3")
    recipes = {
        "linear": lab.recipe(0.5),
        "slerp": lab.recipe(0.5, method="slerp"),
        "slerp .9": lab.recipe(0.9, method="slerp"),
    }
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        together = run(engine, [Request(k, PROMPT, r, greedy()) for k, r in recipes.items()])
    for name, recipe in recipes.items():
        blend = lab.resident.blend(recipe)
        lab.plain.load_state_dict({n: blend.tensor(n) for n in blend.names()}, strict=False)
        lab.plain.tie_weights()
        out = lab.plain.generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        assert together[name] == out[0, len(PROMPT) :].tolist(), name


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_methods_with_their_own_plane(labs, method):
    """Their rows run beside rows of the parents' plane, in a batch or a fold of their own."""
    lab = labs("llama")
    recipes = {f"{method} {lam}": lab.recipe(lam, method=method) for lam in (0.4, 0.9)} | {"linear": lab.recipe(0.4)}
    with Engine(lab.resident, max_rows=8, max_context=128, costs=CHEAP_ROWS) as engine:
        together = run(engine, [Request(k, PROMPT, r, greedy()) for k, r in recipes.items()])
    for name, recipe in recipes.items():
        blend = lab.resident.blend(recipe)
        lab.plain.load_state_dict({n: blend.tensor(n) for n in blend.names()})
        out = lab.plain.generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        assert together[name] == out[0, len(PROMPT) :].tolist(), name
