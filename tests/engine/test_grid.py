"""The policy on whole jobs, in virtual time: real scheduler and batch, a backend that only spends what steps were measured to cost.

Never below 0.95 of the better of pure fold and pure row-wise, on λs × questions × length spread × priority × machine.
"""

import itertools

import pytest
import torch

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.events import BULK, INTERACTIVE, Finished, Request
from mi_explorer.engine.policy import Costs
from mi_explorer.engine.rows import Row
from mi_explorer.engine.schedule import Scheduler
from mi_explorer.recipe import Decoding, Recipe

# Milliseconds of a step by lanes, and of a fold: the embedded pair; 135M bf16 with matrix units, and without.
MACHINES = {
    "embedded": Costs({"folded": [(1, 1.0), (11, 2.7), (64, 9.0)], "rowwise": [(1, 1.7), (11, 4.1), (64, 12.3)]}, 0.9),
    "135M fast": Costs({"folded": [(1, 25.0), (16, 30.0), (64, 45.0)], "rowwise": [(1, 38.0), (16, 43.0), (64, 63.0)]}, 80.0),
    "135M slow": Costs({"folded": [(1, 61.0), (16, 141.0), (64, 400.0)], "rowwise": [(1, 95.0), (16, 257.0), (64, 800.0)]}, 134.0),
}
SHAPES = [(1, 1), (1, 64), (2, 16), (2, 1), (4, 8), (4, 44), (11, 1), (11, 4), (11, 16), (11, 40)]


class Clock:
    """A backend whose passes take the time that `costs` says. A prefill costs as many lanes as it has tokens, at a fifth."""

    device, dtype, context, vocab = torch.device("cpu"), torch.float32, 1 << 20, 2
    rowwise = can_fork = can_verify = True
    why_folded = ""

    def __init__(self, costs: Costs, slots: int):
        self.costs, self.time, self.held, self.folds = costs, 0.0, "", 0
        self.slots = self
        self.length = 1 << 20
        self.__dict__["slots"] = type("S", (), {"slots": slots, "length": 1 << 20, "copy": lambda *a: None, "swap": lambda *a: None})()

    def bind(self, key, blend):
        return type("Bound", (), {"key": key, "plane": "p"})()

    def place(self, slot, bound):
        pass

    def run(self, bound, mode, first, ids, positions, width, pick=None):
        n, c = ids.shape
        if mode == "folded" and self.held != bound.key:
            self.held, self.folds = bound.key, self.folds + 1
            self.time += self.costs.fold
        self.time += self.costs.step(mode, n if c == 1 else max(1, n * c // 5))
        return torch.zeros(n, 2)


class Blends:
    def blend(self, recipe):
        return None


def job(costs: Costs, lams: int, questions: int, spread: str, priority: int, only: str) -> float:
    """Virtual milliseconds until every request has ended."""
    clock = Clock(costs, 128)
    ended = []
    batch = Batch(clock, lambda row, event: ended.append(event) if isinstance(event, Finished) else None)
    schedule = Scheduler(batch, costs, 64, only)
    for i, j in itertools.product(range(lams), range(questions)):
        cap = 48 if spread == "equal" else int(12 * 8 ** ((i * questions + j * 7) % 11 / 10))
        recipe = Recipe("x", lam=i / max(1, lams - 1))
        row = Row(Request(f"{i} {j}", (1,) * 20 + (j,), recipe, Decoding(temperature=0, cap=cap), (), priority), "user", i * questions + j)
        row.bind(Blends(), clock)
        schedule.queue.add(row)
    while len(ended) < lams * questions:
        count = len(batch.rows)
        team = schedule.next()
        if team.ready:
            batch.decode(team.ready, team.mode)
        if team.fresh:
            batch.prefill([r for r in team.fresh if not r.ready], team.mode, sum(len(r.lanes) for r in team.ready if r in batch.rows))
        schedule.changed |= bool(team.fresh) or len(batch.rows) != count
    return clock.time


@pytest.mark.parametrize("machine", MACHINES)
def test_auto_is_never_much_slower_than_the_better_mode(machine):
    costs = MACHINES[machine]
    worst = []
    for (lams, questions), spread, priority in itertools.product(SHAPES, ("equal", "wide"), (BULK, INTERACTIVE)):
        auto, fold, row = (job(costs, lams, questions, spread, priority, only) for only in ("auto", "fold", "rowwise"))
        worst.append(
            (min(fold, row) / auto, f"{lams} λ × {questions} {spread} {'bulk' if priority else 'interactive'}: {auto:.0f} {fold:.0f} {row:.0f}")
        )
    worst.sort()
    assert worst[0][0] >= 0.95, worst[:6]
