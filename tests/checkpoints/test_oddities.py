"""For every oddity, preflight's verdict and what running, exporting and comparing do agree; nothing ends in a traceback."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.library import export
from mi_explorer.recipe import Recipe
from tests.checkpoints import oddities
from tests.checkpoints.conftest import ROLES
from tests.checkpoints.oddities import (
    ACCEPTED,
    FIELDS,
    OTHER_FIELDS,
    REFUSED,
    poisoned,
    tensors_edit,
)
from tests.checkpoints.ways_in import outcomes


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("oddity", ACCEPTED)
def test_what_transformers_loads_runs_everywhere(oddity, role, fresh):
    pair = fresh()
    ACCEPTED[oddity](Path(getattr(pair, role)))
    found = outcomes(pair)
    assert all(found.values()), found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("oddity", REFUSED)
def test_what_is_broken_is_refused_everywhere(oddity, role, fresh):
    pair = fresh()
    REFUSED[oddity](Path(getattr(pair, role)))
    found = outcomes(pair)
    assert not any(found.values()), found


@pytest.mark.parametrize("oddity", [name for name in REFUSED if "rope_theta" not in name])
def test_what_is_broken_on_both_sides_is_refused_too(oddity, fresh):
    pair = fresh()
    for role in ROLES:
        REFUSED[oddity](Path(getattr(pair, role)))
    found = outcomes(pair)
    assert not any(found.values()), found


@pytest.mark.parametrize("kind", ["qwen3", "qwen3-moe"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_field_ends_in_a_sentence(field, kind, fresh):
    for value in FIELDS[field]:
        for role in ROLES:
            pair = fresh(kind)
            oddities.settings(Path(getattr(pair, role)), **{field: value})
            found = outcomes(pair)
            assert len(set(found.values())) == 1, (value, role, found)


@pytest.mark.parametrize("file", OTHER_FIELDS)
@pytest.mark.parametrize(("kind", "role"), [("qwen3", "thinking"), ("qwen3-moe", "instruct")])
def test_a_wrong_field_of_another_file_too(file, kind, role, fresh):
    for field, values in OTHER_FIELDS[file].items():
        for value in values:
            pair = fresh(kind)
            oddities.settings(Path(getattr(pair, role)), file, **{field: value})
            found = outcomes(pair)
            assert len(set(found.values())) == 1, (field, value, found)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["qwen3", "qwen3-moe"]),
    edits=st.lists(st.tuples(st.sampled_from(ROLES), st.sampled_from([*ACCEPTED, *REFUSED])), min_size=1, max_size=3),
)
def test_verdict_and_outcome_agree_for_any_mix(kind, edits, fresh):
    pair = fresh(kind)
    for role, name in edits:
        try:
            (ACCEPTED | REFUSED)[name](Path(getattr(pair, role)))
        except (OSError, KeyError, ValueError, IndexError):  # an earlier edit took away what this one changes
            continue
    found = outcomes(pair)
    assert len(set(found.values())) == 1, (edits, found)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["qwen3", "qwen3-moe"])
def test_numbers_that_are_not_finite_are_found_where_weights_are_read(value, kind, fresh):
    pair = fresh(kind)
    tensors_edit(poisoned(value))(Path(pair.thinking))
    found = outcomes(pair)
    assert found == {"preflight": True, "load": True, "run": False, "export": False, "distances": False}
    with pytest.raises(UserError, match="not finite"):
        export(Recipe(pair.name, lam=1.0), Path(pair.instruct).parent / "out", pair)
