"""The queue: rows that wait for a slot, by priority, user (stream) and recipe, so that counts and the fair next row are cheap."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from mi_explorer.engine.events import INTERACTIVE
from mi_explorer.engine.policy import Group
from mi_explorer.engine.sequence import Row

AHEAD = 8  # waiting rows that are looked at to tell how long prompts are


@dataclass
class Shares:
    """The slots of one priority, shared equally: `free` ones, `share` lanes for each user, `busy` lanes that each has already.

    A user who has none gets one row in any case.
    """

    free: int
    share: int
    busy: dict[object, int]

    def rows(self, user: object, lanes: int) -> int:
        """How many rows of so many lanes the user may still bring in."""
        return max(0, min(self.free, max(self.share, lanes) - self.busy.get(user, 0)) // lanes)

    def take(self, user: object, lanes: int) -> None:
        """Note a row that came in."""
        self.free -= lanes
        self.busy[user] = self.busy.get(user, 0) + lanes


def _to_read(waiting: deque[Row]) -> float:
    """Tokens of prompts for each of the next rows; samples of one question share its prompt (and the tuple that holds it)."""
    prompts = [row.request.prompt for row in islice(waiting, AHEAD)]
    return sum(map(len, {id(prompt): prompt for prompt in prompts}.values())) / len(prompts)


class Queue:
    """Waiting rows. `pop` is fair between streams: the one with the fewest rows at work goes first."""

    def __init__(self) -> None:
        self._streams: dict[int, dict[object, dict[str, deque[Row]]]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, row: Row) -> None:
        """Queue a row."""
        groups = self._streams.setdefault(row.priority, {}).setdefault(row.stream, {})
        groups.setdefault(row.key, deque()).append(row)
        self._size += 1

    def streams(self, priority: int) -> list[object]:
        """The users who wait at this priority."""
        return list(self._streams.get(priority, ()))

    def count(self, groups: dict[str, Group], priority: int, shares: Shares) -> None:
        """Add the waiting rows of a priority to the groups of their recipes (made where missing), and how many of them are welcome."""
        for user, recipes in self._streams.get(priority, {}).items():
            for key, waiting in recipes.items():
                row = waiting[0]
                lanes = len(row.lanes)
                if key not in groups:
                    groups[key] = Group(key, row.plane, row.foldable, lanes, 0, 0, row.request.recipe.lam, 0)
                groups[key].waiting += len(waiting)
                groups[key].welcome += min(len(waiting), shares.rows(user, lanes))
                groups[key].prompt = _to_read(waiting)

    def order(self, priority: int, busy: dict[object, int]) -> list[tuple[object, int, int]]:
        """Who waits, next in turn first: (stream, its waiting rows, rows of others that go before its next one).

        By the rule of `pop` alone; which recipes the next steps run may let somebody pass.
        """
        waiting = [
            (busy.get(stream, 0), sorted(row.order for rows in groups.values() for row in rows), stream)
            for stream, groups in self._streams.get(priority, {}).items()
        ]

        def before(at: int, first: int, b: int, orders: list[int]) -> int:
            """Rows that another stream, with `b` at work, gets until it has `at` too; and one more if that came first."""
            if b > at:
                return 0
            level = min(len(orders), at - b)
            return level + (level < len(orders) and orders[level] < first)

        waiting.sort(key=lambda x: (x[0], x[1][0]))
        return [
            (
                stream,
                len(mine),
                sum(before(at, mine[0], b, orders) for b, orders, other in waiting if other is not stream),
            )
            for at, mine, stream in waiting
        ]

    def pop(self, priority: int, wanted: Callable[[Row], bool], busy: dict[object, int]) -> Row | None:
        """The next row whose recipe is `wanted`; `busy` counts the rows at work of each stream.

        Within a stream: first come first served for people, the highest λ first for bulk (long traces first).
        """
        best: tuple[tuple, object, str] | None = None
        for stream, groups in self._streams.get(priority, {}).items():
            for key, waiting in groups.items():
                row = waiting[0]
                if wanted(row):
                    prior = (0.0 if priority == INTERACTIVE else -row.request.recipe.lam, row.order)
                    rank = (busy.get(stream, 0), *prior)
                    if best is None or rank < best[0]:
                        best = (rank, stream, key)
        if best is None:
            return None
        _, stream, key = best
        groups = self._streams[priority][stream]
        row = groups[key].popleft()
        self._size -= 1
        if not groups[key]:
            del groups[key]
            if not groups:
                del self._streams[priority][stream]
        return row

    def remove(self, stream: object, wanted: Callable[[Row], bool]) -> list[Row]:
        """Take out the rows of a stream that are `wanted` (cancelled), in their order."""
        gone: list[Row] = []
        for streams in list(self._streams.values()):
            groups = streams.get(stream, {})
            for key in list(groups):
                gone += [row for row in groups[key] if wanted(row)]
                groups[key] = deque(row for row in groups[key] if not wanted(row))
                if not groups[key]:
                    del groups[key]
            if stream in streams and not groups:
                del streams[stream]
        self._size -= len(gone)
        return sorted(gone, key=lambda r: r.order)

    def clear(self) -> list[Row]:
        """Take out everything."""
        gone = [
            row
            for streams in self._streams.values()
            for groups in streams.values()
            for rows in groups.values()
            for row in rows
        ]
        self._streams.clear()
        self._size = 0
        return gone
