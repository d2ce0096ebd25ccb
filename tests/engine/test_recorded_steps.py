"""Recorded decode steps: replayed on the same memory they give the plain tokens, and where they do not they are not used."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mi_explorer.engine import Engine, ResidentPair, backends
from mi_explorer.engine.events import Request
from mi_explorer.engine.native import native_backend, recorded_steps
from mi_explorer.engine.native.recorded_steps import RecordedSteps, bucket
from mi_explorer.recipe import Scope
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.engine.paged_kernel import reference_of_fixed_shapes


class Operations(TorchDispatchMode):
    """Every operation that runs, with its tensors."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.seen.append((func, args, kwargs or {}, out))
        return out


class RecordedOperations:
    """What a CUDA graph does: the same operations on the same memory, and no Python of the function that was recorded."""

    def __init__(self, body):
        body()
        with Operations() as operations:
            self.out = body()
        self.operations = operations.seen

    def replay(self):
        for func, args, kwargs, held in self.operations:
            tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor) and not x.is_mkldnn]
            given = {x.untyped_storage().data_ptr() for x in tensors}
            if func._schema.is_mutable:
                func(*args, **kwargs)
                continue
            for there, new in zip(tree_leaves(held), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(there, torch.Tensor) and there.untyped_storage().data_ptr() not in given:  # else a view
                    there.copy_(new)
        return self.out


@pytest.fixture
def recording(kernel, monkeypatch):
    """A CPU that records steps; gives how many it recorded."""
    made = []

    def record(body, how=RecordedOperations):
        made.append(how(body))
        return made[-1]

    kernel(reference_of_fixed_shapes)
    monkeypatch.setattr(recorded_steps, "RECORDED_DEVICES", ("cpu",))
    monkeypatch.setattr(recorded_steps, "RECORD_AFTER", 3)
    monkeypatch.setattr(native_backend, "RecordedSteps", lambda decoder, cache: RecordedSteps(decoder, cache, record))
    record.made = made
    return record


def asked(lab, **more):
    """Requests that come and end at different times, so that the batch changes on the way."""
    return [
        Request(f"{lam} {i}", prompt(7 + 5 * i, i), lab.recipe(lam, **more), greedy(12 + 9 * i))
        for i, lam in enumerate((0.0, 0.3, 0.6, 1.0, 0.6))
    ]


@pytest.mark.parametrize("only", ["rowwise", "fold", "auto"])
@pytest.mark.parametrize("kind", ["qwen3", "qwen3-biased"])
@pytest.mark.parametrize("scattered", [False, True])
def test_replayed_steps_give_the_tokens_of_plain_ones(labs, recording, monkeypatch, kind, only, scattered):
    lab = labs(kind)
    with Engine(lab.resident, max_rows=6, max_context=96, only=only, costs=CHEAP_ROWS) as engine:
        want = run(engine, asked(lab))
    before, plan = len(recording.made), backends.plan_pair
    if scattered:
        monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), blocks=40))
    with Engine(ResidentPair.load(lab.pair), max_rows=6, max_context=96, only=only, costs=CHEAP_ROWS) as engine:
        for _ in range(2):
            assert run(engine, asked(lab)) == want
        assert any("recorded steps: used" in path for path in engine.status().paths)
    assert len(recording.made) >= before + 2


def test_other_coefficients_in_a_slot_are_not_answered_from_a_recording(labs, recording):
    """The next requests take the slots of the last ones, with other blends, one of them in a scope of its own."""
    lab = labs("qwen3")
    with Engine(ResidentPair.load(lab.pair), max_rows=4, max_context=96, only="rowwise", costs=CHEAP_ROWS) as engine:
        for lam, scope in ((0.2, Scope()), (0.9, Scope()), (0.5, Scope("1-2")), (0.7, Scope())):
            recipe = lab.recipe(lam, scope=scope)
            got = run(engine, [Request("x", prompt(9), recipe, greedy(20))])
            with Engine(
                ResidentPair.load(lab.pair), max_rows=4, max_context=96, only="fold", costs=CHEAP_ROWS
            ) as other:
                assert got == run(other, [Request("x", prompt(9), recipe, greedy(20))])
    assert recording.made


class Wrong(RecordedOperations):
    def replay(self):
        return super().replay() + 1.0


def raises(body):
    raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(("how", "why"), [(Wrong, "differ"), (raises, "does not run here")])
def test_a_recording_that_is_wrong_or_fails_is_not_used(labs, recording, monkeypatch, how, why):
    lab = labs("qwen3")
    monkeypatch.setattr(
        native_backend,
        "RecordedSteps",
        lambda decoder, cache: RecordedSteps(decoder, cache, lambda b: recording(b, how)),
    )
    with Engine(ResidentPair.load(lab.pair), max_rows=4, max_context=96, costs=CHEAP_ROWS) as engine:
        got = run(engine, asked(lab))
        assert any("recorded steps: not used" in path and why in path for path in engine.status().paths)
    with Engine(ResidentPair.load(lab.pair), max_rows=4, max_context=96, costs=CHEAP_ROWS) as engine:
        assert got == run(engine, asked(lab))
    assert len(recording.made) <= 2, "once refused, it is not tried again"


@pytest.mark.parametrize(("rows", "want"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (64, 64), (65, 128)])
def test_buckets(rows, want):
    assert bucket(rows) == want
