"""Fast paths are used only where they give the plain path's numbers and are quicker; paged attention on its documented contract."""

import itertools

import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair, backends, fast_paths
from mi_explorer.engine.events import Request
from mi_explorer.engine.fast_paths import check_path
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.engine.paged_kernel import reference

CPU = torch.device("cpu")
LAMS = (0.0, 0.4, 1.0)


def one():
    return torch.ones(3)


@pytest.mark.parametrize(
    ("fast", "times", "used", "why"),
    [
        (one, (2.0, 1.0), True, "and faster"),
        (one, (1.0, 2.0), False, "not faster"),
        (lambda: torch.full((3,), 1.2), (2.0, 1.0), False, "differ by 2.0e-01"),
        (lambda: torch.full((3,), float("nan")), (2.0, 1.0), False, "differ"),
        (lambda: torch.ones(4), (2.0, 1.0), False, "shape"),
        (lambda: 1 / 0, (2.0, 1.0), False, "ZeroDivisionError"),
    ],
)
def test_a_path_is_used_only_if_it_is_right_and_faster(monkeypatch, fast, times, used, why):
    clock = itertools.cycle(times)
    monkeypatch.setattr(fast_paths, "path_seconds", lambda path, device: next(clock))
    check = check_path("a path", one, fast, 1e-3, CPU)
    assert check.used is used and why in check.why


@pytest.mark.parametrize("only", ["rowwise", "fold"])
@pytest.mark.parametrize("scattered", [False, True])
def test_paged_attention_gives_the_tokens_of_the_plain_way(labs, kernel, monkeypatch, only, scattered):
    from dataclasses import replace

    lab = labs("qwen3")
    kernel(reference)
    plan = backends.plan_pair
    if scattered:
        monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), blocks=30))
    asked = [Request(str(lam), prompt(7 + 9 * i), lab.recipe(lam), greedy(30)) for i, lam in enumerate(LAMS)]
    with Engine(ResidentPair.load(lab.pair), max_rows=4, max_context=80, only=only, costs=CHEAP_ROWS) as engine:
        assert engine.backend.decoder.paged and "paged attention: used" in engine.status().paths[0]
        assert run(engine, asked) == {r.id: lab.generate(float(r.id), r.prompt, 30) for r in asked}


def test_a_kernel_that_is_wrong_or_missing_is_not_used(labs, kernel):
    lab = labs("qwen3")
    kernel(lambda *args, **more: 1.1 * reference(*args, **more))
    with Engine(ResidentPair.load(lab.pair), max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        assert not engine.backend.decoder.paged and "differ" in engine.status().paths[0]
    kernel(None)
    with Engine(ResidentPair.load(lab.pair), max_rows=2, max_context=64, costs=CHEAP_ROWS) as engine:
        assert not engine.backend.decoder.paged and "does not run here" in engine.status().paths[0]
