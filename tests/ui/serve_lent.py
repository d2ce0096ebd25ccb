"""Serves the page on a bench whose GPU quota is used up: `python tests/ui/serve_lent.py PORT`. For browser tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from fake import QUESTIONS, FakeBench  # noqa: E402

from mi_explorer.spaces import refused  # noqa: E402
from mi_explorer.ui import landing  # noqa: E402
from mi_explorer.ui.explore import Explore  # noqa: E402
from mi_explorer.ui.page import build, launch  # noqa: E402
from mi_explorer.ui.pairs import Pairs  # noqa: E402
from mi_explorer.ui.setup import setup  # noqa: E402


class LentBench(FakeBench):
    """No run gets a GPU."""

    def stream(self, *_, **__):
        raise refused(RuntimeError("You have exceeded your GPU quota (60s requested vs. 12s left)"))


if __name__ == "__main__":
    bench = LentBench()
    explore = Explore(bench, QUESTIONS)
    explore.landing = landing.of_embedded()
    launch(build(Pairs(explore, setup(bench, QUESTIONS, "mini", None), lambda pair, report: None)), "127.0.0.1", int(sys.argv[1]))
