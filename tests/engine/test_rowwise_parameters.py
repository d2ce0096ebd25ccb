"""Parameters that stand for two: what they cannot answer raises, and the engine says why it folds."""

import pytest
import torch
import torch.nn.functional as F

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Request
from mi_explorer.engine.transformers.rowwise import NoRowwiseForm, RowwiseParameter, SlotCoefficients
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run


@pytest.fixture
def slots():
    slots = SlotCoefficients()
    slots.ab = torch.tensor([[[0.7, 0.3], [0.2, 0.8]]])  # one tensor, two rows
    return slots


def parameter(slots, *shape):
    torch.manual_seed(len(shape))
    p, q = torch.randn(2, *shape)
    return p, q, RowwiseParameter(p, q, 0, slots)


def test_products_sums_and_norms_are_those_of_each_rows_blend(slots):
    p, q, w = parameter(slots, 5, 4)
    u, v, b = parameter(slots, 5)
    g, h, scale = parameter(slots, 4)
    x, ids = torch.randn(2, 3, 4), torch.tensor([[0, 4, 2], [1, 1, 3]])
    for row, (a, c) in enumerate(((0.7, 0.3), (0.2, 0.8))):
        weight, bias, gain = a * p + c * q, a * u + c * v, a * g + c * h
        close = {"atol": 1e-6, "rtol": 1e-5}
        torch.testing.assert_close(F.linear(x, w, b)[row], F.linear(x[row], weight, bias), **close)
        torch.testing.assert_close(F.linear(x.view(6, 4), w)[3 * row : 3 * row + 3], F.linear(x[row], weight), **close)
        torch.testing.assert_close(F.embedding(ids, w)[row], F.embedding(ids[row], weight), **close)
        torch.testing.assert_close((scale * x)[row], gain * x[row], **close)
        torch.testing.assert_close((x * scale)[row], gain * x[row], **close)
        torch.testing.assert_close((x + scale)[row], gain + x[row], **close)
        torch.testing.assert_close(
            F.layer_norm(x, (4,), scale, scale, 1e-5)[row], F.layer_norm(x[row], (4,), gain, gain, 1e-5), **close
        )
        torch.testing.assert_close(F.rms_norm(x, (4,), scale, 1e-6)[row], F.rms_norm(x[row], (4,), gain, 1e-6), **close)
    p, q, w = parameter(slots, 4, 5)
    for row, (a, c) in enumerate(((0.7, 0.3), (0.2, 0.8))):
        got = torch.addmm(b, x.view(6, 4), w).view(2, 3, 5)[row]
        torch.testing.assert_close(got, torch.addmm(a * u + c * v, x[row], a * p + c * q), **close)


@pytest.mark.parametrize(
    "use",
    [
        lambda w, v, x: w.float(),
        lambda w, v, x: w[0],
        lambda w, v, x: x @ w,
        lambda w, v, x: 1.0 + v,
        lambda w, v, x: v * 2,
        lambda w, v, x: torch.exp(v),
        lambda w, v, x: w * v,
        lambda w, v, x: v * torch.ones(3, 4, 5),
        lambda w, v, x: F.linear(torch.ones(5, 4), w),
        lambda w, v, x: torch.cat([v, v]),
    ],
)
def test_everything_else_raises(slots, use):
    *_, w = parameter(slots, 5, 4)
    *_, v = parameter(slots, 5)
    with pytest.raises(NoRowwiseForm):
        use(w, v, torch.randn(2, 3, 5))


@pytest.mark.parametrize(
    "kind, words",
    [
        ("qwen3-moe", "experts"),
        ("lfm2", "states other than attention"),
        ("gemma2", "no row-wise form"),
    ],
)
def test_a_pair_that_folds_says_why(labs, kind, words):
    lab = labs(kind)
    with Engine(lab.resident, max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        status = engine.status()
        stream = engine.submit([Request("l", prompt(5), lab.recipe(0.4, method="logit"))])
        message = next(iter(stream)).message
    assert not status.supports_rowwise
    import re

    assert re.search(words, status.why_folded), status.why_folded
    assert "row-wise" in message and status.why_folded in message


@pytest.mark.parametrize("kind", ["qwen3", "qwen3-moe"])
def test_a_model_spread_over_devices_runs_folded(labs, kind):
    lab = labs(kind)
    resident = ResidentPair.load(lab.pair, device="auto")
    with Engine(resident, max_rows=4, max_context=64, costs=CHEAP_ROWS) as engine:
        assert not engine.status().supports_rowwise and "spread" in engine.status().why_folded
        got = run(engine, [Request(str(lam), prompt(9), lab.recipe(lam), greedy(12)) for lam in (0.2, 0.9)])
    assert got == {str(lam): lab.generate(lam, prompt(9), 12) for lam in (0.2, 0.9)}


def test_half_precision_is_chosen_by_name_and_close_to_fp32(labs):
    """Tokens may differ between slots shapes in bf16; the distributions stay close in both modes."""
    lab = labs("qwen3")
    resident = ResidentPair.load(lab.pair, dtype="bfloat16")
    ids = torch.tensor([prompt(12)])
    want = lab.fold(0.6)(ids).logits[0, -1].log_softmax(-1)
    with Engine(resident, max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine, torch.inference_mode():
        assert engine.status().dtype == "bfloat16"
        recipe = lab.recipe(0.6)
        bound = engine.backend.bind(recipe.hash, resident.blend(recipe))
        engine.backend.assign(0, bound)
        for mode in ("folded", "rowwise"):
            got = engine.backend.run(bound, mode, 0, ids, torch.arange(12)[None], 12, [11])[0].log_softmax(-1)
            assert float((want.exp() * (want - got)).sum()) < 2e-3, mode


def test_an_unknown_device_dtype_or_model_type_is_a_clear_error(labs, tmp_path):
    from mi_explorer.errors import UserError

    lab = labs("qwen3")
    with pytest.raises(UserError, match="Device 'cuda:7'"):
        ResidentPair.load(lab.pair, device="cuda:7")
    with pytest.raises(UserError, match="float32, bfloat16, float16"):
        ResidentPair.load(lab.pair, dtype="int4")
