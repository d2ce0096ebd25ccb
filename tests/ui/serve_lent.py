"""Serves the page as a Space does that lends its GPU: `python tests/ui/serve_lent.py PORT`. For browser tests.

A question with "quota" in it gets no GPU.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mi_explorer.ui.explore import demo_strip  # noqa: E402
from mi_explorer.ui.explore.explore_handlers import Explore  # noqa: E402
from mi_explorer.ui.explore.page_setup import page_setup  # noqa: E402
from mi_explorer.ui.open_pairs import OpenPair, PagePairs  # noqa: E402
from mi_explorer.ui.page import build  # noqa: E402
from mi_explorer.ui.server import launch, wait  # noqa: E402
from mi_explorer.ui.spaces.gpu_work import gpu_error  # noqa: E402
from tests.ui.fake import QUESTIONS, FakeBench  # noqa: E402


class LentBench(FakeBench):
    """Some runs get no GPU."""

    def stream(self, asks, **more):
        if "quota" in asks[0].prompt:
            raise gpu_error(RuntimeError("You have exceeded your GPU quota (60s requested vs. 12s left)"))
        yield from super().stream(asks, **more)


if __name__ == "__main__":
    os.environ["SPACES_ZERO_GPU"] = "1"  # after the imports: there is no GPU to be lent here
    bench = LentBench(rate=40)
    explore = Explore(bench, QUESTIONS)
    explore.demo = demo_strip.embedded_demo()
    app = build(PagePairs(OpenPair(explore, page_setup(bench, QUESTIONS, "mini", None)), lambda pair, report: None))
    launch(app, "127.0.0.1", int(sys.argv[1]))
    wait(app)
