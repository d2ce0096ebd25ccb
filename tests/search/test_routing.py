"""The oracle's bias, the logistic fit against scipy, routers, and λ auto on the embedded pair."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from mi_explorer.cli import main
from mi_explorer.recipe import Recipe
from mi_explorer.search.logistic import fit_logistic
from mi_explorer.search.oracle import oracle_curve
from mi_explorer.search.question_features import FEATURES, question_features
from mi_explorer.search.router import Router, RouterError, load_router, router_of
from mi_explorer.search.routing import LineSamples, router_curve, study_routing
from mi_explorer.workbench import Workbench


def coins(seed, p, questions=4000, samples=8):
    """Right or wrong [λs, questions, samples] with the probabilities p [λs, questions or 1]."""
    return (np.random.default_rng(seed).random((len(p), questions, samples)) < np.asarray(p)[:, :, None]).astype(float)


def test_without_cross_fitting_an_oracle_finds_skill_where_there_is_none():
    """Every λ is right half the time on every question: the true oracle has 0.5, the naive one much more."""
    right = coins(0, np.full((5, 1), 0.5))
    (point, *_) = oracle_curve(right, np.ones_like(right))
    assert abs(point.right - 0.5) < 0.01 and point.naive_right > 0.65


def test_a_true_oracle_is_found():
    """Half of the questions are for the first λ, half for the second: 0.95 in truth, 0.5 for either λ."""
    for_first = np.arange(4000) % 2 == 0
    p = np.where(for_first, [[0.95], [0.05]], [[0.05], [0.95]])
    right = coins(1, p)
    (point, *_) = oracle_curve(right, np.ones_like(right))
    assert abs(point.right - 0.95) < 0.01


def test_a_dear_token_makes_the_oracle_choose_the_shortest():
    right = coins(2, np.array([[0.4], [0.9]]), questions=100)
    tokens = np.broadcast_to(np.array([10.0, 200.0])[:, None, None], right.shape)
    curve = oracle_curve(right, tokens, (0.0, 1.0))
    assert curve[0].tokens > 150 and curve[1].tokens == 10


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_logistic_fit_is_what_a_minimiser_finds(seed):
    rng = np.random.default_rng(seed)
    x, share = rng.normal(size=(60, 3)) * [1, 5, 0.1] + [0, 3, 1], rng.integers(0, 9, 60) / 8
    fit = fit_logistic(x, share, penalty=1.0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)

    def loss(w):
        margin = z @ w[:-1] + w[-1]
        return np.sum(np.logaddexp(0, margin) - share * margin) + 0.5 * np.sum(w[:-1] ** 2)

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    assert [*fit.weights, fit.bias] == pytest.approx(best, abs=1e-4)


def test_a_useful_feature_beats_the_line_and_a_useless_one_does_not():
    rng = np.random.default_rng(3)
    easy = rng.random(600) < 0.5
    right = coins(4, np.vstack([np.where(easy, 0.95, 0.1), np.full(600, 0.95)]), 600)
    tokens = np.broadcast_to(np.array([20.0, 100.0])[:, None, None], right.shape)
    for useful in (True, False):
        features = rng.normal(size=(600, len(FEATURES)))
        features[:, 0] += 4 * easy if useful else 0
        whole = LineSamples((0.0, 1.0), right, tokens, features)
        half = np.arange(600) % 2 == 0
        result = study_routing(whole.of(half), whole.of(~half), 0.0, 1.0, "mini")
        router, curve = result.routers[1]
        own = next(p for p in curve if p.threshold == router.threshold)
        assert router.kind == "logistic" and (own.difference > 0.15) == useful
        assert useful or own.difference_ci[0] < 0.02


def test_the_ends_of_a_curve_are_the_two_lambdas():
    right = coins(5, np.array([[0.4], [0.9]]), 50)
    on = LineSamples((0.0, 1.0), right, right + 1, np.zeros((50, len(FEATURES))))
    all_high, all_low = sorted(router_curve(Router(0.0, 1.0), on, (0.5, 2.0)), key=lambda p: p.share)
    assert (all_high.share, all_high.right) == (0.0, pytest.approx(right[1].mean()))
    assert (all_low.share, all_low.right) == (1.0, pytest.approx(right[0].mean()))


def test_routers_are_written_read_and_refused(tmp_path):
    model = fit_logistic(np.random.default_rng(0).normal(size=(40, len(FEATURES))), np.full(40, 0.5))
    router = Router(0.2, 0.8, 0.4, model, "mini")
    (tmp_path / "r.json").write_text(json.dumps(router.json()))
    assert load_router(str(tmp_path / "r.json"), "mini") == router and load_router("confidence", "x") == Router(
        pair="x"
    )
    with pytest.raises(RouterError, match="trained on the pair"):
        load_router(str(tmp_path / "r.json"), "other")
    with pytest.raises(RouterError, match="cannot be read"):
        load_router(str(tmp_path / "no.json"), "mini")
    good = router.json()
    for bad in (
        {},
        {**good, "low": "x"},
        {**good, "features": []},
        {**good, "model": {**good["model"], "scale": [1]}},
        [],
    ):
        (tmp_path / "b.json").write_text(json.dumps(bad))
        with pytest.raises(RouterError if bad != {**good, "low": "x"} else Exception, match="."):
            load_router(str(tmp_path / "b.json"), "mini")


def test_features_are_those_of_the_plain_models(tmp_path):
    """Against transformers' own forward pass of each parent."""
    import torch
    from transformers import AutoModelForCausalLM

    with Workbench.open("mini", home=tmp_path) as bench:
        question = "What is 3 + 4 * 5?"
        found = dict(zip(FEATURES, question_features(bench.resident, bench.prompts, "mini", question)))
        for parent, lam in (("instruct", 0.0), ("thinking", 1.0)):
            ids = bench.prompts.render(question, Recipe(lam=lam)).ids
            folder = bench.pair.instruct if lam == 0 else bench.pair.thinking
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            with torch.inference_mode():
                out = model(torch.tensor([ids]), labels=torch.tensor([ids]))
            p = out.logits[0, -1].softmax(-1)
            assert found[f"surprise {parent}"] == pytest.approx(out.loss.item(), abs=1e-4)
            assert found[f"confidence {parent}"] == pytest.approx(p.max().item(), abs=1e-4)
            assert found[f"entropy {parent}"] == pytest.approx(-(p * p.log()).sum().item(), abs=1e-3)
        assert found["length"] == pytest.approx(math.log(len(ids)))


def test_run_takes_lambda_auto_and_says_why(tmp_path, capsys):
    routers = [(2.0, 0.6), (-1.0, 0.0)]  # a threshold that nothing reaches, and one that everything does
    for threshold, lam in routers:
        path = tmp_path / f"{lam}.json"
        path.write_text(json.dumps(Router(0.0, 0.6, threshold, None, "mini").json()))
        words = ["run", "What is 3 + 4?", "--lambda", "auto", "--router", str(path), "--json", "--cap", "8"]
        assert main.main(words) == 0
        out = capsys.readouterr()
        assert (
            json.loads(out.out.splitlines()[-1])["lambda"] == lam and f"λ {lam:g} by the router confidence" in out.err
        )
    assert main.main(["run", "What?", "--lambda", "auto", "--router", "no.json"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_what_is_no_router():
    with pytest.raises(RouterError):
        router_of({"model": None})
