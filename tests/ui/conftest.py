"""What several files of the page's tests open: the embedded pair, Take away on it, two measured studies, a task."""

import json

import pytest

from mi_explorer.recipe import Recipe
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.curves import curve
from mi_explorer.ui.takeaway.takeaway_handlers import TakeawayHandlers
from mi_explorer.workbench import Workbench
from tests.ui.api_site import Site
from tests.ui.curve_studies import LAMS, swept
from tests.ui.taking import OnePair


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home")) as bench:
        yield bench


@pytest.fixture
def take(bench):
    made = TakeawayHandlers(OnePair(bench))
    yield made
    made.file_jobs.close()


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """A store with two studies: "a", and "b", which asks other questions in part and twice as many samples."""
    store = Store(tmp_path_factory.mktemp("curves") / "s.db")
    swept(store, "a")
    swept(store, "b", range(6, 18), 2, LAMS[::2], Recipe(method="slerp"))
    return store


@pytest.fixture(scope="session")
def a(measured) -> curve.Curve:
    return curve.curves_of_summary(summarise(measured, "a"))[0]


@pytest.fixture(scope="session")
def rows_of_a(measured) -> dict[float, list]:
    """The samples of "a" by λ."""
    info = measured.study("a")
    return {row.cell.recipe.lam: measured.samples(info.id, cell=row.key) for row in measured.cells(info.id)}


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"What is {i} + 4?", "answer": str(i + 4)}) + "\n" for i in range(20))
    )
    return str(path)


@pytest.fixture()
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.close()
