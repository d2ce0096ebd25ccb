"""Who runs next, and how: pure functions from counts and measured step times to a plan.

Two ways to run a blend (row-wise, folded) are equal in result and differ in cost, so this is about time only.
- People who wait (interactive) are all served a token before anyone gets a second one: row-wise in one batch, or folded in
  turns of `TURN` steps, whichever takes less time for one token each. Sweeps (bulk) fill up the batch as long as that
  slows the people down by less than half, and else get every fourth turn.
- Bulk alone is run for throughput: the batch with the most rows per second, parked rows included.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

TURN = 16  # steps of a turn when teams take turns
HORIZON = 48  # steps over which a fold is expected to pay for itself
FULL = 0.8  # of a batch, to be worth starting a recipe
STAY = 1.1  # another bulk plan must be this much better to replace the running one
SLOWDOWN = 1.5  # how much bulk rows in the same batch may slow an interactive step


@dataclass
class Costs:
    """Seconds of a step by number of lanes, measured: `steps[mode]` is sorted [(lanes, seconds)]; `fold` the time of a fold.

    A pass over prompts takes a step of one lane and `read[mode]` seconds more for every token; nothing where it is not known.
    """

    steps: dict[str, list[tuple[int, float]]]
    fold: float = 0.0
    read: dict[str, float] = field(default_factory=dict)

    def step(self, mode: str, lanes: int) -> float:
        """Interpolated between the measured sizes; beyond the last, in proportion to the last slope."""
        table = self.steps.get(mode)
        if not table:
            return float("inf")
        i = bisect_left(table, (lanes,))
        if i < len(table) and table[i][0] == lanes:
            return table[i][1]
        if i == 0:
            return table[0][1]
        if i == len(table):
            if i == 1:
                return table[0][1] * lanes / table[0][0]
            i -= 1
        (n0, t0), (n1, t1) = table[i - 1], table[i]
        return max(t0 + (t1 - t0) * (lanes - n0) / (n1 - n0), 1e-9)

    def round(self, mode: str, lanes: int, rows: int) -> float:
        """Time for one token of each of `lanes` lanes, in steps of at most `rows`."""
        return self.step(mode, min(lanes, rows)) * max(1.0, lanes / rows)

    def by_fold(self, tokens: Sequence[float]) -> list[bool]:
        """Whose prompts are read sooner by a fold of their recipe, of recipes that decode row-wise and have so many tokens to read each."""
        if len(self.read) < 2:
            return [False] * len(tokens)
        gains = [n * self.read["rowwise"] - self._folds(n) for n in tokens]
        every = (
            sum(gain for gain in gains if gain <= 0) + self.step("rowwise", 1) > 0
        )  # then nothing is left to read row-wise
        return [every or gain > 0 for gain in gains]

    def reading(self, mode: str, tokens: float, recipes: float = 1.0) -> float:
        """Time to read so many tokens of prompts, of so many recipes, spread over the steps that follow."""
        if not tokens or mode not in self.read:
            return 0.0
        time = self.step(mode, 1) + tokens * self.read[mode]
        if mode == "rowwise" and "folded" in self.read:
            time = min(time, self._folds(tokens, recipes))
        return time / HORIZON

    def _folds(self, tokens: float, recipes: float = 1.0) -> float:
        """Time to read so many tokens by a fold of each of so many recipes."""
        return recipes * (self.fold + self.step("folded", 1)) + tokens * self.read["folded"]


@dataclass
class Group:
    """The rows of one recipe and one priority: `live` in slots, `waiting` in the queue; `lanes` slots per row.

    Of those that wait, `welcome` may come in now: their users' shares of the slots are not used up. `prompt`: tokens that each of them
    has to read (fewer than its prompt has, where several samples share one).
    """

    key: str
    plane: str | None
    foldable: bool = True
    lanes: int = 1
    live: int = 0
    waiting: int = 0
    lam: float = 0.0
    welcome: int = sys.maxsize
    prompt: float = 0.0

    @property
    def demand(self) -> int:
        """Lanes that want to run, in slots or not."""
        return (self.live + self.waiting) * self.lanes

    def fresh(self, free: int) -> int:
        """Lanes that could come in now."""
        return min(self.waiting, self.welcome, free // self.lanes) * self.lanes

    def count(self, free: int) -> int:
        """Lanes that could run now."""
        return self.live * self.lanes + self.fresh(free)


@dataclass(frozen=True)
class Plan:
    """`mode` and its target: a plane (row-wise) or a recipe's key (folded). `bulk`: bulk lanes allowed beside interactive ones."""

    mode: str
    target: str
    priority: int
    bulk: int = 0
    others: bool = field(default=False, compare=False)
    """Whether somebody is left out, so that the turn must end."""
    late: tuple[str, ...] = field(default=(), compare=False)
    """Recipes whose waiting rows this row-wise bulk plan leaves in the queue, because a fold of their own serves them better."""


@dataclass
class Turns:
    """Who ran when, in steps: `now` counts steps, `since` is the first of the running plan, `last` and `bulk` the last ones served."""

    now: int = 0
    since: int = 0
    bulk: int = 0
    last: dict[tuple[str, str], int] = field(default_factory=dict)

    def ran(self, plan: Plan) -> None:
        """One step of this plan."""
        self.now += 1
        self.last[plan.mode, plan.target] = self.now
        if plan.priority or plan.bulk:
            self.bulk = self.now
        if len(self.last) > 4096:
            self.last = dict(sorted(self.last.items(), key=lambda x: x[1])[2048:])

    @property
    def over(self) -> bool:
        """Whether the running plan has had its turn."""
        return self.now - self.since >= TURN


def choose(
    interactive: Sequence[Group],
    bulk: Sequence[Group],
    costs: Costs,
    rows: int,
    free: int,
    now: Plan | None,
    turns: Turns,
    only: str = "auto",
) -> Plan | None:
    """The next plan. `rows`: most lanes of a step; `free`: empty slots; `now`: the running plan; `only`: a forced mode."""
    if not interactive:
        turns.bulk = turns.now
        return best_bulk(bulk, costs, rows, free, now, only) if bulk else None
    plans = []
    for plan in serve_all(interactive, costs, rows, free, now, only):
        lanes = min(rows, _lanes(plan, interactive, free))
        beside = min(_fill(costs, plan.mode, lanes, rows), _lanes(plan, bulk, free))
        plans.append(Plan(plan.mode, plan.target, 0, beside))
    if not bulk:
        turns.bulk = turns.now
    if now is not None and now.priority == 1 and _lanes(now, bulk, free) and not turns.over:
        return Plan(now.mode, now.target, 1, now.bulk, True)
    if bulk and turns.now - turns.bulk >= 3 * TURN:
        side = best_bulk(bulk, costs, rows, free, None, only)
        if side is not None:
            return Plan(side.mode, side.target, 1, side.bulk, True)
    others = len(plans) > 1 or (bool(bulk) and not plans[0].bulk)
    plans = [Plan(p.mode, p.target, 0, p.bulk, others) for p in plans]
    if now is not None and not turns.over:
        for plan in plans:
            if (plan.mode, plan.target) == (now.mode, now.target):
                return plan
    return min(plans, key=lambda p: turns.last.get((p.mode, p.target), 0))


def serve_all(groups: Sequence[Group], costs: Costs, rows: int, free: int, now: Plan | None, only: str) -> list[Plan]:
    """The plans that, taken in turns, give every interactive row its token in the least time."""
    plans: list[Plan] = []
    planes = dict.fromkeys(g.plane for g in groups)
    for plane in planes:
        members = [g for g in groups if g.plane == plane]
        fold = [g for g in members if g.foldable]
        row_time = costs.round("rowwise", sum(g.demand for g in members), rows) if plane is not None else float("inf")
        fold_time = float("inf")
        if len(fold) == len(members) and costs.steps.get("folded"):
            every = TURN if len(members) > 1 or len(planes) > 1 else HORIZON
            fresh = [
                g for g in members if now is None or (now.mode, now.target) != ("folded", g.key) or len(members) > 1
            ]
            fold_time = sum(costs.round("folded", g.demand, rows) for g in members) + len(fresh) * costs.fold / every
        if now is not None and now.mode == "rowwise" and now.target == plane:
            fold_time *= STAY
        if row_time < float("inf") and (
            only == "rowwise" or (only == "auto" and row_time <= fold_time) or len(fold) < len(members)
        ):
            plans.append(Plan("rowwise", str(plane), 0))
        else:
            plans += [Plan("folded", g.key, 0) for g in fold]
    return plans


def best_bulk(groups: Sequence[Group], costs: Costs, rows: int, free: int, now: Plan | None, only: str) -> Plan | None:
    """The plan with the most rows per second; at equal speed the one with the higher λ (long traces first).

    A recipe is started only when a nearly full batch of it finds room: started by bits, every recipe would leave a tail in the
    slots and none would ever fill a step. So tails are parked while there is room for the next full batch, and run together
    (row-wise, or the longest of them folded) when there is not.
    """
    found: list[tuple[bool, float, float, Plan]] = []
    for plan, lanes, reads, recipes, full, lam in _candidates(groups, costs, rows, free, only):
        time = costs.step(plan.mode, lanes) + costs.reading(plan.mode, reads, recipes)
        running = now is not None and (plan.mode, plan.target) == (now.mode, now.target)
        if plan.mode == "folded" and not running:
            time += costs.fold / HORIZON
        value = lanes / time if time < float("inf") else 0.0
        if running:
            value = float("inf") if only != "auto" else value * STAY
        if lanes:
            found.append((full or running, value, lam, plan))
    return max(found, key=lambda x: x[:3])[3] if found else None


def _candidates(
    groups: Sequence[Group], costs: Costs, rows: int, free: int, only: str
) -> Iterable[tuple[Plan, int, float, int, bool, float]]:
    """Plans with their lanes, the tokens of prompts that these have to read, of how many recipes, whether they start nothing by bits,
    and their λ."""
    for g in groups:
        if g.foldable and (only != "rowwise" or g.plane is None):
            lanes = min(rows, g.count(free))
            reads = min(rows, g.fresh(free)) * g.prompt
            yield (
                Plan("folded", g.key, 1, rows),
                lanes,
                reads,
                1,
                not g.waiting or lanes >= FULL * min(rows, g.demand),
                g.lam,
            )
    for plane in {g.plane for g in groups if g.plane is not None}:
        members = [g for g in groups if g.plane == plane]
        if only == "fold" and all(g.foldable for g in members):
            continue
        joining = [g for g in members if only == "rowwise" or not g.foldable or not _folds_better(g, costs, rows)]
        live = sum(g.live * g.lanes for g in members)
        coming = [min(g.waiting, g.welcome) * g.lanes for g in joining]
        queued = min(free, sum(coming))
        yield (
            Plan("rowwise", plane, 1, rows, late=tuple(sorted(g.key for g in members if g not in joining))),
            min(rows, live + queued),
            min(rows, queued) * sum(n * g.prompt for n, g in zip(coming, joining)) / max(1, sum(coming)),
            max(1, sum(n > 0 for n in coming)),
            True,
            max(g.lam for g in members),
        )


def _folds_better(g: Group, costs: Costs, rows: int) -> bool:
    """Whether a recipe gets more rows a second by a fold of its own than in a full row-wise step, prompts included."""
    folded = costs.round("folded", g.demand, rows) + costs.reading("folded", g.demand * g.prompt)
    alike = max(1.0, rows / g.demand)  # recipes of a full step, if the others have as many rows
    return g.demand / folded > rows / (costs.step("rowwise", rows) + costs.reading("rowwise", rows * g.prompt, alike))


def _lanes(plan: Plan, groups: Sequence[Group], free: int) -> int:
    """Lanes that a plan could run now."""
    return sum(g.count(free) for g in groups if (g.plane if plan.mode == "rowwise" else g.key) == plan.target)


def _fill(costs: Costs, mode: str, lanes: int, rows: int) -> int:
    """How many lanes may be added to a step of `lanes` before it gets `SLOWDOWN` times as long."""
    limit = SLOWDOWN * costs.step(mode, max(1, lanes))
    low, high = 0, max(0, rows - lanes)
    while low < high:
        middle = (low + high + 1) // 2
        if costs.step(mode, lanes + middle) <= limit:
            low = middle
        else:
            high = middle - 1
    return low
