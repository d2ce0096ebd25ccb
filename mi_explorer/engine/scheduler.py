"""The scheduler: turns the policy's plan into the batch of the next step, and admits from the queue. Engine's thread only."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import BULK, INTERACTIVE
from mi_explorer.engine.policy import TURN_STEPS, RecipeGroup, StepPlan, Turns, choose_plan
from mi_explorer.engine.request_queue import RequestQueue, Shares, empty_group
from mi_explorer.engine.sequence import Sequence
from mi_explorer.engine.stream import EventStream

REVIEW_STEPS = 4 * TURN_STEPS  # steps after which a plan is looked at again although nobody came or left


@dataclass
class ScheduledBatch:
    """The sequences of a step: those that decode, and those that still read their prompts."""

    mode: str
    decode: list[Sequence] = field(default_factory=list)
    prefill: list[Sequence] = field(default_factory=list)


class Scheduler:
    """`capacity`: most slots of a step. `only`: "auto", or "fold" / "rowwise" to force a mode (benchmarks, tests). `admits`: whether
    there is memory for a sequence that has a slot.

    Whoever adds to the queue, or knows that a sequence is further than it was, sets `changed`.
    """

    def __init__(
        self,
        batch: Batch,
        costs: Costs,
        capacity: int,
        only: str = "auto",
        admits: Callable[[Sequence], bool] = lambda sequence: True,
    ):
        self.batch, self.costs, self.capacity, self.only = batch, costs, capacity, only
        self.queue = RequestQueue()
        self._admits = admits
        self.plan: StepPlan | None = None
        self.turns = Turns()
        self.changed = True
        self._seen_changes = 0  # the batch's count of changes when the last step was formed
        self._fold_regret = 0.0  # seconds lost so far by not folding
        self._scheduled: ScheduledBatch | None = None
        self._now = 0.0  # of this step: a sequence that is due later is left out of it, and keeps its slots
        self.rest = 0.0  # seconds from then without work, where all who run keep a pace
        self._reserve = min(capacity // 2, len(batch.slots) // 4)  # slots that bulk leaves free for people

    def schedule(self) -> ScheduledBatch | None:
        """The batch of the next step; the same object as before as long as nothing changed."""
        turns, before = self.turns, self.plan
        self._now = time.monotonic()
        self.changed |= any(sequence.due for sequence in self.batch.sequences)
        if before is not None:
            turns.ran(before)
            due = turns.now - turns.since >= (TURN_STEPS if before.others else REVIEW_STEPS)
            if not self.changed and self.batch.changes == self._seen_changes and not due:
                return self._scheduled
        self.changed = False
        people, bulk = (list(self._groups(priority).values()) for priority in (INTERACTIVE, BULK))
        free = self.batch.free if people else max(0, self.batch.free - self._reserve)
        plan = choose_plan(people, bulk, self.costs, self.capacity, free, before, turns, self.only)
        plan = self._delay_fold(plan)
        scheduled = None if plan is None else self._form(plan)
        next_due = min((s.due for s in self.batch.sequences), default=0.0)
        self.rest = max(0.0, next_due - self._now) if plan is None else 0.0
        if scheduled is not None and not (scheduled.decode or scheduled.prefill) and self.batch.sequences:
            # whom this plan would bring in finds no blocks: those who are in go on
            people, bulk = ([g for g in map(_without_queue, groups) if g.live] for groups in (people, bulk))
            plan = choose_plan(people, bulk, self.costs, self.capacity, 0, before, turns, self.only)
            scheduled = None if plan is None else self._form(plan)
        self.plan = plan
        if before is None or plan is None or not plan.runs(before.mode, before.target) or turns.over:
            turns.since = turns.now
        self._scheduled = scheduled
        self._seen_changes = self.batch.changes  # with those who came in just now
        return self._scheduled

    def reads_by_fold(self, tokens: list[int]) -> list[bool]:
        """Which recipes of a row-wise batch read their prompts by a fold, of so many tokens each."""
        return self.costs.reads_by_fold(tokens) if self.only == "auto" else [False] * len(tokens)

    def _delay_fold(self, plan: StepPlan | None) -> StepPlan | None:
        """A running row-wise batch of one recipe folds only when it has paid as much for waiting as the fold costs.

        How long its sequences will go on is not known; so the loss against the better choice stays below one fold.
        """
        now, last = self.plan, self._scheduled
        turns_to_fold = (
            plan and now and (now.mode, plan.mode) == ("rowwise", "folded") and now.priority == plan.priority
        )
        running = [s for s in (*last.decode, *last.prefill) if s in self.batch.sequences] if last else []
        alone = len(running) == len(self.batch.sequences) and not len(self.queue)
        if not (plan and turns_to_fold and running and alone and all(s.key == plan.target for s in running)):
            self._fold_regret = 0.0
            return plan
        self._fold_regret += self.costs.step("rowwise", len(running)) - self.costs.step("folded", len(running))
        if self._fold_regret >= self.costs.fold:
            return plan
        self.changed = True  # look again after the next step
        return now

    def _shares(self, priority: int) -> Shares:
        """What each user who has or wants sequences at this priority may take of the slots.

        People share them equally; bulk takes what is there, but leaves some free for people.
        """
        busy: dict[EventStream, int] = dict.fromkeys(self.queue.users(priority), 0)
        for sequence in self.batch.sequences:
            if sequence.priority == priority:
                busy[sequence.stream] = busy.get(sequence.stream, 0) + len(sequence.slots)
        slots = len(self.batch.slots)
        if priority == BULK:
            return Shares(self.batch.free - self._reserve, slots, busy)
        return Shares(self.batch.free, slots // max(1, len(busy)), busy)

    def _groups(self, priority: int) -> dict[str, RecipeGroup]:
        """The sequences of a priority by recipe; recipes of which nothing can run now are left out."""
        groups: dict[str, RecipeGroup] = {}
        for sequence in self.batch.sequences:
            if sequence.priority == priority and sequence.due <= self._now:
                group = groups.get(sequence.key) or groups.setdefault(sequence.key, empty_group(sequence))
                group.live += 1
        self.queue.count(groups, priority, self._shares(priority))
        return {key: group for key, group in groups.items() if group.live or group.welcome}

    def _form(self, plan: StepPlan) -> ScheduledBatch:
        """Admit whom the plan has room for, and divide its sequences into those that read and those that decode."""

        def target(sequence: Sequence) -> bool:
            return plan.runs(plan.mode, sequence.rowwise_key if plan.mode == "rowwise" else sequence.key)

        chosen: list[Sequence] = []
        left = self.capacity

        # people first
        if plan.priority == INTERACTIVE:
            picked = self._pick(INTERACTIVE, target, left)
            chosen += picked
            left = min(left - _slots(picked), plan.bulk)

        # bulk in what is left
        if left > 0:
            chosen += self._pick(BULK, target, left, plan.excluded)

        # prefill and decode
        return ScheduledBatch(plan.mode, [s for s in chosen if s.decodes], [s for s in chosen if not s.decodes])

    def _pick(
        self, priority: int, target: Callable[[Sequence], bool], limit: int, excluded: tuple[str, ...] = ()
    ) -> list[Sequence]:
        """Admit what fits, then pick up to `limit` slots, fairly between users."""
        batch, shares = self.batch, self._shares(priority)
        live = [s for s in batch.sequences if s.priority == priority and s.due <= self._now and target(s)]
        mine: Counter[EventStream] = Counter()  # slots of each user in this very plan: nobody fills more than a step
        for sequence in live:
            mine[sequence.stream] += len(sequence.slots)

        def admissible(sequence: Sequence) -> bool:
            fits = shares.sequences(sequence.stream, len(sequence.slots)) > 0
            return fits and mine[sequence.stream] < limit and target(sequence) and sequence.key not in excluded

        # people come in even beyond the limit, for every user gets a share of the step; bulk only fills it
        while shares.free > 0 and (priority == INTERACTIVE or mine.total() < limit):
            found = self.queue.pop(priority, admissible, shares.busy)
            if found is None:
                break
            if not self._admits(found):
                self.queue.put_back(found)  # whoever is next waits for blocks; nobody younger passes
                break
            batch.admit(found)
            live.append(found)
            shares.take(found.stream, len(found.slots))
            mine[found.stream] += len(found.slots)
        return live if mine.total() <= limit else self._take_turns(live, limit)

    def _take_turns(self, sequences: list[Sequence], limit: int) -> list[Sequence]:
        """Up to `limit` slots, of all users in turn; within a user those that already run come first (no KV moves)."""
        running = {sequence: i for i, sequence in enumerate(self._scheduled.decode)} if self._scheduled else {}
        users: dict[EventStream, list[Sequence]] = {}
        for sequence in sequences:
            users.setdefault(sequence.stream, []).append(sequence)
        for mine in users.values():
            mine.sort(key=lambda s: running.get(s, len(running) + s.order))
        ranked = [(i, n, sequence) for n, mine in enumerate(users.values()) for i, sequence in enumerate(mine)]
        picked: list[Sequence] = []
        for _, _, sequence in sorted(ranked, key=lambda x: x[:2]):
            if len(sequence.slots) <= limit:
                picked.append(sequence)
                limit -= len(sequence.slots)
        return picked


def _without_queue(group: RecipeGroup) -> RecipeGroup:
    return replace(group, waiting=0, welcome=0)


def _slots(sequences: list[Sequence]) -> int:
    return sum(len(sequence.slots) for sequence in sequences)
