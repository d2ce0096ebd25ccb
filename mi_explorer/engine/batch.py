"""The batch: rows in slots, prefill, decode, sampling, events. Everything here runs in the engine's thread.

Slots are arranged so that a pass covers a contiguous range; a row that leaves is replaced by the last one, whose KV moves. KV is
copied only between lanes of one recipe (k samples of a prompt share one prefill), never across coefficients.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mi_explorer.engine.events import Admitted, Event, Failed, Finished, FinishReason, Token, Verified
from mi_explorer.engine.sampler import Sampler
from mi_explorer.engine.sequence import Lane, Row

Emit = Callable[[Row, Event], None]
ByFold = Callable[[Sequence[int]], list[bool]]
WASTE = 256  # tokens that a pass over prompts may pad, before a second pass is cheaper


class Batch:
    """Rows of one backend. `chunk`: most tokens of one prompt per prefill pass; `budget`: most tokens of a prefill pass.

    `flush` is called after every pass over prompts: first tokens need not wait until the others' prompts are read.
    """

    def __init__(
        self, backend: Any, emit: Emit, flush: Callable[[], None] = lambda: None, chunk: int = 512, budget: int = 4096
    ):
        self.backend, self.emit, self.flush, self.chunk, self.budget = backend, emit, flush, chunk, budget
        self.at: list[Lane | None] = [None] * backend.slots.slots
        self.rows: dict[Row, None] = {}
        self.donors: dict[tuple, Row] = {}
        self.used = self.changes = 0  # slots taken now; rows that came or left so far
        self._pass: _Pass | None = None

    @property
    def free(self) -> int:
        """Free slots."""
        return len(self.at) - self.used

    def admit(self, row: Row) -> None:
        """Give a row its slots. The caller has bound it and checked that `free` is enough."""
        self.changes += 1
        self.rows[row] = None  # first of all: should a slot break, the row is here to be told
        holes = [i for i, lane in enumerate(self.at) if lane is None]
        for lane in row.lanes:
            slot = holes.pop(0)
            self.used += 1
            self._put(lane, slot)

    def release(self, row: Row) -> None:
        """Take a row out; its slots are free at once."""
        self.changes += 1
        for lane in row.lanes:
            if lane.slot >= 0:
                self.at[lane.slot] = None
                lane.slot = -1
                self.used -= 1
        self.rows.pop(row, None)
        if self.donors.get(self._share(row)) is row:
            del self.donors[self._share(row)]
        self._pass = None

    def forget(self) -> None:
        """Make the next pass from scratch (after a step that broke)."""
        self._pass = None

    def _put(self, lane: Lane, slot: int) -> None:
        self.at[slot], lane.slot = lane, slot
        self.backend.place(slot, lane.bound)

    def arrange(self, lanes: Sequence[Lane], first: int) -> list[Lane]:
        """Bring these lanes into slots first…first+n−1 (in any order) and return them in the order of their slots."""
        last = first + len(lanes)
        wanted = set(lanes)
        targets = [i for i in range(first, last) if self.at[i] not in wanted]
        if targets:
            self._pass = None
            for target, lane in zip(targets, [x for x in lanes if not first <= x.slot < last]):
                source, other = lane.slot, self.at[target]
                if other is None:
                    self.backend.slots.copy(source, target, lane.row.length)
                    self.at[source] = None
                else:
                    self.backend.slots.swap(source, target, max(lane.row.length, other.row.length))
                    self._put(other, source)
                self._put(lane, target)
        return self.at[first:last]  # type: ignore[return-value]

    @staticmethod
    def _share(row: Row) -> tuple:
        return row.key, row.request.prompt

    def prefill(
        self, rows: Sequence[Row], mode: str, first: int, by_fold: ByFold = lambda tokens: [False] * len(tokens)
    ) -> None:
        """Read the next tokens of these rows' prompts, in slots from `first`; rows whose prompt is complete get their first token.

        `by_fold`: which recipes, of so many tokens to read each, are to be read by a fold although they decode row-wise.
        """
        for row in rows:
            if row.draft and row.length >= len(row.request.prompt):
                self._verify(row, mode, first)
                return
        for how, readers in self._apart(self._readers(rows), mode, by_fold):
            for bunch in self._alike(readers):
                first += self._read(bunch, how, first, mode)
                self.flush()

    def _readers(self, rows: Sequence[Row]) -> list[Row]:
        """Those that read now, within the budget of tokens.

        A row whose (recipe, prompt) is already in a slot copies that KV and reads its last position only; a row that waits for
        such a donor in this very step sits it out.
        """
        readers: list[Row] = []
        tokens = 0
        for row in rows:
            if row.length == 0 and self.backend.can_fork:
                share = self._share(row)
                donor = self.donors.setdefault(share, row)
                if donor is not row and donor.length < len(row.request.prompt) - 1 and donor not in rows:
                    donor = self.donors[share] = row  # it lost its turn: do not wait for it
                if donor is not row:
                    if donor.length < len(row.request.prompt) - 1:
                        continue
                    row.length = len(row.request.prompt) - 1
                    for mine, theirs in zip(row.lanes, donor.lanes):
                        self.backend.slots.copy(theirs.slot, mine.slot, row.length)
            cost = self._left(row) * len(row.lanes)
            if readers and tokens + cost > self.budget:
                break
            readers.append(row)
            tokens += cost
        return readers

    def _apart(self, rows: list[Row], mode: str, by_fold: ByFold) -> list[tuple[str, list[Row]]]:
        """Who reads in which mode: recipe by recipe folded where that pays, the others together."""
        recipes: dict[str, list[Row]] = {}
        for row in rows if mode == "rowwise" else ():
            if row.foldable:
                recipes.setdefault(row.key, []).append(row)
        folds = by_fold([sum(map(self._left, mine)) for mine in recipes.values()])
        apart = [mine for mine, fold in zip(recipes.values(), folds) if fold]
        gone = {row for mine in apart for row in mine}
        return [*(("folded", mine) for mine in apart), (mode, [row for row in rows if row not in gone])]

    def _left(self, row: Row) -> int:
        """Tokens of the prompt that a row reads in its next pass."""
        return min(self.chunk, len(row.request.prompt) - row.length)

    def _alike(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Bunches of rows with about as much to read: a pass is as long as its longest row, and what it pads is computed for nothing."""
        bunches: list[list[Row]] = []
        for row in sorted(rows, key=self._left):
            if bunches and len(bunches[-1]) * (self._left(row) - self._left(bunches[-1][0])) <= WASTE:
                bunches[-1].append(row)
            else:
                bunches.append([row])
        return bunches

    def _read(self, rows: Sequence[Row], mode: str, first: int, later: str) -> int:
        """One pass over the next tokens of these rows' prompts, in slots from `first`; how many slots that took. `later`: how they decode."""
        lanes = self.arrange([lane for row in rows for lane in row.lanes], first)
        left = [self._left(lane.row) for lane in lanes]
        c = max(left)
        ids = torch.tensor(
            [_padded(x.row.request.prompt, x.row.length, n, c) for x, n in zip(lanes, left)], device=self.backend.device
        )
        starts = torch.tensor([[lane.row.length] for lane in lanes], device=self.backend.device)
        positions = (starts + torch.arange(c, device=self.backend.device)).clamp_(max=self.backend.context - 1)
        width = min(max(lane.row.length for lane in lanes) + c, self.backend.context)
        logits = self.backend.run(lanes[0].bound, mode, first, ids, positions, width, [n - 1 for n in left])
        for row in rows:
            row.length += left[row.lanes[0].slot - first]
            row.mode = row.mode or later
        done = [row for row in rows if row.length >= len(row.request.prompt)]
        if done:
            for row in done:
                self.emit(row, Admitted(row.request.id, row.mode))
            run = _Pass(lanes, self.backend, keep=set(done))
            self._emit(run, *run.sample(logits))
            for row in done:
                if row.draft and row.tokens[:1] != list(row.draft[:1]):
                    self._settle(row)
        return len(lanes)

    def _verify(self, row: Row, mode: str, first: int) -> None:
        """One pass over the next tokens of a draft, of which the row's tokens are a prefix: keep what the recipe would draw too.

        The noise of a token depends on (seed, t) alone, so this holds for sampled traces as for greedy ones.
        """
        known = len(row.tokens)
        feed = row.draft[known - 1 : known - 1 + self.chunk][: self.backend.context - row.length]
        self.arrange(row.lanes, first)
        device = self.backend.device
        positions = torch.arange(row.length, row.length + len(feed), device=device)[None]
        ids = torch.tensor([feed], device=device)
        logits = self.backend.run(row.lanes[0].bound, mode, first, ids, positions, row.length + len(feed), ())[0]
        sampler = Sampler([row.request.decoding] * len(feed), (), self.backend.vocab, device)
        drawn, logprobs = sampler(logits, np.arange(known, known + len(feed)))
        for token, logprob in zip(drawn.tolist(), logprobs.tolist()):
            row.length += 1
            if not self._one(row, token, logprob):
                return
            if len(row.tokens) > len(row.draft) or row.draft[len(row.tokens) - 1] != token:
                break
        else:
            return
        self._settle(row)

    def _settle(self, row: Row) -> None:
        """The draft has served: say how far it held."""
        if row.draft:
            pairs = zip(row.tokens, row.draft)
            kept = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(row.tokens), len(row.draft)))
            row.draft = ()
            self.emit(row, Verified(row.request.id, kept))

    def decode(self, rows: Sequence[Row], mode: str) -> None:
        """One token for each of these rows (all ready), in slots from 0."""
        run = self._pass
        if run is None or run.wanted is not rows:
            lanes = self.arrange([lane for row in rows for lane in row.lanes], 0)
            run = self._pass = _Pass(lanes, self.backend)
            run.wanted = rows
        if run.width + 1 > self.backend.slots.length:
            self.backend.slots.reserve(run.width + 1)
        run.width += 1
        logits = self.backend.run(run.lanes[0].bound, mode, 0, run.ids, run.positions, run.width)
        ids, logprobs = run.sample(logits)
        run.advance(ids)
        for row in run.rows:
            row.length += 1
        self._emit(run, ids, logprobs)

    def _emit(self, run: "_Pass", ids: torch.Tensor, logprobs: torch.Tensor) -> None:
        for row, token, logprob in zip(run.rows, ids.tolist(), logprobs.tolist()):
            self._one(row, token, logprob)

    def _one(self, row: Row, token: int, logprob: float) -> bool:
        """Hand out one token; False if the row ended with it."""
        if logprob != logprob:
            self.fail(row, "The blend gave no finite numbers for this row; its λ or its weights are out of range.")
            return False
        if token in row.stops:
            self._settle(row)
            self.finish(row, "stop")
            return False
        request, count = row.request, len(row.tokens)
        row.tokens.append(token)
        row.last = token
        self.emit(row, Token(request.id, count, token, logprob))
        if count + 1 >= request.decoding.cap or row.length >= self.backend.context:
            self._settle(row)
            self.finish(row, "cap" if count + 1 >= request.decoding.cap else "context")
            return False
        return True

    def finish(self, row: Row, reason: FinishReason) -> None:
        """End a row and free its slots."""
        self.release(row)
        self.emit(row, Finished(row.request.id, reason, len(row.tokens)))

    def fail(self, row: Row, message: str) -> None:
        """End a row with a message; its companions go on."""
        self.release(row)
        self.emit(row, Failed(row.request.id, message))


def _padded(prompt: Sequence[int], start: int, n: int, c: int) -> list[int]:
    return [*prompt[start : start + n], *[0] * (c - n)]


class _Pass:
    """The tensors of a decode pass over fixed lanes: next ids and positions [lanes, 1], the rows that are sampled, their noise."""

    def __init__(self, lanes: list[Lane], backend: Any, keep: set[Row] | None = None):
        self.lanes = lanes
        self.wanted: Sequence[Row] | None = None
        rows = list(dict.fromkeys(lane.row for lane in lanes if keep is None or lane.row in keep))
        self.rows = rows
        device = backend.device
        self.owner = self.pick = None
        if len(rows) < len(lanes):
            place = {row: i for i, row in enumerate(rows)}
            kept = [i for i, lane in enumerate(lanes) if lane.row in place]
            self.pick = torch.tensor(kept, device=device)
            self.owner = torch.tensor([place[lanes[i].row] for i in kept], device=device)
            self.weights = torch.tensor([[lanes[i].weight] for i in kept], device=device)
        self.ids = torch.tensor([[lane.row.last] for lane in lanes], device=device)
        self.positions = torch.tensor([[lane.row.length] for lane in lanes], device=device)
        self.width = max(lane.row.length for lane in lanes)
        self.steps = np.array([len(row.tokens) for row in rows])
        histories = (
            [(*row.request.prompt, *row.tokens) for row in rows]
            if any(r.request.decoding.repetition_penalty != 1 for r in rows)
            else ()
        )
        self.sampler = Sampler([row.request.decoding for row in rows], histories, backend.vocab, device)

    def sample(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and log-probabilities, one per row."""
        if self.owner is not None:
            parts = logits[self.pick] * self.weights
            logits = torch.zeros(len(self.rows), logits.shape[1], device=logits.device).index_add_(0, self.owner, parts)
        return self.sampler(logits, self.steps)

    def advance(self, ids: torch.Tensor) -> None:
        """Feed the drawn ids to the next pass."""
        self.ids = (ids if self.owner is None else ids[self.owner])[:, None]
        self.positions += 1
        self.steps += 1
