"""Sampling against `transformers`' own logits processors, and its noise against what uniform numbers must do."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from mi_explorer.engine.sampler import CANDIDATES, Sampler, noise
from mi_explorer.recipe import Decoding

CPU = torch.device("cpu")


def reference(logits: torch.Tensor, d: Decoding, history: list[int]) -> torch.Tensor:
    """The distribution that `generate(do_sample=True)` draws from, by its own processors."""
    steps = [RepetitionPenaltyLogitsProcessor(d.repetition_penalty)] if d.repetition_penalty != 1 else []
    steps += [TemperatureLogitsWarper(d.temperature)]
    steps += [TopKLogitsWarper(d.top_k)] if d.top_k else []
    steps += [TopPLogitsWarper(d.top_p)] if d.top_p < 1 else []
    steps += [MinPLogitsWarper(d.min_p)] if d.min_p else []
    return LogitsProcessorList(steps)(torch.tensor([history]), logits[None].clone())[0].softmax(-1)


decodings = st.builds(
    Decoding,
    temperature=st.sampled_from((0.3, 0.7, 1.0, 2.0)),
    top_p=st.sampled_from((0.1, 0.5, 0.95, 1.0)),
    top_k=st.sampled_from((0, 1, 3, 20, 400)),
    min_p=st.sampled_from((0.0, 0.05, 0.3)),
    repetition_penalty=st.sampled_from((1.0, 1.3)),
    seed=st.integers(0, 2**53),
)


@settings(max_examples=60, deadline=None)
@example(
    [Decoding(temperature=2, top_p=0.95, top_k=400, seed=5)], CANDIDATES + 244, 177
)  # a nucleus larger than CANDIDATES
@given(st.lists(decodings, min_size=1, max_size=5), st.sampled_from((5, 40, CANDIDATES + 244)), st.integers(0, 10_000))
def test_every_row_draws_by_inverse_cdf_from_the_distribution_of_transformers(batch, vocab, seed):
    torch.manual_seed(seed)
    logits = torch.randn(len(batch), vocab) * 3
    histories = [[1, 2, 3]] * len(batch)
    steps = np.arange(len(batch)) * 7
    ids, logprobs = Sampler(batch, steps.tolist(), histories, vocab, CPU)(logits)
    for row, d in enumerate(batch):
        p = reference(logits[row], d, histories[row]).double()
        u = noise(np.array([d.seed], dtype=np.uint64), steps[row : row + 1])[0]
        cdf = p.cumsum(0) / p.sum()
        low = float(cdf[ids[row] - 1]) if ids[row] > 0 else 0.0
        assert p[ids[row]] > 0
        assert low - 1e-6 <= u <= float(cdf[ids[row]]) + 1e-6
        assert float(logprobs[row]) == pytest.approx(float(logits[row].log_softmax(-1)[ids[row]]), abs=1e-5)


def test_greedy_rows_take_the_largest_in_any_company():
    torch.manual_seed(0)
    logits = torch.randn(3, 50)
    ids, _ = Sampler(
        [Decoding(temperature=0), Decoding(temperature=2, top_k=0, top_p=1), Decoding(temperature=0)],
        (0, 0, 0),
        (),
        50,
        CPU,
    )(logits)
    assert ids[[0, 2]].tolist() == logits[[0, 2]].argmax(-1).tolist()


@pytest.mark.parametrize("top_k", [0, 20])
def test_top_p_zero_keeps_the_likeliest_token(top_k):
    torch.manual_seed(0)
    logits = torch.randn(4, 50)
    rows = [Decoding(temperature=1, top_k=top_k, top_p=p, seed=s) for s, p in enumerate((0.0, 0.0, 0.5, 0.0))]
    for step in range(5):
        ids, _ = Sampler(rows, [step] * 4, (), 50, CPU)(logits)
        assert ids[[0, 1, 3]].tolist() == logits[[0, 1, 3]].argmax(-1).tolist()


def test_noise_is_uniform_and_independent_of_the_order_of_calls():
    seeds = np.arange(2000, dtype=np.uint64).repeat(20)
    steps = np.tile(np.arange(20), 2000)
    u = noise(seeds, steps)
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 50, (0, 1))[0]
    expected = len(u) / 50
    assert ((counts - expected) ** 2 / expected).sum() < 95  # χ² with 49 degrees of freedom: p < 1e-4 beyond
    table = u.reshape(2000, 20)
    for a, b in ((table[:-1, 0], table[1:, 0]), (table[:, 0], table[:, 1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.09  # 4 σ of 2,000 independent pairs
    assert noise(seeds[5:6], steps[5:6])[0] == u[5]
    assert len(np.unique(u)) == len(u)


def test_a_sampler_called_step_by_step_uses_the_noise_of_each_step():
    torch.manual_seed(1)
    d = [Decoding(temperature=1, top_k=0, top_p=1, seed=s) for s in (3, 9)]
    running = Sampler(d, (4, 70), (), 30, CPU)
    for t in range(40):
        logits = torch.randn(2, 30)
        fresh = Sampler(d, (4 + t, 70 + t), (), 30, CPU)(logits)[0]
        assert running(logits)[0].tolist() == fresh.tolist()


def test_the_repetition_penalty_counts_what_was_drawn():
    logits = torch.tensor([[5.0, 4.9, 0.0]])
    sampler = Sampler([Decoding(temperature=0, repetition_penalty=2.0)], [0], [[2]], 3, CPU)
    assert [int(sampler(logits)[0]) for _ in range(3)] == [0, 1, 0]
