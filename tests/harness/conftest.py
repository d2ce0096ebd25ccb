"""The embedded pair."""

import pytest

from mi_explorer.workbench import Workbench


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home")) as bench:
        yield bench
