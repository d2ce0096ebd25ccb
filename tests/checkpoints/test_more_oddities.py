"""More oddities, and adapters: preflight, run, export and distances agree, and numbers are those of `transformers` and `peft`."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import MismatchError, Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.pairs import Pair
from mi_explorer.workbench import Workbench, WorkbenchError
from tests.checkpoints import adapter_oddities
from tests.checkpoints.adapters import merged, save_adapter
from tests.checkpoints.more_oddities import ACCEPTED, EITHER, QUANTISERS, REFUSED
from tests.checkpoints.ways_in import outcomes, run
from tests.fixtures import make, make_tokenizer

SIDES = [("qwen3", "thinking"), ("qwen3-moe", "instruct")]


@pytest.mark.parametrize(("kind", "role"), SIDES)
@pytest.mark.parametrize("oddity", ACCEPTED)
def test_what_transformers_loads_runs_everywhere_with_its_numbers(oddity, kind, role, fresh):  # noqa: F811
    pair = fresh(kind)
    folder = Path(getattr(pair, role))
    ACCEPTED[oddity](folder)
    found = outcomes(pair)
    assert all(found.values()), found
    if oddity != "an index without metadata":  # which transformers does not load by itself
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
        parents = Parents.open(pair)
        common = [name for name in parents.loaded if name in theirs]
        assert len(common) > 10
        for name in common:
            assert torch.equal(parents.tensor(role, name).float(), theirs[name]), name


@pytest.mark.parametrize(("kind", "role"), SIDES)
@pytest.mark.parametrize("oddity", REFUSED)
def test_what_is_broken_is_refused_everywhere(oddity, kind, role, fresh):  # noqa: F811
    pair = fresh(kind)
    REFUSED[oddity](Path(getattr(pair, role)))
    found = outcomes(pair)
    assert not any(found.values()), found


@pytest.mark.parametrize(("kind", "role"), SIDES)
@pytest.mark.parametrize("oddity", EITHER)
def test_every_way_in_says_the_same(oddity, kind, role, fresh):  # noqa: F811
    pair = fresh(kind)
    EITHER[oddity](Path(getattr(pair, role)))
    found = outcomes(pair)
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("oddity", QUANTISERS)
def test_quantised_parents_are_called_so_on_one_side_and_on_both(oddity, fresh):  # noqa: F811
    pair = fresh()
    for role in ("thinking", "instruct"):
        QUANTISERS[oddity](Path(getattr(pair, role)))
        said = [f for f in preflight(pair).findings if f.level == "refused"]
        assert any(f.topic in ("quantised", "tensors") and "Thinking" in f.what for f in said)
        with pytest.raises(MismatchError) as told:
            Parents.open(pair)
        assert str(told.value) == " ".join(f.text() for f in said)


@pytest.fixture(scope="module")
def under(tmp_path_factory):
    """A checkpoint and a good adapter for it."""
    folder = tmp_path_factory.mktemp("adapters")
    base = make_tokenizer(make("qwen3", folder / "base", num_hidden_layers=2))
    config = adapter_oddities.peft.LoraConfig(**adapter_oddities.LORA)
    return base, save_adapter(base, folder / "good", config)


@pytest.mark.parametrize("kind", adapter_oddities.ACCEPTED)
def test_adapters_that_are_blended_have_the_numbers_of_peft(kind, under, tmp_path):
    base, _ = under
    folder = save_adapter(base, tmp_path / "thinking", adapter_oddities.ACCEPTED[kind])
    pair = Pair("odd", str(base), str(folder))
    found = outcomes(Pair("odd", str(shutil.copytree(base, tmp_path / "instruct")), str(folder)))
    assert all(found.values()), found
    want, parents = merged(base, folder), Parents.open(pair)
    for name in parents.names():
        assert torch.allclose(parents.tensor("thinking", name).float(), want[name], atol=1e-5), name


@pytest.mark.parametrize("kind", [*adapter_oddities.REFUSED, *adapter_oddities.BROKEN])
def test_other_adapters_are_refused_everywhere(kind, under, tmp_path):
    base, good = under
    if kind in adapter_oddities.BROKEN:
        folder = Path(shutil.copytree(good, tmp_path / "thinking"))
        adapter_oddities.BROKEN[kind](folder)
    else:
        folder = save_adapter(base, tmp_path / "thinking", adapter_oddities.REFUSED[kind])
    found = outcomes(Pair("odd", str(shutil.copytree(base, tmp_path / "instruct")), str(folder)))
    assert not any(found.values()), found


MIXED = ACCEPTED | REFUSED | EITHER


def test_a_pair_without_a_tokenizer_is_for_export_only(fresh, tmp_path):  # noqa: F811
    pair = fresh()
    for role in ("instruct", "thinking"):
        ACCEPTED["no tokenizer"](Path(getattr(pair, role)))
    judged = preflight(pair)
    assert judged.verdict == "export only" and judged.ok
    with pytest.raises(WorkbenchError) as told:
        Workbench.open(pair)
    assert str(told.value) == judged.obstacles and pair.thinking in judged.obstacles
    found = outcomes(pair)
    assert all(found.values()), found
    base = make_tokenizer(Path(shutil.copytree(pair.instruct, tmp_path / "base")))
    lends = replace(pair, base=str(base))  # its tokenizer serves both
    assert not preflight(lends).obstacles
    run(lends)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["qwen3", "qwen3-moe"]),
    edits=st.lists(
        st.tuples(st.sampled_from(["instruct", "thinking"]), st.sampled_from([*MIXED])), min_size=2, max_size=4
    ),
)
@example(kind="qwen3", edits=[("instruct", "no tokenizer"), ("thinking", "no tokenizer")])
@example(kind="qwen3", edits=[("instruct", "config.json is a list"), ("instruct", "dynamic rotary scaling")])
def test_verdict_and_outcome_agree_for_any_mix(kind, edits, fresh):  # noqa: F811
    pair = fresh(kind)
    for role, name in edits:
        try:
            MIXED[name](Path(getattr(pair, role)))
        except (
            OSError,
            KeyError,
            ValueError,
            IndexError,
            SafetensorError,
        ):  # an earlier edit took away what this one changes
            continue
    found = outcomes(pair)
    assert len(set(found.values())) == 1, (edits, found)
