"""Requests for a model that holds one blend at a time: those of one blend run together, then the next blend is folded.

A `RequestEngine` without a thread: the model steps while somebody waits for events. What happens within a response (a thought budget,
another λ for the answer) ends its row in the model; the response goes on as a new row that reads everything so far.
"""

import hashlib
import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mi_explorer.engine.events import Admitted, Changed, Event, Failed, Finished, FinishReason, Request, Token
from mi_explorer.engine.interventions import request_refusal
from mi_explorer.engine.thoughts import ThoughtState
from mi_explorer.recipe import Decoding, Recipe


@dataclass(frozen=True)
class Drawn:
    """What a step made for a row: tokens with their log-probs (nats, raw distribution), and whether the row has ended."""

    row: str
    tokens: tuple[tuple[int, float], ...]
    ended: bool


class BlendedModel(Protocol):
    """A model whose weights are one blend. Rows end at a stop id (which is among what was drawn), after `most` tokens, or where the
    model's `context` positions are full."""

    context: int
    vocab: int

    def fold(self, recipe: Recipe) -> None:
        """Hold this blend from now on. No row is open. Raises a `UserError` where it cannot, or where its weights are not proven."""
        ...

    def add(self, row: str, ids: Sequence[int], decoding: Decoding, most: int, stop_ids: Sequence[int]) -> None:
        """Open a row that reads these ids and goes on; its noise depends on the decoding's seed."""
        ...

    def abort(self, rows: Sequence[str]) -> None:
        """Close rows."""
        ...

    def step(self) -> Sequence[Drawn]:
        """One step of all rows that there is room for."""
        ...

    def close(self) -> None:
        """Release the model."""
        ...


class FoldedStream:
    """The events of what one caller submitted. Waiting for one steps the model."""

    def __init__(self, engine: "FoldedRequests") -> None:
        self._engine = engine
        self.events: deque[Event] = deque()

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None where nothing is left to do, or none came within `timeout` seconds (a step is not cut short)."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.events and self._engine.busy:
            self._engine.step()
            if end is not None and time.monotonic() >= end:
                break
        return self.events.popleft() if self.events else None

    def drain(self, within: float = 0.0) -> list[Event]:
        """Every event that is here."""
        found = list(self.events)
        self.events.clear()
        return found

    def cancel(self, ids: Sequence[str] | None = None) -> None:
        """End some requests, or all."""
        self._engine.cancel(self, None if ids is None else frozenset(ids))


class FoldedRow:
    """A response on its way."""

    def __init__(self, request: Request, stream: FoldedStream) -> None:
        self.request, self.stream = request, stream
        self.recipe = request.recipe.for_thought
        self.answer = request.recipe.for_answer if request.recipe.answer_lam is not None else None
        self.thought = None if request.thought is None else ThoughtState(request.thought)
        self.stop_ids = frozenset(request.stop_ids)
        self.tokens = list(request.given)
        self.parts = 0  # rows in the model before this one
        self.admitted = False

    @property
    def weights(self) -> Recipe:
        """Rows of equal weights run together."""
        return replace(self.recipe, template="own")

    @property
    def decoding(self) -> Decoding:
        """How its next row draws: a row that goes on must not draw the noise of the row before again."""
        decoding = self.request.decoding
        if not self.parts:
            return decoding
        noise = hashlib.sha256(f"{decoding.seed}\0part\0{self.parts}".encode()).digest()
        return decoding.with_seed(int.from_bytes(noise[:6], "big"))

    def wants_change(self) -> bool:
        """Whether its thought is over by its budget, or the answer is another blend's."""
        if self.thought is None or (self.request.decoding.think_budget is None and self.answer is None):
            return False
        self.thought.follow(self.tokens)
        if self.answer == self.recipe:
            self.answer = None
        return self._over_budget(self.thought) or (self.answer is not None and self.thought.closed)

    def _over_budget(self, thought: ThoughtState) -> bool:
        budget = self.request.decoding.think_budget
        return budget is not None and thought.is_open and len(self.tokens) >= budget

    def change(self, room: int) -> list[Event]:
        """Close the thought, or hand over to the answer's blend; `room`: tokens that the response may have."""
        thought, at, name = self.thought, len(self.tokens), self.request.id
        assert thought is not None
        if self._over_budget(thought):
            put = thought.tags.closing(self.tokens)[: room - at]
            self.tokens += put
            thought.close(self.tokens)
            return [Changed(name, at, "budget", None, put)]
        assert self.answer is not None
        self.recipe, self.answer = self.answer, None
        return [Changed(name, at, "answer", self.recipe)]


class FoldedRequests:
    """A `RequestEngine` over `model`. One thread at a time."""

    def __init__(self, model: BlendedModel) -> None:
        self.model = model
        self._waiting: dict[Recipe, deque[FoldedRow]] = {}  # by weights, in the order in which they are folded
        self._running: dict[str, FoldedRow] = {}
        self._held: Recipe | None = None
        self._names = map(str, itertools.count())

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self._running or self._waiting)

    def submit(self, requests: Sequence[Request], stream: FoldedStream | None = None) -> FoldedStream:
        """Queue requests; their events come in `stream`, or in a new one."""
        stream = stream or FoldedStream(self)
        for request in requests:
            refusal = request_refusal(request, self.model.vocab, self.model.context)
            if request.schedule:
                refusal = "A response whose λ is changed on a schedule runs with our own engine."
            if refusal:
                stream.events.append(Failed(request.id, refusal))
            else:
                self._queue(FoldedRow(request, stream))
        return stream

    def _queue(self, row: FoldedRow) -> None:
        self._waiting.setdefault(row.weights, deque()).append(row)

    def step(self) -> None:
        """Fold the next blend if nothing runs, open what waits for the blend that is held, and make a step."""
        if not self._running and self._waiting and self._held not in self._waiting:
            wanted, self._held = next(iter(self._waiting)), None
            self.model.fold(wanted)
            self._held = wanted
        for row in self._waiting.pop(self._held, ()) if self._held is not None else ():
            self._open(row)
        for drawn in self.model.step():
            if drawn.row in self._running:  # a row that was closed may still have its last word
                self._take(drawn)

    def _open(self, row: FoldedRow) -> None:
        name, request = next(self._names), row.request
        self._running[name] = row
        ids = (*request.prompt, *row.tokens)
        self.model.add(name, ids, row.decoding, request.decoding.cap - len(row.tokens), request.stop_ids)

    def _take(self, drawn: Drawn) -> None:
        row = self._running[drawn.row]
        name, cap, events = row.request.id, row.request.decoding.cap, row.stream.events
        if drawn.tokens and not row.admitted:
            row.admitted = True
            events.append(Admitted(name, "folded"))
        for token, logprob in drawn.tokens:
            if token in row.stop_ids:
                return self._end(drawn, "stop")
            events.append(Token(name, len(row.tokens), token, logprob))
            row.tokens.append(token)
            if len(row.tokens) >= cap:
                return self._end(drawn, "cap")
            if row.wants_change():
                return self._change(drawn)
        if drawn.ended:
            self._end(drawn, "context")
        return None

    def _end(self, drawn: Drawn, reason: FinishReason) -> None:
        row = self._leave(drawn.row, drawn.ended)
        row.stream.events.append(Finished(row.request.id, reason, len(row.tokens)))

    def _leave(self, name: str, ended: bool) -> FoldedRow:
        if not ended:
            self.model.abort([name])
        return self._running.pop(name)

    def _change(self, drawn: Drawn) -> None:
        """What its thought asks for; then the response waits for its turn as a new row."""
        row = self._leave(drawn.row, drawn.ended)
        request, events = row.request, row.stream.events
        room = min(request.decoding.cap, self.model.context - len(request.prompt))
        while len(row.tokens) < room and row.wants_change():
            events += row.change(room)
        if len(row.tokens) >= room:
            reason: FinishReason = "cap" if len(row.tokens) >= request.decoding.cap else "context"
            events.append(Finished(request.id, reason, len(row.tokens)))
            return
        row.parts += 1
        self._queue(row)

    def cancel(self, stream: FoldedStream, ids: frozenset[str] | None) -> None:
        """End a stream's requests of these ids (None: all)."""

        def mine(row: FoldedRow) -> bool:
            return row.stream is stream and (ids is None or row.request.id in ids)

        gone = [self._leave(name, ended=False) for name, row in list(self._running.items()) if mine(row)]
        for weights, rows in list(self._waiting.items()):
            gone += filter(mine, rows)
            self._waiting[weights] = deque(row for row in rows if not mine(row))
            if not self._waiting[weights]:
                del self._waiting[weights]
        stream.events += [Finished(row.request.id, "cancelled", len(row.tokens)) for row in gone]

    def close(self) -> None:
        """Release the model."""
        self._waiting, self._running = {}, {}
        self.model.close()
