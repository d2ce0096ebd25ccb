"""Packed weights: the same products as plain ones and as the definition, folds bit for bit, and only where memory has room."""

import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Request
from mi_explorer.engine.memory import grant
from mi_explorer.engine.native.endpoints import Plane
from mi_explorer.engine.native.packed import pack, packs, product
from mi_explorer.engine.native.weights import Fold, Rows
from mi_explorer.recipe import Scope
from tests.engine.lab import CHEAP_ROWS, ROWWISE, greedy, prompt, run

LAMS = (0.0, 0.3, 0.7, 1.0)
CPU = torch.device("cpu")


@pytest.mark.parametrize("rows", [1, 3, 16, 60])
def test_a_packed_product_is_a_product(rows):
    generator = torch.Generator().manual_seed(rows)
    weight, x = torch.randn(80, 48, generator=generator), torch.randn(rows, 1, 48, generator=generator)
    with torch.inference_mode():
        assert torch.allclose(product(x, pack(weight)).double(), x.double() @ weight.double().T, atol=1e-5)


def banks(lab, recipes):
    """A plain and a packed bank with a row for each recipe."""
    blends = [lab.resident.blend(recipe) for recipe in recipes]
    out = []
    for packed in (False, True):
        plane = Plane(lab.resident.layout, blends[0], CPU, torch.float32, packed)
        bank = Rows(plane, len(recipes))
        for slot, blend in enumerate(blends):
            bank.write(slot, bank.prepare(blend))
        bank.use(0, len(recipes))
        out.append(bank)
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
        blends, (plain, packed) = banks(lab, recipes)
        layout = lab.resident.layout
        for part in layout.products():
            x = torch.randn(4, 2, part.width)
            for row, blend in enumerate(blends):
                weight = torch.cat([blend.tensor(name).double() for name in part.names])
                bias = torch.cat([blend.tensor(name).double() for name in part.biases]) if part.biases else 0.0
                want = x[row].double() @ weight.T + bias
                for bank in (plain, packed):
                    assert torch.allclose(bank.linear(part, x)[row].double(), want, atol=1e-5), (part.names, row)
        ids = torch.tensor([[3, 7]] * 4)
        assert torch.equal(plain.embed(ids), packed.embed(ids))
        assert all(
            len(packed.plane.weights[part]) == (1 if method == "linear" else len(part.names))
            for part in layout.products()
        )


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_a_norm_s_weight_and_the_heads_ones_are_the_rows_own(labs, method):
    lab = labs("qwen3")
    recipes = [lab.recipe(lam, method=method) for lam in LAMS]
    with torch.inference_mode():
        blends, pair = banks(lab, recipes)
        layer = lab.resident.layout.layers[1]
        for part, norm in ((layer.qkv, layer.norm1), (layer.gate_up, layer.norm2)):
            x = torch.randn(4, 3, part.width)
            for row, blend in enumerate(blends):
                weight = torch.cat([blend.tensor(name).double() for name in part.names])
                want = (x[row].double() * blend.tensor(norm).double()) @ weight.T
                fold = Fold(lab.resident.layout, CPU, torch.float32)
                fold.to(recipes[row].hash, blend, pair[0].plane)
                for got in (*(bank.normed(part, norm, x)[row] for bank in pair), fold.normed(part, norm, x[row])):
                    assert torch.allclose(got.double(), want, atol=1e-5), (part.names, row)
                q, k = (blend.tensor(name) for name in layer.qk_norm)
                for heads in (
                    *(bank.heads(layer.qk_norm, (3, 2))[row, 0] for bank in pair),
                    fold.heads(layer.qk_norm, (3, 2)),
                ):
                    assert torch.allclose(heads, torch.stack([q, q, q, k, k]), atol=1e-6)
                fold.to(recipes[0].hash, blends[0], pair[0].plane)
                assert torch.allclose(
                    fold.heads(layer.qk_norm, (1, 1))[0], blends[0].tensor(layer.qk_norm[0]), atol=1e-6
                ), "a new blend has new ones"


@pytest.mark.parametrize("kind", ["qwen3", "qwen2"])
def test_a_fold_is_the_same_from_either(labs, kind):
    lab = labs(kind)
    recipes = [lab.recipe(0.3), lab.recipe(0.9, scope=Scope("1-2")), lab.recipe(0.4, method="slerp")]
    with torch.inference_mode():
        blends, pair = banks(lab, recipes)
        for recipe, blend in zip(recipes, blends):
            folds = [Fold(lab.resident.layout, CPU, torch.float32) for _ in pair]
            for fold, bank in zip(folds, pair):
                fold.to(recipe.hash, blend, bank.plane)
            for part in lab.resident.layout.parts():
                assert torch.equal(folds[0].weight[part], folds[1].weight[part])
                assert torch.equal(folds[0].weight[part], torch.cat([blend.tensor(name) for name in part.names]))


def test_what_is_held_is_counted_and_asked_for(labs):
    lab = labs("qwen3-untied")
    _, (plain, packed) = banks(lab, [lab.recipe(0.5)])
    products = sum(end.nbytes for part in lab.resident.layout.products() for end in plain.plane.ends[part])
    assert packed.plane.bytes() == plain.plane.bytes() + products
    room = {"weights": 100, "per_position": 1, "rows": 2, "context": 64, "device": CPU}
    need = 3 * 100 + (2 * 100 + 4 * 64) * 3 // 2 + 2  # two copies more, and a cache that may grow
    assert (
        grant(**room, budget=need).packed
        and grant(**room, budget=need - 4).rowwise
        and not grant(**room, budget=need - 4).packed
    )
    assert not grant(**room, budget=250).rowwise and not grant(**room, budget=250).packed


def test_an_engine_without_room_for_packed_weights_says_the_same_tokens(labs):
    lab = labs("qwen3")
    assert packs(CPU, torch.float32)
    got = {}
    for memory, packed in ((None, True), (3 * lab.resident.weight_bytes + 300_000, False)):
        resident = ResidentPair.load(lab.pair)
        with Engine(resident, max_rows=4, max_context=128, memory=memory, only="rowwise", costs=CHEAP_ROWS) as engine:
            got[packed] = run(engine, [Request(str(lam), prompt(9), lab.recipe(lam), greedy()) for lam in LAMS])
            assert engine.status().supports_rowwise and resident.model.packed is packed
            assert all(plane.packed is packed for plane in resident.model.planes.values())
    assert got[True] == got[False] == {str(lam): lab.generate(lam, prompt(9), 24) for lam in LAMS}
