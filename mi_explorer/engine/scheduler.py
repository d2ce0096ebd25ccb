"""The scheduler: turns the policy's plan into the rows of the next step, and admits from the queue. Engine thread only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.events import BULK, INTERACTIVE
from mi_explorer.engine.policy import TURN, Costs, Group, Plan, Turns, choose
from mi_explorer.engine.request_queue import Queue, Shares
from mi_explorer.engine.sequence import Row

REVIEW = 4 * TURN  # steps after which a plan is looked at again although nobody came or left


@dataclass
class Team:
    """The rows of a step: `ready` decode, `fresh` still read their prompts."""

    mode: str
    ready: list[Row] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)


class Scheduler:
    """`rows`: most lanes of a step. `only`: "auto", or "fold" / "rowwise" to force a mode (benchmarks, tests)."""

    def __init__(self, batch: Batch, costs: Costs, rows: int, only: str = "auto"):
        self.batch, self.costs, self.rows, self.only = batch, costs, rows, only
        self.queue = Queue()
        self.plan: Plan | None = None
        self.turns = Turns()
        self.changed = True  # somebody came to the queue, or a row is further than it was
        self._seen = 0  # the batch's count of changes that the team knows
        self._regret = 0.0
        self._team: Team | None = None
        self._reserve = min(rows // 2, len(batch.at) // 4)  # slots that bulk leaves free for people

    def next(self) -> Team | None:
        """The team of the next step; the same object as before as long as nothing changed."""
        turns = self.turns
        if self.plan is not None:
            turns.ran(self.plan)
            due = turns.now - turns.since >= (TURN if self.plan.others else REVIEW)
            if not self.changed and self.batch.changes == self._seen and not due:
                return self._team
        self.changed = False
        groups = self._groups()
        people, bulk = list(groups[INTERACTIVE].values()), list(groups[BULK].values())
        free = self.batch.free if people else max(0, self.batch.free - self._reserve)
        before, self.plan = (
            self.plan,
            self._patience(choose(people, bulk, self.costs, self.rows, free, self.plan, turns, self.only)),
        )
        if (
            before is None
            or self.plan is None
            or (before.mode, before.target) != (self.plan.mode, self.plan.target)
            or turns.over
        ):
            turns.since = turns.now
        self._team = None if self.plan is None else self._form(self.plan)
        self._seen = self.batch.changes  # with the rows that came in just now
        return self._team

    def by_fold(self, tokens: Sequence[int]) -> list[bool]:
        """Which recipes of a row-wise team read their prompts by a fold, of so many tokens each."""
        return self.costs.by_fold(tokens) if self.only == "auto" else [False] * len(tokens)

    def _patience(self, plan: Plan | None) -> Plan | None:
        """A running row-wise batch of one recipe folds only when it has paid as much for waiting as the fold costs.

        How long its rows will go on is not known; so the loss against the better choice stays below one fold.
        """
        now, team = self.plan, self._team
        if (
            plan is None
            or now is None
            or team is None
            or (now.mode, plan.mode) != ("rowwise", "folded")
            or now.priority != plan.priority
        ):
            self._regret = 0.0
            return plan
        rows = [row for row in (*team.ready, *team.fresh) if row in self.batch.rows]
        if (
            not rows
            or any(row.key != plan.target for row in rows)
            or len(rows) < len(self.batch.rows)
            or len(self.queue)
        ):
            self._regret = 0.0
            return plan
        self._regret += self.costs.step("rowwise", len(rows)) - self.costs.step("folded", len(rows))
        if self._regret >= self.costs.fold:
            return plan
        self.changed = True  # look again after the next step
        return now

    def _shares(self, priority: int) -> Shares:
        """What each user who has or wants rows at this priority may take of the slots.

        People share them equally; bulk takes what is there, but leaves some free for people.
        """
        busy = dict.fromkeys(self.queue.streams(priority), 0)  # whatever the recipe
        for row in self.batch.rows:
            if row.priority == priority:
                busy[row.stream] = busy.get(row.stream, 0) + len(row.lanes)
        slots = len(self.batch.at)
        if priority == BULK:
            return Shares(self.batch.free - self._reserve, slots, busy)
        return Shares(self.batch.free, slots // max(1, len(busy)), busy)

    def _groups(self) -> dict[int, dict[str, Group]]:
        """The rows by priority and recipe; recipes of which nothing can run now are left out."""
        groups: dict[int, dict[str, Group]] = {INTERACTIVE: {}, BULK: {}}
        for row in self.batch.rows:
            mine = groups[row.priority]
            if row.key not in mine:
                mine[row.key] = Group(row.key, row.plane, row.foldable, len(row.lanes), 0, 0, row.request.recipe.lam, 0)
            mine[row.key].live += 1
        for priority, mine in groups.items():
            self.queue.count(mine, priority, self._shares(priority))
        return {
            priority: {key: g for key, g in mine.items() if g.live or g.welcome} for priority, mine in groups.items()
        }

    def _form(self, plan: Plan) -> Team:
        def wanted(row: Row) -> bool:
            return (row.plane if plan.mode == "rowwise" else row.key) == plan.target

        chosen: list[Row] = []
        left = self.rows
        if plan.priority == INTERACTIVE:
            left -= self._enlist(chosen, INTERACTIVE, wanted, left)
            left = min(left, plan.bulk)
        if left > 0:
            self._enlist(chosen, BULK, wanted, left, plan.late)
        team = Team(plan.mode)
        for row in chosen:
            (team.ready if row.ready else team.fresh).append(row)
        return team

    def _enlist(self, chosen: list[Row], priority: int, wanted, limit: int, late: tuple[str, ...] = ()) -> int:  # noqa: ANN001
        """Admit what fits, then pick up to `limit` lanes, fairly between streams; returns the lanes picked."""
        batch, shares = self.batch, self._shares(priority)
        live = [row for row in batch.rows if row.priority == priority and wanted(row)]
        here: dict[object, int] = {}  # of these, the lanes in this very plan: nobody fills more than a step
        for row in live:
            here[row.stream] = here.get(row.stream, 0) + len(row.lanes)

        def admissible(row: Row) -> bool:
            fits = shares.rows(row.stream, len(row.lanes)) > 0
            return fits and here.get(row.stream, 0) < limit and wanted(row) and row.key not in late

        total = sum(here.values())
        while shares.free > 0 and (priority == INTERACTIVE or total < limit):
            found = self.queue.pop(priority, admissible, shares.busy)
            if found is None:
                break
            batch.admit(found)
            live.append(found)
            shares.take(found.stream, len(found.lanes))
            here[found.stream] = here.get(found.stream, 0) + len(found.lanes)
            total += len(found.lanes)
        if total <= limit:
            chosen += live
            return total
        picked = 0
        for row in self._interleave(live):
            if picked + len(row.lanes) <= limit:
                chosen.append(row)
                picked += len(row.lanes)
        return picked

    def _interleave(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of all streams in turn; within a stream those that already run come first (no KV moves)."""
        before = {row: i for i, row in enumerate(self._team.ready)} if self._team else {}
        streams: dict[object, list[Row]] = {}
        for row in rows:
            streams.setdefault(row.stream, []).append(row)
        for mine in streams.values():
            mine.sort(key=lambda r: before.get(r, len(before) + r.order))
        ranked = [(i, n, row) for n, mine in enumerate(streams.values()) for i, row in enumerate(mine)]
        return [row for _, _, row in sorted(ranked, key=lambda x: x[:2])]
