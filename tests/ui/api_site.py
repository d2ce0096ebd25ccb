"""A scripted page with its endpoints, and what its pair says."""

from mi_explorer.merging.methods import check_params, get_method
from mi_explorer.pairs import Pair
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.api.endpoints import Api
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from tests.fakes import ScriptedEngine, blend_script, scripted_bench
from tests.ui.fake import QUESTIONS

LONG = "<think>" + "Let me see. " * 40 + "</think>The answer is 7."


def script(request):
    """What the scripted blend says; "slow" in the prompt makes it long."""
    return LONG if b"slow" in bytes(i for i in request.prompt if i < 256) else blend_script(request)


class Engine(ScriptedEngine):
    """Remembers its streams."""

    def submit(self, requests, stream=None):
        self.streams = [*getattr(self, "streams", []), super().submit(requests, stream)]
        return self.streams[-1]


class Site:
    """A scripted page: its bench, its endpoints and, where asked, its server."""

    def __init__(self, home, delay=0.0):
        self.engine = Engine(script, delay=delay)
        self.store = Store.open(home)
        self.bench = scripted_bench(self.engine, self.store)
        self.bench.generator.check_recipe = lambda recipe: check_params(get_method(recipe.method), recipe.params)
        self.bench.pair = Pair("mini", "instruct", "thinking", "base", title="Scripted pair", task="mini")
        explore = Explore(self.bench, QUESTIONS)
        self.pairs = PagePairs(
            OpenPair(explore, page_setup(self.bench, QUESTIONS, "mini", None)), lambda pair: None, "fixed"
        )
        self.jobs = Jobs()
        self.api = Api(self.pairs, None, self.jobs)

    def close(self):
        self.jobs.close()
        self.bench.close()
        self.store.close()
