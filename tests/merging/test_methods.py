"""Merge methods: mergekit's numbers where both have the method, closed forms elsewhere, bit-exact ends."""

import math

import pytest
import torch
from mergekit.merge_methods.api import merge_tensors
from mergekit.merge_methods.karcher import karcher_merge_tensors

from mi_explorer.checkpoints.parents import MismatchError, Parents
from mi_explorer.checkpoints.tensor_names import inside, place
from mi_explorer.merging.blend import bind
from mi_explorer.merging.methods import METHODS, check_params, get_method
from mi_explorer.merging.methods.method import uniform
from mi_explorer.recipe import RecipeError, Scope
from tests.fixtures import make_pair
from tests.merging.recipes import recipe

FROM_BASE = [name for name, m in METHODS.items() if m.zero == "base"]
TO_PARENTS = [
    "linear",
    "slerp",
    "karcher",
    "topk_override",
]  # λ = 1 is Thinking itself; λ = 0 is Instruct (top-k: with k = 0)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    return Parents.open(make_pair("qwen2", tmp_path_factory.mktemp("bf16"), delta=0.05, dtype=torch.bfloat16))


def three(parents, name):
    return [parents.tensor(role, name) for role in ("instruct", "thinking", "base")]


def close(ours, oracle, tol=2e-6):
    assert ours.shape == oracle.shape
    assert (ours.double() - oracle.double()).abs().max() <= tol * (1 + oracle.double().abs().max())


@pytest.mark.parametrize("lam", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_mergekit_agrees_where_both_have_the_method(parents, lam):
    for name in parents.names():
        i, t, base = three(parents, name)

        def mine(method, params=(), lam=lam, name=name):
            return bind(recipe(method, lam, params), parents).tensor(name)

        close(mine("linear"), merge_tensors([i, t], "linear", parameters={"weight": [1 - lam, lam]}))
        close(mine("slerp"), merge_tensors([i, t], "slerp", parameters={"t": lam}, base_index=0))
        close(mine("karcher"), karcher_merge_tensors([i, t], [1 - lam, lam], max_iter=200, tol=1e-7), 2e-5)
        both = {"weight": [1.0, 1.0], "lambda": lam}
        close(mine("task_arithmetic"), merge_tensors([base, i, t], "task_arithmetic", parameters=both, base_index=0))
        weights = {"weight": [1 - lam, lam]}
        close(
            mine("task_arithmetic", {"crossfade": 1}),
            merge_tensors([base, i, t], "task_arithmetic", parameters=weights, base_index=0),
        )
        for density in (0.1, 0.5, 1.0):
            close(
                mine("ties", {"density": density}),
                merge_tensors([base, i, t], "ties", parameters={**both, "density": density}, base_index=0),
            )
            for gamma in (0.0, 0.05, 0.3):
                close(
                    mine("breadcrumbs", {"density": density, "gamma": gamma}),
                    merge_tensors(
                        [base, i, t],
                        "breadcrumbs",
                        parameters={**both, "density": density, "gamma": gamma},
                        base_index=0,
                    ),
                )
        close(
            mine("dare_linear", {"drop": 0}),
            merge_tensors([base, i, t], "dare_linear", parameters={**both, "density": 1.0}, base_index=0),
        )
        close(
            mine("dare_ties", {"drop": 0}),
            merge_tensors([base, i, t], "dare_ties", parameters={**both, "density": 1.0}, base_index=0),
        )
        close(mine("model_stock", lam=0.5), merge_tensors([base, i, t], "model_stock", base_index=0))


@pytest.mark.parametrize("method", TO_PARENTS)
@pytest.mark.parametrize("which", ["fp32", "bf16"])
def test_ends_are_the_parents_bit_for_bit(method, which, parents, half):
    pair = parents if which == "fp32" else half
    params = {"k": 0} if method == "topk_override" else {}
    zero, one = bind(recipe(method, 0.0, params), pair), bind(recipe(method, 1.0, params), pair)
    for name in pair.names():
        assert torch.equal(zero.tensor(name), pair.tensor("instruct", name))
        assert torch.equal(one.tensor(name), pair.tensor("thinking", name))


@pytest.mark.parametrize("method", FROM_BASE)
def test_scale_zero_is_the_base(method, parents):
    blend = bind(recipe(method, 0.0), parents)
    assert all(torch.equal(blend.tensor(n), parents.tensor("base", n)) for n in parents.names())


@pytest.mark.parametrize("method", METHODS)
def test_outside_the_scope_instruct_stays_bit_for_bit(method, half):
    scope = Scope("1", ("attention", "norm"))
    blend = bind(recipe(method, 0.7, scope=scope), half)
    moved = set()
    for name in half.names():
        if inside(scope, name):
            moved.add(place(name))
        else:
            assert torch.equal(blend.tensor(name), half.tensor("instruct", name))
            assert blend.key(name) == (half.id, "instruct") and blend.coefficients(name) == (1.0, 0.0)
            assert torch.equal(blend.endpoints(name)[0], half.tensor("instruct", name))
    assert moved == {("attention", 1), ("norm", 1), ("norm", None)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("which", ["fp32", "bf16"])
def test_one_rounding_against_float64(method, which, parents, half):
    """`tensor` is a·P + b·Q in fp32, rounded once: within half an ulp of the float64 value plus what fp32 itself loses."""
    pair = parents if which == "fp32" else half
    blend = bind(recipe(method, 0.37), pair)
    for name in pair.names():
        a, b = blend.coefficients(name)
        p, q = (e.double() for e in blend.endpoints(name))
        exact, out = a * p + b * q, blend.tensor(name)
        unit = torch.finfo(out.dtype).eps / 2 if which == "bf16" else 0
        assert ((out.double() - exact).abs() <= unit * exact.abs() + 2e-7 * (p.abs() + q.abs())).all()
        streamed = blend.block(name, 0, out.numel())
        assert torch.equal(streamed, out.reshape(-1)) and out.dtype == pair.dtype(name)


@pytest.mark.parametrize("lam", [-0.2, 0.0, 0.4, 1.0, 1.3])
def test_linear_is_task_arithmetic_with_any_base(lam, parents, tmp_path):
    other = Parents.open(make_pair("qwen3-untied", tmp_path, delta=0.4)).thinking
    far = Parents(parents.pair, parents.instruct, parents.thinking, other)
    for pair in (parents, far):
        one, two = bind(recipe("linear", lam), pair), bind(recipe("task_arithmetic", lam, {"crossfade": 1}), pair)
        for name in pair.names():
            i, t, base = (x.double() for x in three(pair, name))
            assert torch.allclose(
                one.tensor(name).double(), base + (1 - lam) * (i - base) + lam * (t - base), rtol=0, atol=1e-6
            )
            assert torch.equal(one.tensor(name), two.tensor(name))


def test_slerp_closed_forms(parents):
    blend = bind(recipe("slerp", 0.25), parents)
    for name in parents.names():
        i, t, _ = (x.double().flatten() for x in three(parents, name))
        cos = float(i @ t / (i.norm() * t.norm()))
        a, b = blend.coefficients(name)
        if abs(cos) > 0.9995:
            assert (a, b) == (0.75, 0.25)
        else:
            theta = math.acos(cos)
            assert a == pytest.approx(math.sin(0.75 * theta) / math.sin(theta), abs=1e-6)
            assert b == pytest.approx(math.sin(0.25 * theta) / math.sin(theta), abs=1e-6)


def test_karcher_keeps_the_mean_length(parents):
    name = "model.layers.0.mlp.up_proj.weight"
    i, t, _ = (x.double() for x in three(parents, name))
    out = bind(recipe("karcher", 0.3), parents).tensor(name).double()
    assert float(out.norm()) == pytest.approx(float(0.7 * i.norm() + 0.3 * t.norm()), rel=1e-6)


def test_topk_override_takes_the_largest_differences(parents):
    name = "model.layers.2.self_attn.q_proj.weight"
    i, t, _ = three(parents, name)
    for lam, k in ((0.0, 10), (0.5, 10), (0.0, 1), (0.5, 100)):
        out = bind(recipe("topk_override", lam, {"k": k}), parents).tensor(name)
        order = (t - i).abs().flatten().argsort(descending=True)
        top, rest = order[: round(k / 100 * i.numel())], order[round(k / 100 * i.numel()) :]
        assert torch.equal(out.flatten()[top], t.flatten()[top])
        assert torch.equal(out.flatten()[rest], torch.lerp(i, t, lam).flatten()[rest])


def test_dare_masks_come_from_seed_and_name(parents, half):
    """Density and unbiasedness by law of large numbers; the same numbers in any order; other seeds and names differ."""
    name, other = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"
    i, t, base = (x.double() for x in three(parents, name))
    first = bind(recipe("dare_linear", 1.0, {"drop": 0.4, "seed": 3}), parents)
    first.tensor(other)
    q = first.endpoints(name)[1].double()
    second = bind(
        recipe("dare_linear", 0.2, {"drop": 0.4, "seed": 3}),
        Parents(parents.pair, parents.instruct, parents.thinking, parents.base),
    )
    assert torch.equal(second.endpoints(name)[1].double(), q)
    assert not torch.equal(
        bind(recipe("dare_linear", 1.0, {"drop": 0.4, "seed": 4}), parents).endpoints(name)[1].double(), q
    )
    parts = {(a, b) for a in (0.0, 1 / 0.6) for b in (0.0, 1 / 0.6)}
    nearest = torch.stack([(q - a * (i - base) - b * (t - base)).abs() for a, b in parts]).min(0).values
    assert nearest.max() < 1e-6
    shares = [((q - a * (i - base) - b * (t - base)).abs() < 1e-6).double().mean() for a, b in sorted(parts)]
    n = q.numel()
    for share, p in zip(shares, (0.16, 0.24, 0.24, 0.36), strict=True):
        assert abs(float(share) - p) < 5 * math.sqrt(p * (1 - p) / n)
    u = uniform(0, "w", "instruct", 0, 200_000)
    assert abs(float(u.mean()) - 0.5) < 0.004 and float(u.min()) >= 0 and float(u.max()) < 1
    assert (
        uniform(7, "w", "x", 2, 5).tolist()
        == uniform(7, "w", "x", 2, 5).tolist()
        != uniform(7, "w", "x", 3, 5).tolist()
    )


def test_metadata_is_complete_enough_for_a_page():
    for name, method in METHODS.items():
        assert method.name == name and method.title and method.text and method.paper.startswith("https://")
        assert method.lam and method.zero and method.one and -1 <= method.lam_default <= 2
        for p in method.params:
            assert p.low <= p.default <= p.high and p.step > 0 and p.title and p.text


def test_bad_input_is_named(parents, tmp_path):
    with pytest.raises(RecipeError, match="'liner'.*'linear'"):
        get_method("liner")
    with pytest.raises(RecipeError, match="Did you mean 'density'"):
        check_params(get_method("ties"), {"densty": 1})
    with pytest.raises(RecipeError, match="ties density.* 3"):
        check_params(get_method("ties"), {"density": 3})
    with pytest.raises(RecipeError, match="takes no parameters"):
        check_params(get_method("linear"), {"density": 3})
    with pytest.raises(RecipeError, match="layer 7.*0-2"):
        bind(recipe("linear", 0.5, scope=Scope("2-7")), parents)
    with pytest.raises(MismatchError, match="names none"):
        bind(recipe("ties", 0.5), Parents(parents.pair, parents.instruct, parents.thinking))
