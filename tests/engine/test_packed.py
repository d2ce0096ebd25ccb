"""Packed weights: the same products as plain ones and as the definition, folds bit for bit, and only where memory has room."""

import itertools

import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair, fast_paths
from mi_explorer.engine.events import Request
from mi_explorer.engine.memory_plan import PairSizes, plan_memory
from mi_explorer.engine.native.endpoints import Endpoints
from mi_explorer.engine.native.packed import pack_weight, packed_linear, packing_works
from mi_explorer.engine.native.weights import FoldedWeights, RowwiseWeights
from mi_explorer.recipe import Scope
from tests.engine.lab import CHEAP_ROWS, ROWWISE, greedy, prompt, run

LAMS = (0.0, 0.3, 0.7, 1.0)
CPU = torch.device("cpu")


@pytest.mark.parametrize("rows", [1, 3, 16, 60])
def test_a_packed_product_is_a_product(rows):
    generator = torch.Generator().manual_seed(rows)
    weight, x = torch.randn(80, 48, generator=generator), torch.randn(rows, 1, 48, generator=generator)
    with torch.inference_mode():
        assert torch.allclose(packed_linear(x, pack_weight(weight)).double(), x.double() @ weight.double().T, atol=1e-5)


def both_weights(lab, recipes):
    """A plain and a packed weights_ with a row for each recipe."""
    blends = [lab.resident.blend(recipe) for recipe in recipes]
    out = []
    for packed in (False, True):
        endpoints = Endpoints(lab.resident.layout, blends[0], CPU, torch.float32, packed)
        weights_ = RowwiseWeights(endpoints, len(recipes))
        for slot, blend in enumerate(blends):
            weights_.write(slot, weights_.prepare(blend))
        weights_.use(0, len(recipes))
        out.append(weights_)
    return blends, out


@pytest.mark.parametrize("kind", ROWWISE)
@pytest.mark.parametrize("method", ["linear", "slerp", "mixed"])
def test_rows_multiply_by_their_own_blend(labs, kind, method):
    lab = labs(kind)
    methods = {"mixed": ["linear", "slerp", "linear", "linear"]}.get(method, [method] * 4)
    scopes = (
        [Scope(), Scope("1-2"), Scope("all", ("attention", "norm")), Scope()] if method == "mixed" else [Scope()] * 4
    )
    recipes = [lab.recipe(lam, method=m, scope=s) for lam, m, s in zip(LAMS, methods, scopes)]
    with torch.inference_mode():
        blends, (plain, packed) = both_weights(lab, recipes)
        layout = lab.resident.layout
        for part in layout.products():
            x = torch.randn(4, 2, part.width)
            for row, blend in enumerate(blends):
                weight = torch.cat([blend.tensor(name).double() for name in part.names])
                bias = torch.cat([blend.tensor(name).double() for name in part.biases]) if part.biases else 0.0
                want = x[row].double() @ weight.T + bias
                for weights_ in (plain, packed):
                    assert torch.allclose(weights_.linear(part, x)[row].double(), want, atol=1e-5), (part.names, row)
        ids = torch.tensor([[3, 7]] * 4)
        assert torch.equal(plain.embed(ids), packed.embed(ids))
        assert all(
            len(packed.endpoints.weights[part]) == (1 if method == "linear" else len(part.names))
            for part in layout.products()
        )


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_a_norm_s_weight_and_the_heads_ones_are_the_rows_own(labs, method):
    lab = labs("qwen3")
    recipes = [lab.recipe(lam, method=method) for lam in LAMS]
    with torch.inference_mode():
        blends, pair = both_weights(lab, recipes)
        layer = lab.resident.layout.layers[1]
        for part, norm in ((layer.qkv, layer.norm1), (layer.gate_up, layer.norm2)):
            x = torch.randn(4, 3, part.width)
            for row, blend in enumerate(blends):
                weight = torch.cat([blend.tensor(name).double() for name in part.names])
                want = (x[row].double() * blend.tensor(norm).double()) @ weight.T
                fold = FoldedWeights(lab.resident.layout, CPU, torch.float32)
                fold.fold(recipes[row].hash, blend, pair[0].endpoints)
                for got in (
                    *(weights_.normed(part, norm, x)[row] for weights_ in pair),
                    fold.normed(part, norm, x[row]),
                ):
                    assert torch.allclose(got.double(), want, atol=1e-5), (part.names, row)
                q, k = (blend.tensor(name) for name in layer.qk_norm)
                for heads in (
                    *(weights_.heads(layer.qk_norm, (3, 2))[row, 0] for weights_ in pair),
                    fold.heads(layer.qk_norm, (3, 2)),
                ):
                    assert torch.allclose(heads, torch.stack([q, q, q, k, k]), atol=1e-6)
                fold.fold(recipes[0].hash, blends[0], pair[0].endpoints)
                assert torch.allclose(
                    fold.heads(layer.qk_norm, (1, 1))[0], blends[0].tensor(layer.qk_norm[0]), atol=1e-6
                ), "a new blend has new ones"


@pytest.mark.parametrize("kind", ["qwen3", "qwen2"])
def test_a_fold_is_the_same_from_either(labs, kind):
    lab = labs(kind)
    recipes = [lab.recipe(0.3), lab.recipe(0.9, scope=Scope("1-2")), lab.recipe(0.4, method="slerp")]
    with torch.inference_mode():
        blends, pair = both_weights(lab, recipes)
        for recipe, blend in zip(recipes, blends):
            folds = [FoldedWeights(lab.resident.layout, CPU, torch.float32) for _ in pair]
            for fold, weights_ in zip(folds, pair):
                fold.fold(recipe.hash, blend, weights_.endpoints)
            for part in lab.resident.layout.parts():
                assert torch.equal(folds[0].weight[part], folds[1].weight[part])
                assert torch.equal(folds[0].weight[part], torch.cat([blend.tensor(name) for name in part.names]))


def test_what_is_held_is_counted_and_asked_for(labs):
    lab = labs("qwen3-untied")
    _, (plain, packed) = both_weights(lab, [lab.recipe(0.5)])
    products = sum(end.nbytes for part in lab.resident.layout.products() for end in plain.endpoints.ends[part])
    assert packed.endpoints.bytes() == plain.endpoints.bytes() + products
    sizes = PairSizes(weights=100, kv_token=1)
    need = 5 * 100 + 2 * 64 + sizes.workspace(2, 64) + 2 * 64  # two copies more, and the cache of four rows

    def given(usable):
        return plan_memory(sizes, usable, 2, 64, may_pack=True)

    assert given(need).packed and given(need - 64).mode == "both" and not given(need - 64).packed
    assert given(250 + 128).mode == "folded" and not given(250 + 128).packed


@pytest.mark.parametrize("kind", ROWWISE)
def test_packing_what_is_there_is_reading_it_packed(labs, kind):
    lab = labs(kind)
    blend = lab.resident.blend(lab.recipe(0.5))
    with torch.inference_mode():
        read, later = (Endpoints(lab.resident.layout, blend, CPU, torch.float32, packed) for packed in (True, False))
        later.pack()
        assert later.bytes() == read.bytes() and all(p.is_contiguous() for p, _ in later.ends.values())
        for part in lab.resident.layout.products():
            x = torch.randn(3, 1, part.width * (1 if later.ends[part][0] is later.ends[part][1] else 2))
            assert torch.equal(later.multiply(x, later.weights[part][0]), read.multiply(x, read.weights[part][0]))


@pytest.mark.parametrize(("times", "used"), [((2.0, 1.0), True), ((1.0, 2.0), False)])
def test_weights_are_packed_only_where_that_is_quicker(labs, monkeypatch, times, used):
    lab = labs("qwen3")
    clock = itertools.cycle(times)
    monkeypatch.setattr(fast_paths, "path_seconds", lambda path, device: next(clock))
    resident = ResidentPair.load(lab.pair)
    with Engine(resident, max_rows=4, max_context=128, only="rowwise", costs=CHEAP_ROWS) as engine:
        run(engine, [Request(str(lam), prompt(9), lab.recipe(lam), greedy()) for lam in LAMS])
        assert resident.model.packed and all(ends.packed is used for ends in resident.model.endpoints.values())
        assert any("packed weights: used" in path for path in engine.status().paths) is used


def test_an_engine_without_room_for_packed_weights_says_the_same_tokens(labs, monkeypatch):
    lab = labs("qwen3")
    clock = itertools.cycle((2.0, 1.0))  # a machine on which packed products are quicker
    monkeypatch.setattr(fast_paths, "path_seconds", lambda path, device: next(clock))
    assert packing_works(CPU, torch.float32)
    got = {}
    sizes = lab.resident.sizes
    tight = 2 * sizes.weights + sizes.workspace(4, 128) + 128 * (sizes.score_token + 4 * sizes.kv_token)
    for memory, packed in ((None, True), (tight, False)):
        resident = ResidentPair.load(lab.pair)
        with Engine(resident, max_rows=4, max_context=128, memory=memory, only="rowwise", costs=CHEAP_ROWS) as engine:
            got[packed] = run(engine, [Request(str(lam), prompt(9), lab.recipe(lam), greedy()) for lam in LAMS])
            assert engine.status().supports_rowwise and resident.model.packed is packed
            assert all(ends.packed is packed for ends in resident.model.endpoints.values())
    assert got[True] == got[False] == {str(lam): lab.generate(lam, prompt(9), 24) for lam in LAMS}
