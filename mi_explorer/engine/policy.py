"""Which recipes run next, and how: pure functions from counts and measured step times to a plan.

Two ways to run a blend (row-wise, folded) are equal in result and differ in cost, so this is about time only.
- People who wait (interactive) are all served a token before anyone gets a second one: row-wise in one batch, or folded in
  turns of `TURN_STEPS`, whichever takes less time for one token each. Sweeps (bulk) fill up the batch as long as that
  slows the people down by less than half, and else get every fourth turn.
- Bulk alone is run for throughput: the batch with the most rows per second, parked ones included.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mi_explorer.engine.costs import HORIZON_STEPS, Costs

TURN_STEPS = 16  # steps of a turn when plans take turns
BULK_WAIT_STEPS = 3 * TURN_STEPS  # steps without bulk, after which it gets a turn of its own beside people
FULL_SHARE = 0.8  # of a batch, to be worth starting a recipe
SWITCH_GAIN = 1.1  # another bulk plan must be this much better to replace the running one
MAX_SLOWDOWN = 1.5  # how much bulk in the same batch may slow an interactive step
MAX_REMEMBERED = 4096  # plans of which it is remembered when they ran


@dataclass
class RecipeGroup:
    """The sequences of one recipe and one priority: `live` in slots, `waiting` in the queue; each takes `slots` slots.

    `rowwise_key`: the row-wise batch that they may join (None: none). Of those that wait, `welcome` may come in now: their users'
    shares of the slots are not used up. `prompt`: tokens that each of them has to read (fewer than its prompt has, where several
    samples share one).
    """

    key: str
    rowwise_key: str | None
    foldable: bool = True
    slots: int = 1
    live: int = 0
    waiting: int = 0
    lam: float = 0.0
    welcome: int = sys.maxsize
    prompt: float = 0.0

    @property
    def demand(self) -> int:
        """Slots that all of them want, whether they have them or not."""
        return (self.live + self.waiting) * self.slots

    def incoming(self, free: int) -> int:
        """Slots that could be taken now."""
        return min(self.waiting, self.welcome, free // self.slots) * self.slots

    def runnable(self, free: int) -> int:
        """Slots that could run now."""
        return self.live * self.slots + self.incoming(free)


@dataclass(frozen=True)
class StepPlan:
    """`mode` and its target: a row-wise key or (folded) a recipe's key. `bulk`: bulk slots allowed beside interactive ones."""

    mode: str
    target: str
    priority: int
    bulk: int = 0
    others: bool = field(default=False, compare=False)
    """Whether somebody is left out, so that the turn must end."""
    excluded: tuple[str, ...] = field(default=(), compare=False)
    """Recipes whose waiting sequences this row-wise bulk plan leaves in the queue, because a fold of their own serves them better."""

    def runs(self, mode: str, target: str | None) -> bool:
        """Whether it is a plan of this mode for this target."""
        return (self.mode, self.target) == (mode, target)

    def slots(self, groups: Sequence[RecipeGroup], free: int) -> int:
        """Slots of these groups that it could run now."""
        mine = (g for g in groups if (g.rowwise_key if self.mode == "rowwise" else g.key) == self.target)
        return sum(g.runnable(free) for g in mine)


@dataclass
class Turns:
    """Who ran when, in steps: `now` counts steps, `since` is the first of the running plan, `last` and `bulk` the last ones served."""

    now: int = 0
    since: int = 0
    bulk: int = 0
    last: dict[tuple[str, str], int] = field(default_factory=dict)

    def ran(self, plan: StepPlan) -> None:
        """One step of this plan."""
        self.now += 1
        self.last[plan.mode, plan.target] = self.now
        if plan.priority or plan.bulk:
            self.bulk = self.now
        if len(self.last) > MAX_REMEMBERED:
            self.last = dict(sorted(self.last.items(), key=lambda x: x[1])[MAX_REMEMBERED // 2 :])

    @property
    def over(self) -> bool:
        """Whether the running plan has had its turn."""
        return self.now - self.since >= TURN_STEPS


def choose_plan(
    people: Sequence[RecipeGroup],
    bulk: Sequence[RecipeGroup],
    costs: Costs,
    capacity: int,
    free: int,
    now: StepPlan | None,
    turns: Turns,
    only: str = "auto",
) -> StepPlan | None:
    """The next plan, or None if nobody is there. `capacity`: most slots of a step; `free`: empty slots; `now`: the running plan;
    `only`: "auto", or "fold" / "rowwise" to force a mode."""
    if not bulk or not people:
        turns.bulk = turns.now
    if not people:
        return bulk_plan(bulk, costs, capacity, free, now, only) if bulk else None

    # bulk has a turn of its own: it goes on, or begins because it waited long enough
    if now is not None and now.priority == 1 and now.slots(bulk, free) and not turns.over:
        return replace(now, others=True, excluded=())
    if bulk and turns.now - turns.bulk >= BULK_WAIT_STEPS:
        own = bulk_plan(bulk, costs, capacity, free, None, only)
        if own is not None:
            return replace(own, others=True, excluded=())

    # people: plans that take turns, each filled up with bulk
    plans = []
    for plan in people_plans(people, costs, capacity, now, only):
        slots = min(capacity, plan.slots(people, free))
        beside = min(_slots_beside(costs, plan.mode, slots, capacity), plan.slots(bulk, free))
        plans.append(replace(plan, bulk=beside))
    others = len(plans) > 1 or (bool(bulk) and not plans[0].bulk)
    plans = [replace(plan, others=others) for plan in plans]
    if now is not None and not turns.over:
        for plan in plans:
            if plan.runs(now.mode, now.target):
                return plan
    return min(plans, key=lambda plan: turns.last.get((plan.mode, plan.target), 0))


def people_plans(
    groups: Sequence[RecipeGroup], costs: Costs, capacity: int, now: StepPlan | None, only: str
) -> list[StepPlan]:
    """The plans that, taken in turns, give everybody a token in the least time."""
    plans: list[StepPlan] = []
    keys = list(dict.fromkeys(g.rowwise_key for g in groups))
    for key in keys:
        members = [g for g in groups if g.rowwise_key == key]
        rowwise, folded = _time_rowwise(members, costs, capacity), float("inf")
        if all(g.foldable for g in members) and costs.steps.get("folded"):
            running = len(members) == 1 and now is not None and now.runs("folded", members[0].key)
            folds = 0 if running else len(members)
            every = TURN_STEPS if len(members) > 1 or len(keys) > 1 else HORIZON_STEPS
            folded = sum(costs.token_each("folded", g.demand, capacity) for g in members) + folds * costs.fold / every
        if now is not None and now.runs("rowwise", key):
            folded *= SWITCH_GAIN
        must = only == "rowwise" or not all(g.foldable for g in members)
        if rowwise < float("inf") and (must or (only == "auto" and rowwise <= folded)):
            plans.append(StepPlan("rowwise", str(key), 0))
        else:
            plans += [StepPlan("folded", g.key, 0) for g in members if g.foldable]
    return plans


def _time_rowwise(members: Sequence[RecipeGroup], costs: Costs, capacity: int) -> float:
    if members[0].rowwise_key is None:
        return float("inf")
    return costs.token_each("rowwise", sum(g.demand for g in members), capacity)


def _slots_beside(costs: Costs, mode: str, slots: int, capacity: int) -> int:
    """How many slots may be added to a step of `slots` before it gets `MAX_SLOWDOWN` times as long."""
    limit = MAX_SLOWDOWN * costs.step(mode, max(1, slots))
    low, high = 0, max(0, capacity - slots)
    while low < high:
        middle = (low + high + 1) // 2
        if costs.step(mode, slots + middle) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True)
class _Candidate:
    """A bulk plan: slots that it would run, tokens of prompts that these have to read, of how many recipes; the highest λ in it.

    `full`: whether it starts nothing by bits.
    """

    plan: StepPlan
    slots: int
    tokens: float
    recipes: int
    lam: float
    full: bool = True


def bulk_plan(
    groups: Sequence[RecipeGroup], costs: Costs, capacity: int, free: int, now: StepPlan | None, only: str
) -> StepPlan | None:
    """The plan with the most rows per second; at equal speed the one with the higher λ (long traces first).

    A recipe is started only when a nearly full batch of it finds room: started by bits, every recipe would leave a tail in the
    slots and none would ever fill a step. So tails are parked while there is room for the next full batch, and run together
    (row-wise, or the longest of them folded) when there is not.
    """
    found: list[tuple[bool, float, float, StepPlan]] = []
    for c in (
        *_folded_candidates(groups, capacity, free, only),
        *_rowwise_candidates(groups, costs, capacity, free, only),
    ):
        running = now is not None and now.runs(c.plan.mode, c.plan.target)
        time = costs.step(c.plan.mode, c.slots) + costs.reading(c.plan.mode, c.tokens, c.recipes)
        if c.plan.mode == "folded" and not running:
            time += costs.fold / HORIZON_STEPS
        value = c.slots / time if time < float("inf") else 0.0
        if running:
            value = value * SWITCH_GAIN if only == "auto" else float("inf")
        if c.slots:
            found.append((c.full or running, value, c.lam, c.plan))
    return max(found, key=lambda x: x[:3])[3] if found else None


def _folded_candidates(groups: Sequence[RecipeGroup], capacity: int, free: int, only: str) -> Iterator[_Candidate]:
    for g in groups:
        if g.foldable and (only != "rowwise" or g.rowwise_key is None):
            slots = min(capacity, g.runnable(free))
            full = not g.waiting or slots >= FULL_SHARE * min(capacity, g.demand)
            tokens = min(capacity, g.incoming(free)) * g.prompt
            yield _Candidate(StepPlan("folded", g.key, 1, capacity), slots, tokens, 1, g.lam, full)


def _rowwise_candidates(
    groups: Sequence[RecipeGroup], costs: Costs, capacity: int, free: int, only: str
) -> Iterator[_Candidate]:
    for key in {g.rowwise_key for g in groups if g.rowwise_key is not None}:
        members = [g for g in groups if g.rowwise_key == key]
        if only == "fold" and all(g.foldable for g in members):
            continue
        apart = [g for g in members if only != "rowwise" and g.foldable and _folds_better(g, costs, capacity)]
        for kept_out in ([], apart) if apart else ([],):
            joining = [g for g in members if g not in kept_out]
            coming = [min(g.waiting, g.welcome) * g.slots for g in joining]
            queued = min(free, sum(coming))
            mean_prompt = sum(n * g.prompt for n, g in zip(coming, joining)) / max(1, sum(coming))
            yield _Candidate(
                StepPlan("rowwise", key, 1, capacity, excluded=tuple(sorted(g.key for g in kept_out))),
                slots=min(capacity, sum(g.live * g.slots for g in members) + queued),
                tokens=min(capacity, queued) * mean_prompt,
                recipes=max(1, sum(n > 0 for n in coming)),
                lam=max(g.lam for g in members),
            )


def _folds_better(g: RecipeGroup, costs: Costs, capacity: int) -> bool:
    """Whether a recipe gets more rows a second by a fold of its own than in a full row-wise step, prompts included."""
    folded = costs.token_each("folded", g.demand, capacity) + costs.reading("folded", g.demand * g.prompt)
    alike = max(1.0, capacity / g.demand)  # recipes of a full step, if the others have as many sequences
    rowwise = costs.step("rowwise", capacity) + costs.reading("rowwise", capacity * g.prompt, alike)
    return g.demand / folded > capacity / rowwise
