"""Small pairs: a blend of one, the parents of another."""

import pytest

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging.blend import bind
from mi_explorer.recipe import Recipe
from tests.fixtures import make_pair


@pytest.fixture
def blend(tmp_path):
    return bind(
        Recipe(lam=0.4), Parents.open(make_pair("qwen3", tmp_path / "pair", base=False, shards=("20KB", "50GB")))
    )


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    return Parents.open(make_pair("qwen3-untied", tmp_path_factory.mktemp("pair"), delta=0.05))
