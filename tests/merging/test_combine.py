"""How methods are carried out: exact selection, blocks, endpoints that blends share and keep within a budget."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging.blend import bind
from mi_explorer.merging.methods import METHODS
from mi_explorer.merging.methods.method import kth_largest
from mi_explorer.recipe import Scope
from tests.merging.recipes import recipe


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=300), st.data())
def test_kth_largest_is_exact(values, data):
    tensor = torch.tensor(values, dtype=torch.float32)
    k = data.draw(st.integers(1, len(values)))
    cut = data.draw(st.integers(0, len(values)))
    found = kth_largest(lambda: iter((tensor[:cut], tensor[cut:])), k)
    assert found == float(tensor.abs().sort(descending=True).values[k - 1])
    assert kth_largest(lambda: iter((tensor,)), 0) == math.inf


def test_streaming_over_many_blocks_changes_nothing(parents, monkeypatch):
    """Block size is a matter of memory: with tiny blocks every method (noise apart, whose unit is the block) is the same."""
    whole = {m: bind(recipe(m, 0.6), parents) for m in METHODS if not METHODS[m].random}
    expected = {m: {n: b.tensor(n).clone() for n in parents.names()} for m, b in whole.items()}
    for module in ("checkpoints.parents", "merging.blend", "merging.combine"):
        monkeypatch.setattr(f"mi_explorer.{module}.BLOCK", 257)
    fresh = Parents(parents.pair, parents.instruct, parents.thinking, parents.base)
    for method, tensors in expected.items():
        blend = bind(recipe(method, 0.6), fresh)
        for name, tensor in tensors.items():
            torch.testing.assert_close(blend.tensor(name), tensor, rtol=0, atol=3e-7)


def test_planes_say_which_blends_share_endpoints(parents):
    def plane(method, params=(), **more):
        return bind(recipe(method, 0.4, params, **more), parents).endpoints_key

    assert plane("linear") == plane("slerp") == plane("karcher") == plane("linear", scope=Scope("0"))
    assert plane("ties") == bind(recipe("ties", 0.9), parents).endpoints_key
    assert (
        len(
            {
                plane("linear"),
                plane("ties"),
                plane("ties", {"density": 0.3}),
                plane("ties", scope=Scope("0")),
                plane("dare_ties"),
                plane("dare_ties", {"seed": 1}),
                plane("task_arithmetic"),
            }
        )
        == 7
    )


def test_computed_planes_are_kept_within_a_budget(parents, monkeypatch):
    """A λ move reuses what was trimmed and elected; another recipe's plane makes room when the budget is full."""
    pair = Parents(parents.pair, parents.instruct, parents.thinking, parents.base)
    name, other = "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"
    size = 2 * pair.tensor("base", name).nbytes
    monkeypatch.setattr("mi_explorer.merging.blend.ENDPOINT_CACHE_BYTES", 2 * size)
    first = bind(recipe("ties", 0.2), pair).endpoints(name)
    assert bind(recipe("ties", 0.9), pair).endpoints(name)[1] is first[1]
    bind(recipe("ties", 0.2), pair).endpoints(other)
    bind(recipe("ties", 0.2, {"density": 0.5}), pair).endpoints(name)
    held = [k for k in pair.caches if k[0] == "endpoints"]
    assert len(held) == 1 and "density=0.5" in held[0][1]
    assert torch.equal(bind(recipe("ties", 0.9), pair).endpoints(name)[1], first[1])
