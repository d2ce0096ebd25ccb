"""The driver's crew: starts workers, gives them units, takes what they made, and goes on with who is left.

`turn` is one round: look after the places, wait for answers, take them, ask again. All of it runs in the driver's thread, but for
`resize`, which any thread may call. No unit is in two hands: a worker that is silent for too long is ended before its units go on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from mi_explorer.cluster.crew_member import CrewMember
from mi_explorer.cluster.links import Launcher, Reply, WorkerLost
from mi_explorer.cluster.unit_ledger import UnitLedger
from mi_explorer.cluster.worker_engine import EngineFacts, EngineSetup, Place, UnitBroke, UnitMade, WorkPlan, WorkReport
from mi_explorer.errors import UserError
from mi_explorer.studies.plan import Cell, Unit
from mi_explorer.studies.progress import WorkerStatus

EXCHANGE_S = 0.2  # seconds a worker works before it tells what became of its units
# Seconds for a worker to come up, and for a pair to be read (and, from the hub, to come down).
LIMITS_S = {"hello": 300.0, "load": 3600.0, "check": 300.0, "begin": 300.0}
MOST_IN_HAND = 256  # units a worker holds at most: what a loss makes anew
CAPACITY_EVERY_S = 10.0
EXACT_TOLERANCE = 1e-3  # nats, in fp32
HALF_TOLERANCE = 0.25  # half precision differs between kinds of device


class CrewError(UserError):
    """There is no worker that could go on."""


class Crew:
    """`wanted` workers of `launcher`, at `setup(pair)`. `silence`: seconds that a worker with units may make no token. `check` raises a
    `UserError` for cells that none of them could run, before one is started."""

    def __init__(
        self,
        launcher: Launcher,
        wanted: int | None,
        setup: Callable[[str], EngineSetup],
        silence: float = 600.0,
        check: Callable[[Sequence[Cell]], None] = lambda cells: None,
    ) -> None:
        self.launcher, self.setup, self.silence, self._check = launcher, setup, silence, check
        self._elastic = wanted is None
        self._wanted = max(1, wanted or launcher.capacity() or 1)
        self._sized = time.monotonic()
        self.members: list[CrewMember] = []
        self.news: list[str] = []
        self.pair = ""
        self.facts: EngineFacts | None = None  # of the pair; what every worker must agree with
        self._cells: Sequence[Cell] = ()
        self._work: WorkPlan | None = None
        self._work_id = ""
        self.ledger = UnitLedger(())
        self.order: Literal["run", "drain"] = "run"
        self.lost_units: list[UnitBroke] = []  # set aside because their workers were lost

    def resize(self, wanted: int) -> None:
        """So many workers from now on; those that are too many finish what they have in hand."""
        self._wanted, self._elastic = max(1, wanted), False

    @property
    def wanted(self) -> int:
        return self._wanted

    @property
    def in_hand(self) -> int:
        """Units that are with workers."""
        return sum(len(member.hand) for member in self.members)

    def status(self) -> tuple[WorkerStatus, ...]:
        return tuple(member.status() for member in self.members)

    @property
    def dashboard(self) -> str:
        """A page about the cluster; "" where there is none."""
        return self.launcher.dashboard

    def opening(
        self, pair: str, cells: Sequence[Cell], stopped: Callable[[], bool]
    ) -> Iterator[tuple[WorkerStatus, ...]]:
        """Load a pair everywhere. Yields how the workers stand until one has it and has checked `cells` (`facts` are there then), or
        until `stopped()`. Raises the worker's `UserError` for a cell that cannot run.
        """
        self._check(cells)
        self.pair, self.facts, self._cells, self._work, self._work_id = pair, None, cells, None, ""
        while self.facts is None and not stopped():
            for _ in self.turn(0.2):
                pass
            yield self.status()

    def open_pair(self, pair: str, cells: Sequence[Cell], stopped: Callable[[], bool]) -> EngineFacts | None:
        """As `opening`, to its end. None if `stopped()` came first."""
        for _ in self.opening(pair, cells, stopped):
            pass
        return self.facts

    def begin(self, work: WorkPlan, ledger: UnitLedger) -> None:
        """Give out units of `ledger` from now on."""
        self._work, self.ledger, self.order = work, ledger, "run"
        self._work_id = f"{id(work)}-{time.monotonic_ns()}"

    def turn(self, seconds: float) -> Iterator[tuple[CrewMember, WorkReport]]:
        """One round of at most about `seconds`; yields the reports that came."""
        self._look_after()
        for member in self.members:
            if member.alive and not member.calling:
                self._ask(member)
        links = [m.link for m in self.members if m.link is not None and m.calling]
        if links:
            self.launcher.wait(links, seconds)
        else:
            time.sleep(min(seconds, 0.05))
        for member in self.members:
            if member.link is None or not member.calling:
                continue
            try:
                reply = member.link.take()
            except WorkerLost as error:
                self._lose(member, str(error))
                continue
            if reply is None:
                self._watch(member)
                continue
            asked, member.calling = member.calling, ""
            report = self._heard(member, asked, reply)
            if report is not None:
                yield member, report

    def close(self) -> None:
        """End all workers."""
        for member in self.members:
            member.forget()
        self.launcher.close()

    # -- places ------------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Start who is missing, let go who is too many; raises `CrewError` where nobody is left."""
        now = time.monotonic()
        if self._elastic and now > self._sized + CAPACITY_EVERY_S:
            self._sized = now
            self._wanted = max(1, self.launcher.capacity() or 1)
        while len(self.members) < self._wanted:
            self.members.append(CrewMember(len(self.members)))
        for member in self.members:
            member.leaving = member.index >= self._wanted
            if member.leaving and member.alive and not member.hand:
                self.news.append(f"{member.name} has left.")
                member.forget()
                member.host = ""
            elif not (member.leaving or member.alive or member.refused) and now >= member.not_before:
                member.link, member.host, member.room = self.launcher.start(member.index), "", 1
                self._safely(member, "hello")
        places = self.members[: self._wanted]
        if all(member.refused for member in places):
            why = dict.fromkeys(member.refused for member in places)
            raise CrewError(
                f"No worker can go on: {' '.join(why)} What was finished is saved; start it again to go on."
            )

    def _watch(self, member: CrewMember) -> None:
        """End a worker whose answer, or whose next token, is too long in coming."""
        now = time.monotonic()
        if member.calling == "hello" and self.launcher.patient:
            return
        limit = LIMITS_S.get(member.calling, self.silence)
        if now > member.heard + limit:
            self._lose(member, f"it said nothing for {limit:g} s")

    def _lose(self, member: CrewMember, why: str) -> None:
        """A worker is gone: its units go on elsewhere, and it is started anew unless that has failed too often."""
        units = member.forget()
        aside = self.ledger.lost(units)
        self.lost_units += [UnitBroke(unit, f"every worker that tried it was lost ({why})") for unit in aside]
        given_up = member.lose()
        if given_up:
            member.refused = f"{member.name} was lost {member.losses} times in a row: {why}."
        rest = "it is not started again" if given_up else "it is started anew"
        back = f"; {len(units) - len(aside)} samples go back to the queue" if units else ""
        self.news.append(f"{member.name}{f' ({member.host})' if member.host else ''} is lost: {why}{back}; {rest}.")

    def _refuse(self, member: CrewMember, why: str) -> None:
        """A worker that cannot serve, and would not after another start."""
        self.ledger.give_back(member.forget())
        member.refused = f"{member.name}{f' ({member.host})' if member.host else ''}: {why}"
        self.news.append(f"{member.refused} It takes no part.")

    # -- calls -------------------------------------------------------------------------------------------------------

    def _safely(self, member: CrewMember, method: str, *args: object) -> None:
        try:
            member.call(method, *args)
        except WorkerLost as error:
            self._lose(member, str(error))

    def _ask(self, member: CrewMember) -> None:
        """The next call of a worker that is free: load, check, begin, or an exchange of units."""
        if not self.pair:
            return
        if member.pair != self.pair:
            member.about = self.pair
            self._safely(member, "load", self.setup(self.pair))
        elif self.facts is None:
            member.about = self.pair
            self._safely(member, "check", self._cells)
        elif self._work is not None and member.work != self._work_id:
            member.about, member.hand, member.alone = self._work_id, {}, False
            self._safely(member, "begin", self._work)
        elif self._work is not None:
            units = self._units_for(member)
            if units and not member.hand:
                member.heard = time.monotonic()
            member.hand.update((unit.key, unit) for unit in units)
            if member.hand:
                self._safely(member, "exchange", units, EXCHANGE_S, self.order)

    def _units_for(self, member: CrewMember) -> list[Unit]:
        """What a worker gets next. Near the end everybody gets a share, so that all finish together."""
        if self.order == "drain" or member.leaving or member.alone:
            return []
        if not member.hand and (unit := self.ledger.take_alone()) is not None:
            member.alone, member.cell = True, unit.cell
            return [unit]
        working = [other for other in self.members if other.work == self._work_id]
        share = -(-len(self.ledger) // max(1, 2 * len(working)))
        held = len(member.hand)
        if held > MOST_IN_HAND // 2:
            return []
        others = {other.cell for other in working if other is not member and other.hand and other.cell is not None}
        units = self.ledger.take(min(share, member.room, MOST_IN_HAND - held), member.cell, others)
        if units:
            member.cell = units[0].cell
        return units

    def _heard(self, member: CrewMember, asked: str, reply: Reply) -> WorkReport | None:
        """Take an answer."""
        if reply.error:
            if asked == "check" and reply.refused and member.about == self.pair:
                raise CrewError(reply.error)
            (self._refuse if reply.refused else self._lose)(member, reply.error)
            return None
        value = reply.value
        if asked == "hello" and isinstance(value, Place):
            member.host = value.host
        elif asked == "load" and isinstance(value, EngineFacts):
            member.facts, member.pair, member.run = value, member.about, None
            if self.facts is not None and member.pair == self.pair and (why := disagreement(self.facts, value)):
                self._refuse(member, why)
        elif asked == "check" and member.about == self.pair:
            if self.facts is None:
                self.facts = member.facts
            elif member.facts is not None and (why := disagreement(self.facts, member.facts)):
                self._refuse(member, why)
        elif asked == "begin":
            member.work, member.room = member.about, MOST_IN_HAND
        elif isinstance(value, WorkReport):
            member.room = value.room
            member.made(value.tokens, len(value.outcomes))
            for outcome in value.outcomes:
                member.hand.pop(outcome.unit.key, None)
                member.done += isinstance(outcome, UnitMade)
            member.alone = member.alone and bool(member.hand)
            if member.hand:
                self._watch(member)
            return value
        return None


def disagreement(ours: EngineFacts, other: EngineFacts) -> str:
    """Why a worker with these facts may not make samples of the same cells; "" if it may."""
    if other.fingerprint != ours.fingerprint:
        return "its files of the pair are not those of the other workers."
    if (other.engine, other.version, other.dtype) != (ours.engine, ours.version, ours.dtype):
        found = f"{other.engine} {other.version} in {other.dtype}"
        return f"it runs {found}, the other workers {ours.engine} {ours.version} in {ours.dtype}."
    limit = EXACT_TOLERANCE if ours.dtype.startswith("float32") else HALF_TOLERANCE
    far = max((abs(a - b) for a, b in zip(ours.proof, other.proof)), default=0.0)
    if not far <= limit or len(ours.proof) != len(other.proof):
        return f"its weights do not compute what the other workers' do (log-probs differ by {far:.3g} nats)."
    return ""
