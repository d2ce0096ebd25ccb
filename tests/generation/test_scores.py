"""Scores against plain forward passes and closed forms."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mi_explorer.engine import ResidentPair
from mi_explorer.generation.scores import CHUNK_BYTES, ScoreError, Scores, effective_lambda, score
from tests.engine.lab import prompt
from tests.fixtures import make_pair

PROMPT, RESPONSE = prompt(9, 4), prompt(14, 5)


@torch.no_grad()
def table(lab, lam: float) -> torch.Tensor:
    """log p of the response's positions at λ, from a plain model."""
    logits = lab.fold(lam)(torch.tensor([[*PROMPT, *RESPONSE]])).logits[0]
    return logits[len(PROMPT) - 1 : -1].double().log_softmax(-1)


@pytest.mark.parametrize("kind", ["qwen3", "qwen3-moe"])
def test_scores_are_those_of_plain_forward_passes(labs, kind, monkeypatch):
    monkeypatch.setattr("mi_explorer.generation.scores.CHUNK_BYTES", 4 * 96 * 5)  # five positions at a time
    lab = labs(kind)
    found = score(lab.resident, lab.recipe(0.4), PROMPT, RESPONSE)
    li, lt, lb = (table(lab, lam) for lam in (0.0, 1.0, 0.4))
    at = torch.tensor(RESPONSE)[:, None]
    own, i, t = (x.gather(1, at)[:, 0] for x in (lb, li, lt))
    middle = torch.logaddexp(li, lt) - math.log(2)
    want = {
        "logprob": own,
        "logprob_instruct": i,
        "logprob_thinking": t,
        "llr": (t - i).clamp(-5, 5),
        "kl_instruct": (lb.exp() * (lb - li)).sum(-1),
        "kl_thinking": (lb.exp() * (lb - lt)).sum(-1),
        "js": ((li.exp() * (li - middle)).sum(-1) + (lt.exp() * (lt - middle)).sum(-1)) / 2,
        "entropy": -(lb.exp() * lb).sum(-1),
    }
    for name, value in want.items():
        assert getattr(found, name) == pytest.approx(value.tolist(), abs=2e-5), name
    names = {(True, True): "both", (True, False): "instruct", (False, True): "thinking", (False, False): "neither"}
    assert list(found.argmax) == [
        names[bool(a == y), bool(b == y)] for a, b, y in zip(li.argmax(-1), lt.argmax(-1), at[:, 0])
    ]
    assert [[i for i, _ in top] for top in found.top] == lb.topk(5).indices.tolist()
    assert [[v for _, v in top] for top in found.top_thinking] == [
        pytest.approx(row, abs=2e-5) for row in lt.topk(5).values.tolist()
    ]
    assert all(len(getattr(found, f)) == len(RESPONSE) for f in Scores.__dataclass_fields__)


def test_lambda_hat_is_the_mix_of_a_logit_blend(labs):
    """For a blend that is a logit mix, λ̂ = λ and nothing is left over."""
    lab = labs("qwen3")
    for lam in (0.25, 0.8):
        found = score(lab.resident, lab.recipe(lam, method="logit"), PROMPT, RESPONSE)
        assert found.lam_hat == pytest.approx([lam] * len(RESPONSE), abs=2e-3)
        assert found.residual == pytest.approx([0.0] * len(RESPONSE), abs=1e-5)
    ends = [score(lab.resident, lab.recipe(lam), PROMPT, RESPONSE).lam_hat for lam in (0.0, 1.0)]
    assert ends[0] == pytest.approx([0.0] * len(RESPONSE), abs=2e-3)
    assert ends[1] == pytest.approx([1.0] * len(RESPONSE), abs=2e-3)


def test_lambda_hat_solves_its_equation_and_is_none_where_parents_agree():
    torch.manual_seed(0)
    li, lt, lb = (torch.randn(6, 40).log_softmax(-1) for _ in range(3))
    lt[2] = li[2]
    lam, residual = effective_lambda(li, lt, lb)
    assert lam[2] is None and residual[2] is None
    d = lt - li
    for i, a in enumerate(lam):
        if a is not None and -0.99 < a < 1.99:
            q = (li[i] + a * d[i]).softmax(-1)
            assert float((q * d[i]).sum()) == pytest.approx(float((lb[i].exp() * d[i]).sum()), abs=1e-3)


def test_nothing_to_score_and_too_much_are_clear_errors(labs):
    lab = labs("qwen3")
    with pytest.raises(ScoreError, match="empty"):
        score(lab.resident, lab.recipe(0.5), PROMPT, ())
    with pytest.raises(ScoreError, match="holds 256"):
        score(lab.resident, lab.recipe(0.5), PROMPT, (1,) * 250)


def test_scoring_needs_no_engine_and_disturbs_none(labs):
    from mi_explorer.engine import Engine
    from mi_explorer.engine.events import Request, Token
    from tests.engine.lab import CHEAP_ROWS, greedy

    lab = labs("qwen3")
    fresh = ResidentPair.load(lab.pair)
    alone = score(fresh, lab.recipe(0.4), PROMPT, RESPONSE)
    beside = score(
        lab.resident, lab.recipe(0.4), PROMPT, RESPONSE
    )  # of a pair that engines ran on, so its weights may be packed
    assert alone == score(fresh, lab.recipe(0.4), PROMPT, RESPONSE) and alone.argmax == beside.argmax
    for name in (
        "logprob",
        "logprob_instruct",
        "logprob_thinking",
        "kl_instruct",
        "kl_thinking",
        "js",
        "entropy",
        "lam_hat",
    ):
        assert getattr(alone, name) == pytest.approx(getattr(beside, name), abs=1e-5), name
    with Engine(fresh, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
        stream = engine.submit([Request("a", PROMPT, lab.recipe(0.7), greedy(60))])
        for _ in range(5):
            score(fresh, lab.recipe(0.2), PROMPT, RESPONSE)
        assert [e.token for e in stream if isinstance(e, Token)] == lab.generate(0.7, PROMPT, 60)


# In a process of its own: what other tests hold or give back meanwhile is not its memory.
SCORED = """
import resource, sys, threading
from pathlib import Path
from mi_explorer.engine import ResidentPair
from mi_explorer.generation.scores import score
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import Recipe
from tests.engine.lab import prompt

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def watch():
    while not done.wait(0.002):
        peak[0] = max(peak[0], resident_bytes())

pair = get_pair(sys.argv[1])
resident, peak, done = ResidentPair.load(pair), [0], threading.Event()
score(resident, Recipe(pair.name, lam=0.4), prompt(9, 4), prompt(2, 5))  # weights in memory
start, watcher = resident_bytes(), threading.Thread(target=watch, daemon=True)
watcher.start()
found = score(resident, Recipe(pair.name, lam=0.4), prompt(9, 4), prompt(70, 6))
done.set()
watcher.join()
print(len(found.llr), peak[0] - start)
"""


def test_a_large_vocabulary_is_scored_in_bounded_memory(tmp_path):
    """152k words: the chunk is the same however long the trace is, so its memory bounds that of 4,000 tokens."""
    pair = make_pair("qwen3", tmp_path, base=False, vocab_size=152_000)
    command = [sys.executable, "-c", SCORED, f"{pair.instruct}|{pair.thinking}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    tokens, grown = map(int, done.stdout.split()[-2:])
    assert tokens == 70 and CHUNK_BYTES < grown < 1_000_000_000
