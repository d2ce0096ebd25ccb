"""Serves the page on a scripted workbench, for browser tests: `python tests/ui/serve.py PORT [RATE [SLOTS [VISITORS]]]`.

RATE: tokens per second and row. SLOTS: runs that stream at once, the others wait for a slot. VISITORS: runs that the page
lets in at once, the others wait in line.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mi_explorer.pairs import Pair  # noqa: E402
from mi_explorer.recipe import Decoding, Recipe, Scope  # noqa: E402
from mi_explorer.studies.plan import Item, Plan, grid  # noqa: E402
from mi_explorer.studies.runner import Runner  # noqa: E402
from mi_explorer.studies.store.store import Store  # noqa: E402
from mi_explorer.tasks import Question  # noqa: E402
from mi_explorer.ui.gradio_import import without_type_stubs  # noqa: E402
from mi_explorer.ui.open_page import interrupt_on_sigterm  # noqa: E402

with without_type_stubs():
    from mi_explorer.ui import page, server
from mi_explorer.ui.explore.explore_handlers import Explore  # noqa: E402
from mi_explorer.ui.explore.page_setup import page_setup  # noqa: E402
from mi_explorer.ui.open_pairs import OpenPair, PagePairs  # noqa: E402
from mi_explorer.ui.pair_gallery import PageMachine  # noqa: E402
from tests.fakes import ScriptedEngine, scripted_bench  # noqa: E402
from tests.ui.fake import HOSTILE, QUESTIONS, FakeBench  # noqa: E402


def strip(explore: Explore) -> dict:
    """A strip of the scripted bench, made the way a run makes it."""
    view = {"q": QUESTIONS[0].text, "gold": QUESTIONS[0].gold}
    last = list(explore.run({"token": "a" * 16, "kind": "strip", "view": view}))[-1]
    return {
        "token": "a" * 16,
        "label": "Precomputed (scripted)",
        "view": view,
        **{k: last[k] for k in ("frames", "sentence", "bands")},
    }


def studied() -> Store:
    """A store with a small sweep of the scripted pair in scope "layers 0-1": its name is as hostile as a name can be."""
    store = Store(Path(tempfile.mkdtemp()) / "s.db")
    items = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(6))
    cells = grid(Recipe(scope=Scope("0-1")), [i / 10 for i in range(11)], Decoding(cap=200))
    list(
        Runner(
            store, Plan("sums", cells, 6, 2), items, lambda pair: scripted_bench(ScriptedEngine()), name=HOSTILE[0]
        ).run()
    )
    return store


def make(pair: Pair, report) -> OpenPair:
    """Another scripted pair, with eight layers; its tensors come in slowly."""
    report("open", 0, 0)
    for i in range(0, 69, 4):
        report("read", i, 68)
        time.sleep(0.1)
    report("bind", 0, 0)
    report("measure", 34, 35)
    other = FakeBench(layers=8, name=pair.name)
    other.pair = replace(other.pair, title="")
    return OpenPair(Explore(other, QUESTIONS), page_setup(other, QUESTIONS, "mini", None))


if __name__ == "__main__":
    bench = FakeBench()
    questions = (
        *QUESTIONS,
        Question("x", "echo: " + HOSTILE[1], HOSTILE[1], HOSTILE[1], 1),
    )  # a task file is untrusted too
    bench.store = studied()
    explore = Explore(bench, questions)
    fixed = page_setup(bench, questions, "mini", strip(explore))
    given, unset = sys.argv[1:], ["7860", "60", "0", str(server.MAX_STREAMS)]
    port, rate, slots, visitors = given + unset[len(given) :]
    bench.rate, bench.slots, server.MAX_STREAMS = float(rate), int(slots), int(visitors)
    app = page.build(PagePairs(OpenPair(explore, fixed), make, "any", PageMachine(usable=lambda: 12 * 10**9)))
    server.launch(app, "127.0.0.1", int(port))
    interrupt_on_sigterm()
    server.wait(app)
