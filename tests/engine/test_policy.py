"""The policy as a pure function: never the dearer mode, nobody left out, no step empty."""

import itertools
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.engine.costs import HORIZON_STEPS, Costs
from mi_explorer.engine.events import BULK, INTERACTIVE
from mi_explorer.engine.policy import (
    SWITCH_GAIN,
    TURN_STEPS,
    RecipeGroup,
    StepPlan,
    Turns,
    choose_plan,
)
from mi_explorer.engine.scheduler import Scheduler


def table(first: float, slope: float) -> list[tuple[int, float]]:
    return [(n, first + slope * n) for n in (1, 2, 4, 8, 16, 32, 64)]


times = st.builds(
    lambda f, fs, r, rs, fold, read: Costs(
        {"folded": table(f, fs), "rowwise": table(f * r, fs * rs)},
        fold * f,
        {"folded": [(100, f + 100 * read * fs)], "rowwise": [(100, f * r + 100 * read * fs * rs)]} if read else {},
    ),
    st.floats(0.1, 5),
    st.floats(0.001, 1),
    st.floats(1, 3),
    st.floats(0.5, 3),
    st.floats(0.01, 20),
    st.sampled_from([0.0, 0.3, 1.0]),
)
crowds = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 40), st.floats(0, 1), st.integers(1, 200)), min_size=1, max_size=8
)


def groups(crowd) -> list[RecipeGroup]:
    return [
        RecipeGroup(f"k{i}", "p", True, 1, live, wait, lam, prompt=prompt)
        for i, (live, wait, lam, prompt) in enumerate(crowd)
        if live + wait
    ]


@settings(max_examples=100, deadline=None)
@given(crowds, times)
def test_bulk_runs_at_the_best_rate_there_is(crowd, costs):
    bulk = groups(crowd)
    plan = choose_plan([], bulk, costs, 64, 64, None, Turns())
    if not bulk:
        assert plan is None
        return

    def rate(mode: str, here: list[RecipeGroup], coming: list[RecipeGroup], extra: float = 0.0) -> float:
        """Rows per second of a step, with the prompts of those who come in spread over the steps that a fold is spread over."""
        come = min(64, sum(g.waiting for g in coming))
        n = min(64, sum(g.live for g in here) + come)
        tokens = come * sum(g.waiting * g.prompt for g in coming) / max(1, sum(g.waiting for g in coming))
        recipes = max(1, sum(g.waiting > 0 for g in coming))
        read = 0.0
        if tokens and costs.read:
            read = costs.read_pass(mode, tokens)
            if mode == "rowwise":
                read = min(read, recipes * (costs.fold + costs.read_pass("folded", tokens / recipes)))
        return n / (costs.step(mode, n) + (read + extra) / HORIZON_STEPS) if n else 0.0

    joining = [g for g in bulk if g.key not in plan.excluded]
    target = [g for g in bulk if g.key == plan.target]
    chosen = rate("rowwise", bulk, joining) if plan.mode == "rowwise" else rate("folded", target, target, costs.fold)
    assert chosen >= max(rate("folded", [g], [g], costs.fold) for g in bulk) / SWITCH_GAIN
    if not costs.read:
        assert chosen >= rate("rowwise", bulk, bulk) / SWITCH_GAIN


@settings(max_examples=100, deadline=None)
@given(crowds, times)
def test_people_are_all_served_in_the_shorter_of_both_ways(crowd, costs):
    people = groups(crowd)
    if not people:
        return
    plan = choose_plan(people, [], costs, 1000, 1000, None, Turns())
    row = costs.step("rowwise", sum(g.live + g.waiting for g in people))
    every = TURN_STEPS if len(people) > 1 else HORIZON_STEPS
    fold = sum(costs.step("folded", g.live + g.waiting) + costs.fold / every for g in people)
    assert plan.mode == ("rowwise" if row <= fold else "folded")
    seen = {p.target for p in simulate(people, [], costs, TURN_STEPS * (len(people) + 1), 1000)}
    assert seen == ({"p"} if plan.mode == "rowwise" else {g.key for g in people}), "everybody gets a turn"


def simulate(people, bulk, costs, steps: int, room: int = 64) -> list[StepPlan]:
    """The plans of a run in which nobody finishes."""
    plan, turns, plans = None, Turns(), []
    for _ in range(steps):
        after = choose_plan(people, bulk, costs, room, room, plan, turns)
        if plan is None or (after.mode, after.target) != (plan.mode, plan.target) or turns.over:
            turns.since = turns.now
        plan = after
        turns.ran(plan)
        plans.append(plan)
    return plans


@settings(max_examples=40, deadline=None)
@given(crowds, crowds, times)
def test_a_sweep_beside_people_neither_starves_nor_slows_them_much(crowd, sweep, costs):
    people, bulk = (
        groups(crowd),
        [RecipeGroup(f"b{g.key}", g.rowwise_key, True, 1, g.live, g.waiting, g.lam) for g in groups(sweep)],
    )
    if not people or not bulk:
        return
    plans = simulate(people, bulk, costs, 6 * TURN_STEPS * max(4, len(people)))
    for plan in plans:
        if plan.priority == 0 and plan.bulk:
            slots = min(64, sum(g.runnable(64) for g in people if plan.target in (g.rowwise_key, g.key)))
            assert costs.step(plan.mode, slots + plan.bulk) <= 1.5 * costs.step(plan.mode, slots) + 1e-9
    assert sum(p.priority == 1 for p in plans) <= len(plans) * 0.3, "people have the engine for most of the time"
    assert any(p.priority == 1 or p.bulk for p in plans), "the sweep goes on"
    ours = {p.target for p in plans if p.priority == 0}
    assert ours >= {"p"} or ours >= {g.key for g in people}, "and no person is left out"


def test_rows_that_cannot_fold_or_cannot_join_get_the_mode_they_need():
    costs = Costs({"folded": table(1, 0.1), "rowwise": table(9, 9)}, 0.1)
    logit = RecipeGroup("l", "p", False, 2, 1, 0, 0.5)
    assert choose_plan([logit], [], costs, 64, 64, None, Turns()).mode == "rowwise"
    assert choose_plan([], [logit], costs, 64, 64, None, Turns()).mode == "rowwise"
    alone = RecipeGroup("k", None, True, 1, 3, 0, 0.5)
    assert choose_plan([alone], [], Costs({"folded": table(1, 1)}, 1), 64, 64, None, Turns()) == StepPlan(
        "folded", "k", 0, 0
    )


class Slots:
    """A batch of which the scheduler sees the slots alone."""

    def __init__(self, slots: int):
        self.slots, self.sequences, self.changes = range(slots), [], 0

    @property
    def free(self) -> int:
        return len(self.slots) - sum(len(sequence.slots) for sequence in self.sequences)

    def admit(self, sequence) -> None:
        self.sequences.append(sequence)
        self.changes += 1

    def release(self, sequence) -> None:
        self.sequences.remove(sequence)
        self.changes += 1


class Made(SimpleNamespace):
    """A sequence like the engine's: equal to itself alone."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def sequence(order: int, stream: int, recipe: int, priority: int):
    """A sequence; recipes 0-3 share a row-wise batch and fold, 4 folds alone, 5 does not fold and has two slots."""
    request = SimpleNamespace(recipe=SimpleNamespace(lam=recipe / 4), prompt=(0,) * (5 + 20 * recipe))
    key, slots = None if recipe == 4 else "logit" if recipe == 5 else "parents", (0, 1) if recipe == 5 else (0,)
    more = {"rowwise_key": key, "foldable": recipe != 5, "slots": slots, "request": request, "decodes": True}
    more |= {"to_read": len(request.prompt), "due": 0.0}
    return Made(order=order, stream=stream, key=str(recipe), priority=priority, **more)


comings = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from((INTERACTIVE, BULK)), st.integers(1, 30)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(comings, times, st.sampled_from((2, 8, 12, 32)), st.randoms(use_true_random=False))
def test_no_step_is_empty_and_everybody_is_served(comings, costs, size, rng):
    """Whoever comes with whatever, in slots or not: every step has rows while there are any, and in the end there are none."""
    slots, orders = Slots(size), itertools.count()
    scheduler = Scheduler(slots, costs, capacity=max(2, size // 2))
    steps = idle = 0
    while comings or slots.sequences or len(scheduler.queue):
        if comings and (rng.random() < 0.1 or not (slots.sequences or len(scheduler.queue))):
            stream, recipe, priority, count = comings[-1]
            comings = comings[:-1]
            for _ in range(count):
                scheduler.queue.add(sequence(next(orders), stream, recipe, priority))
            scheduler.changed = True
        step_ = scheduler.schedule()
        if not (step_ and (step_.decode or step_.prefill)):
            idle += 1
            scheduler.changed = rng.random() < 0.1
        for one in [*step_.decode, *step_.prefill] if step_ else []:
            assert one in slots.sequences, "a row that ended gets no further step"
            if rng.random() < 0.2:
                slots.release(one)
        steps += 1
        assert steps < 20_000
    assert idle == 0
