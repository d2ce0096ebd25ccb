"""vLLM workers for the tests: one that is in this test's hands, and one that writes wrong weights. Imported by both interpreters."""

from mi_explorer.cluster import vllm_model
from mi_explorer.cluster.vllm_worker import VllmWorkerEngine
from mi_explorer.cluster.worker_engine import EngineSetup, UnitMade, WorkPlan
from mi_explorer.studies.plan import units
from mi_explorer.studies.store.sample import unpack


class StaleLayer(VllmWorkerEngine):
    """Writes blends in which one matrix stays Instruct's, as an engine would that forgets one."""

    def load(self, setup):
        right = vllm_model.blended

        def stale(resident, recipe):
            for name, tensor in right(resident, recipe):
                kept = "layers.1.mlp.down_proj" in name
                yield name, resident.parents.tensor("instruct", name).to(tensor.dtype) if kept else tensor

        vllm_model.blended = stale
        return super().load(setup)


class Worker:
    """A worker behind a launcher, called and waited for."""

    def __init__(self, launcher):
        self.launcher, self.link = launcher, launcher.start(0)
        self.facts = None

    def call(self, method, *args):
        """The reply's value; `AssertionError` with its words where it is an error."""
        reply = self.reply(method, *args)
        assert not reply.error, reply.error
        return reply.value

    def reply(self, method, *args):
        self.link.call(method, *args)
        while True:
            self.launcher.wait([self.link], 60)
            if (reply := self.link.take()) is not None:
                return reply

    def load(self, pair, **setup):
        self.facts = self.call("load", EngineSetup(getattr(pair, "spec", pair), **setup))
        return self.facts

    def run(self, plan, items, only=None):
        """Every unit's sample and body, by (λ, question, number)."""
        keys = tuple(cell.key(self.facts.fingerprint, self.facts.dtype) for cell in plan.cells)
        self.call("check", plan.cells)
        self.call("begin", WorkPlan(plan, keys, tuple(items)))
        todo = [u for u in units(plan, items, keys) if only is None or only(u)]
        report, outcomes = self.call("exchange", todo, 0.2, "run"), []
        while True:
            outcomes += report.outcomes
            if len(outcomes) == len(todo):
                break
            report = self.call("exchange", (), 0.2, "run")
        assert all(isinstance(one, UnitMade) for one in outcomes), outcomes
        return {
            (plan.cells[one.unit.cell].recipe.lam, one.unit.item, one.unit.number): (one.sample, unpack(one.body))
            for one in outcomes
        }
