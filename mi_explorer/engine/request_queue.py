"""The queue: sequences that wait for a slot, by priority, user (stream) and recipe, so that counts and the fair next one are cheap."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from mi_explorer.engine.events import INTERACTIVE
from mi_explorer.engine.policy import RecipeGroup
from mi_explorer.engine.sequence import Sequence
from mi_explorer.engine.stream import EventStream

SAMPLED_PROMPTS = 8  # waiting sequences that are looked at to tell how long prompts are


@dataclass
class Shares:
    """The slots of one priority, shared equally: `free` ones, `share` slots for each user, `busy` slots that each has already.

    A user who has none gets one sequence in any case.
    """

    free: int
    share: int
    busy: dict[EventStream, int]

    def sequences(self, user: EventStream, slots: int) -> int:
        """How many sequences of so many slots the user may still bring in."""
        return max(0, min(self.free, max(self.share, slots) - self.busy.get(user, 0)) // slots)

    def take(self, user: EventStream, slots: int) -> None:
        """Note a sequence that came in."""
        self.free -= slots
        self.busy[user] = self.busy.get(user, 0) + slots


class RequestQueue:
    """Waiting sequences. `pop` is fair between users: the one with the fewest at work goes first."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[EventStream, dict[str, deque[Sequence]]]] = {}  # priority → user → recipe
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        recipes = self._waiting.setdefault(sequence.priority, {}).setdefault(sequence.stream, {})
        recipes.setdefault(sequence.key, deque()).append(sequence)
        self._size += 1

    def put_back(self, sequence: Sequence) -> None:
        """Queue a sequence that came out of `pop` before, in front of its recipe's others."""
        recipes = self._waiting.setdefault(sequence.priority, {}).setdefault(sequence.stream, {})
        recipes.setdefault(sequence.key, deque()).appendleft(sequence)
        self._size += 1

    def users(self, priority: int) -> list[EventStream]:
        """Who waits at this priority."""
        return list(self._waiting.get(priority, ()))

    def count(self, groups: dict[str, RecipeGroup], priority: int, shares: Shares) -> None:
        """Add those who wait at a priority to the groups of their recipes (made where missing), and how many of them are welcome."""
        for user, recipes in self._waiting.get(priority, {}).items():
            for key, waiting in recipes.items():
                group = groups.get(key) or groups.setdefault(key, empty_group(waiting[0]))
                group.waiting += len(waiting)
                group.welcome += min(len(waiting), shares.sequences(user, len(waiting[0].slots)))
                group.prompt = _tokens_to_read(waiting)

    def order(self, priority: int, busy: dict[EventStream, int]) -> list[tuple[EventStream, int, int]]:
        """Who waits, next in turn first: (user, its waiting sequences, sequences of others that go before its next one).

        By the rule of `pop` alone; which recipes the next steps run may let somebody pass. `busy`: sequences at work of each user.
        """
        waiting = [
            (busy.get(user, 0), sorted(sequence.order for queue in recipes.values() for sequence in queue), user)
            for user, recipes in self._waiting.get(priority, {}).items()
        ]
        waiting.sort(key=lambda x: (x[0], x[1][0]))

        def before(at: int, first: int, other_at: int, orders: list[int]) -> int:
            """Sequences that another user, with `other_at` at work, gets until it has `at` too; one more if that came first."""
            if other_at > at:
                return 0
            level = min(len(orders), at - other_at)
            return level + (level < len(orders) and orders[level] < first)

        return [
            (user, len(mine), sum(before(at, mine[0], b, orders) for b, orders, other in waiting if other is not user))
            for at, mine, user in waiting
        ]

    def pop(self, priority: int, wanted: Callable[[Sequence], bool], busy: dict[EventStream, int]) -> Sequence | None:
        """The next sequence that is `wanted` (asked of the first of each recipe); `busy` counts what each user has at work.

        Within a user: first come first served for people, the highest λ first for bulk (long traces first).
        """

        def rank(sequence: Sequence) -> tuple[int, float, int]:
            lam = 0.0 if priority == INTERACTIVE else -sequence.request.recipe.lam
            return busy.get(sequence.stream, 0), lam, sequence.order

        heads = (queue[0] for recipes in self._waiting.get(priority, {}).values() for queue in recipes.values())
        best = min((head for head in heads if wanted(head)), key=rank, default=None)
        if best is not None:
            self._waiting[priority][best.stream][best.key].popleft()
            self._size -= 1
            self._drop_empty(priority, best.stream, best.key)
        return best

    def remove(self, user: EventStream, wanted: Callable[[Sequence], bool]) -> list[Sequence]:
        """Take out the sequences of a user that are `wanted` (cancelled), in the order of their arrival."""
        gone: list[Sequence] = []
        for priority, users in list(self._waiting.items()):
            recipes = users.get(user, {})
            for key, queue in list(recipes.items()):
                gone += filter(wanted, queue)
                recipes[key] = deque(sequence for sequence in queue if not wanted(sequence))
                self._drop_empty(priority, user, key)
        self._size -= len(gone)
        return sorted(gone, key=lambda sequence: sequence.order)

    def clear(self) -> list[Sequence]:
        """Take out everything."""
        gone = list(self._all())
        self._waiting.clear()
        self._size = 0
        return gone

    def _all(self) -> Iterator[Sequence]:
        for users in self._waiting.values():
            for recipes in users.values():
                for queue in recipes.values():
                    yield from queue

    def _drop_empty(self, priority: int, user: EventStream, key: str) -> None:
        users = self._waiting[priority]
        if not users[user][key]:
            del users[user][key]
            if not users[user]:
                del users[user]


def empty_group(sequence: Sequence) -> RecipeGroup:
    """The group of a sequence's recipe, with nobody in it yet."""
    lam = sequence.request.recipe.lam
    return RecipeGroup(sequence.key, sequence.rowwise_key, sequence.foldable, len(sequence.slots), lam=lam, welcome=0)


def _tokens_to_read(waiting: deque[Sequence]) -> float:
    """Tokens that each of the next sequences reads; those of one question share its prompt (and the tuple that holds it) and what
    they begin with."""
    longest: dict[int, int] = {}
    next_ones = list(islice(waiting, SAMPLED_PROMPTS))
    for sequence in next_ones:
        prompt = id(sequence.request.prompt)
        longest[prompt] = max(longest.get(prompt, 0), sequence.to_read)
    return sum(longest.values()) / len(next_ones)
