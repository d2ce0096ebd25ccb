"""Pages on the scripted workbench, served in this process."""

import pytest

from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.servers import free_port
from tests.ui.fake import QUESTIONS, FakeBench
from tests.visitors import Site


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Start pages on the scripted workbench: `serve(rate=…, setting=…)` gives (site, explore)."""
    import os

    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    open_apps = []

    def start(rate=0, **more):
        settings = Settings(port=free_port(), **more)
        limits = Limits(settings.runs, settings.address_runs, settings.tokens)
        bench = FakeBench(rate=rate)
        explore = Explore(bench, QUESTIONS, limits)
        app = build(
            PagePairs(OpenPair(explore, page_setup(bench, QUESTIONS, "mini", None)), lambda *a: None, "fixed"), settings
        )
        launch(app, settings.host, settings.port, settings, limits, quiet=True)
        open_apps.append(app)
        return f"http://127.0.0.1:{settings.port}", explore

    start.apps = open_apps
    yield start
    for app in open_apps:
        app.close()


@pytest.fixture(scope="module")
def plain(serve):
    return Site(serve()[0])
