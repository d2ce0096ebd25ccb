"""Distances against numpy in float64, the published definition, and relations that hold for any numbers."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging import distances as distance
from mi_explorer.merging.distances import Sums, distances, gauge_of
from tests.fixtures import make_pair


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    return Parents.open(make_pair("qwen3", tmp_path_factory.mktemp("pair"), delta=0.03, dtype=torch.bfloat16))


def numbers(parents, name):
    return [parents.tensor(r, name).double().numpy().ravel() for r in ("instruct", "thinking", "base")]


def test_every_row_against_numpy(parents, monkeypatch):
    monkeypatch.setattr(distance, "STEP", 100)  # many pieces per tensor
    seen = []
    found = distances(parents, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == sum(r.numel for r in found.tensors) and len(found.tensors) == len(
        parents.names()
    )
    for row in found.tensors:
        a, b, c = numbers(parents, row.name)
        assert row.sigma == pytest.approx(np.abs(a - b).sum() / (np.abs(a).sum() + np.abs(b).sum()), rel=1e-12)
        assert row.relative_l2 == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a), rel=1e-12)
        assert row.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-12)
        assert row.pearson == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-9)
        assert row.kin_cosine == pytest.approx(
            (a - c) @ (b - c) / np.linalg.norm(a - c) / np.linalg.norm(b - c), abs=1e-12
        )
        assert row.kin_pearson == pytest.approx(np.corrcoef(a - c, b - c)[0, 1], abs=1e-9)
        assert row.l2 == pytest.approx(np.linalg.norm(a - b), rel=1e-12)
        assert row.instruct_to_base_l2 == pytest.approx(np.linalg.norm(a - c), rel=1e-12)
        theta = math.acos(row.cosine)
        assert row.slerp_gain == pytest.approx(2 * math.sin(theta / 2) / math.sin(theta) - 1, abs=1e-7)


def test_groups_and_overall(parents):
    found = distances(parents)
    assert found.overall.sigma == pytest.approx(np.mean([r.sigma for r in found.tensors]))  # the published definition
    whole = [np.concatenate(x) for x in zip(*(numbers(parents, n) for n in parents.names()))]
    absolute = [np.abs(x).sum() for x in (whole[0] - whole[1], whole[0], whole[1])]
    assert found.overall.sigma_global == pytest.approx(absolute[0] / (absolute[1] + absolute[2]), rel=1e-12)
    assert found.overall.relative_l2 == pytest.approx(
        np.linalg.norm(whole[0] - whole[1]) / np.linalg.norm(whole[0]), rel=1e-12
    )
    assert found.overall.kin_cosine == pytest.approx(
        np.dot(whole[0] - whole[2], whole[1] - whole[2])
        / np.linalg.norm(whole[0] - whole[2])
        / np.linalg.norm(whole[1] - whole[2]),
        rel=1e-9,
    )
    groups = {(r.module, r.layer): r for r in found.groups}
    assert len(groups) == 11 and sum(r.tensors for r in found.groups) == len(found.tensors)
    mine = [r for r in found.tensors if (r.module, r.layer) == ("mlp", 1)]
    assert groups["mlp", 1].sigma == pytest.approx(np.mean([r.sigma for r in mine])) and groups["mlp", 1].tensors == 3
    assert groups["mlp", 1].l2 == pytest.approx(math.sqrt(sum(r.l2**2 for r in mine)))
    assert [r.layer for r in found.groups] == [0] * 3 + [1] * 3 + [2] * 3 + [None] * 2


def test_without_a_base_there_is_no_kinship(parents):
    alone = distances(Parents(parents.pair, parents.instruct, parents.thinking))
    assert (
        alone.base is None
        and alone.overall.kin_cosine is None
        and alone.overall.relative_l2 == distances(parents).overall.relative_l2
    )
    text = json.dumps(alone.to_dict(), allow_nan=False)
    assert json.loads(text)["overall"]["kin_cosine"] is None


def test_a_parent_against_itself(parents):
    same = distances(Parents(parents.pair, parents.instruct, parents.instruct))
    assert (
        same.overall.sigma == same.overall.relative_l2 == same.overall.l2 == 0
        and same.overall.cosine == pytest.approx(1)
    )
    assert same.gauge == "green"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=50), st.integers(0, 50))
def test_sums_add_up_and_stay_in_range(values, cut):
    a, b = (torch.tensor(x, dtype=torch.float64) for x in zip(*values))
    whole, parts = Sums.of(a, b), Sums.of(a[:cut], b[:cut]) + Sums.of(a[cut:], b[cut:])
    assert parts.n == whole.n and parts.dd == pytest.approx(whole.dd) and parts.ab == pytest.approx(whole.ab, abs=1e-9)
    assert 0 <= whole.sigma <= 1 and not abs(whole.cosine) > 1 and not abs(whole.pearson) > 1
    assert Sums.of(b, a).sigma == whole.sigma


def test_gauge_on_published_distances():
    """Relative L2 of the 2507 pairs (7.9 %, 3.8 %), Qwen2.5-Math and R1-Distill (13-14 %), another lineage (> 100 %)."""
    assert [gauge_of(x)[0] for x in (0.079, 0.038, 0.135, 0.4, 0.51, 1.3, math.inf)] == [
        "green",
        "green",
        "amber",
        "orange",
        "red",
        "red",
        "red",
    ]


def test_distances_read_back_from_json(parents):
    for found in (distances(parents), distances(Parents(parents.pair, parents.instruct, parents.thinking))):
        back = distance.Distances.of(json.loads(json.dumps(found.to_dict())))
        assert repr(back) == repr(found)  # nan is nan again, and what was not measured stays None
    with pytest.raises(ValueError, match="not distances"):
        distance.Distances.of({"tensors": []})


def test_slerp_against_linear_by_the_geometry(parents):
    """A blend on the arc of two unit vectors at angle θ: at λ = 0.5 it has length 1, linear's has cos(θ/2)."""
    found = distances(parents)
    widest = min(found.tensors, key=lambda r: r.cosine)
    note = distance.slerp_against_linear(found)
    a, b, _ = numbers(parents, widest.name)
    theta = math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert (
        note.name == widest.name
        and note.angle == pytest.approx(math.degrees(theta))
        and note.tensors == len(found.tensors)
    )
    assert note.linear == sum(r.cosine > 0.9995 for r in found.tensors) < note.tensors
    assert note.longer == pytest.approx(1 / math.cos(theta / 2) - 1)
    lams = np.linspace(0, 1, 20001)
    assert note.coefficient == pytest.approx(np.abs(np.sin(lams * theta) / np.sin(theta) - lams).max(), rel=1e-3)
    same = distance.slerp_against_linear(distances(Parents(parents.pair, parents.instruct, parents.instruct)))
    assert (same.linear, same.coefficient, same.longer) == (same.tensors, 0.0, 0.0)
