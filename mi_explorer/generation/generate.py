"""Asks in, snapshots out: prompts at recipes become traces that grow while you watch.

`Asker` turns text into engine requests and token events into `Trace`s. It knows no store and no page; the workbench gives
it to people, the runner to sweeps. Snapshots are coalesced: one tuple per tick with only what changed since the last.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from mi_explorer.engine.events import INTERACTIVE, Admitted, Event, Failed, Finished, Request, Token, Verified
from mi_explorer.engine.stream import QueuePosition
from mi_explorer.errors import UserError
from mi_explorer.generation.traces import ThinkTags, Trace, TraceFold
from mi_explorer.prompts import Prompt, Prompts
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.tasks.verify import verify

State = Literal["queued", "running", "done", "cancelled", "failed"]
Verdict = Literal["correct", "wrong", "no_answer"]
LIVE = ("queued", "running")
NAP = 0.02  # seconds in which events gather, once first tokens are shown
STOP = 0.05  # seconds after which a stop is felt at the latest
SOON = 0.25  # of a tick, which first tokens of further rows wait for each other


class AskError(UserError):
    """An ask that cannot be run: two of one id, another pair's recipe, a scope that the pair does not have."""


class Stream(Protocol):
    """What `engine.submit` returns: the events of one user's requests, in order per request."""

    def get(self, timeout: float | None = None) -> Event | None: ...
    def drain(self, within: float = 0.0) -> list[Event]: ...
    def cancel(self, ids: Sequence[str] | None = None) -> None: ...


class Submits(Protocol):
    """The part of the engine that is needed here."""

    def submit(self, requests: Sequence[Request], stream: Any = None) -> Stream: ...


@dataclass(frozen=True)
class Ask:
    """One prompt under one recipe; `id` is unique within a call. `gold` (optional) turns the verdict on.

    `draft` may hold the token ids of an old trace of the same prompt, decoding and seed under another recipe, and `draft_prompt` the
    prompt's ids then: what of it still holds is verified in one pass instead of decoded. It changes the time, not the trace.
    """

    id: str
    prompt: str
    recipe: Recipe
    decoding: Decoding = field(default_factory=Decoding)
    gold: str | None = None
    kind: str = "auto"
    draft: tuple[int, ...] = ()
    draft_prompt: tuple[int, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """Where one ask stands: state, the trace so far, the verdict once it has ended. `seconds` count from its first step.

    `waits` says of a queued one where its run stands in the queue, when it has to wait for a slot. `kept` says how many tokens of
    the ask's draft this recipe writes too (None: no draft was verified).
    """

    id: str
    recipe: Recipe
    decoding: Decoding
    state: State
    trace: Trace
    verdict: Verdict | None = None
    tokens_per_second: float = 0.0
    message: str = ""
    mode: str = ""
    seconds: float = 0.0
    prompt_ids: tuple[int, ...] = ()
    waits: QueuePosition | None = None
    kept: int | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids of the response so far."""
        return self.trace.ids

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self.state in LIVE


def judge(
    trace: Trace, gold: str | None, kind: str, check: Callable[[str, str | None, str], bool] = verify
) -> Verdict | None:
    """The verdict on a finished trace; None without a gold answer. A response that was cut off has no answer."""
    if gold is None:
        return None
    if trace.answer is None or trace.truncated:
        return "no_answer"
    return "correct" if check(gold, trace.answer, kind) else "wrong"


class Row:
    """One running ask: its fold, its ids, its clock. Tokens are folded when somebody looks, all that came since the last look at once."""

    def __init__(self, ask: Ask, prompt: Prompt, fold: TraceFold) -> None:
        self.ask, self.prompt, self._fold = ask, prompt, fold
        self._tokens: list[int] = []  # not folded yet
        self._logprobs: list[float] = []
        self.state: State = "queued"
        self.tokens = 0
        self.started = self.ended = 0.0
        self.mode = self.message = ""
        self.reason = ""
        self.kept: int | None = None
        self.verdict: Verdict | None = None
        self.verifying: Future[Verdict | None] | None = None

    def add(self, token: int, logprob: float) -> None:
        """The next token."""
        self.tokens += 1
        self._tokens.append(token)
        self._logprobs.append(logprob)

    @property
    def fold(self) -> TraceFold:
        """The fold of all tokens so far."""
        if self._tokens:
            self._fold.extend(self._tokens, self._logprobs)
            self._tokens, self._logprobs = [], []
        return self._fold

    def snapshot(self, now: float, waits: QueuePosition | None = None) -> Snapshot:
        seconds = max((self.ended or now) - self.started, 0.0) if self.started else 0.0
        return Snapshot(
            self.ask.id,
            self.ask.recipe,
            self.ask.decoding,
            self.state,
            self.fold.trace(),
            self.verdict,
            self.tokens / seconds if seconds > 0 else 0.0,
            self.message,
            self.mode,
            seconds,
            self.prompt.ids,
            waits if self.state == "queued" else None,
            self.kept,
        )


class Asker:
    """Asks of one pair, answered by one engine. Thread-safe: every `stream` call has its own rows."""

    def __init__(
        self,
        engine: Submits,
        prompts: Prompts,
        tags: ThinkTags,
        *,
        pair: str,
        layers: int | None = None,
        check_recipe: Callable[[Recipe], None] | None = None,
    ) -> None:
        self.engine, self.prompts, self.tags, self.pair, self.layers = engine, prompts, tags, pair, layers
        self.check_recipe = check_recipe
        self._judges = ThreadPoolExecutor(
            2, thread_name_prefix="verify"
        )  # a slow check must not hold up the other panes

    def close(self) -> None:
        self._judges.shutdown(wait=False, cancel_futures=True)

    def check(self, recipe: Recipe) -> None:
        """Raise a `UserError` for a recipe that this pair cannot run, before anything runs."""
        if recipe.pair != self.pair:
            raise AskError(f"This recipe is for the pair {recipe.pair!r}, but {self.pair!r} is loaded.")
        if self.layers is not None:
            recipe.scope.check(self.layers)
        if self.check_recipe is not None:
            self.check_recipe(recipe)

    def stream(
        self,
        asks: Sequence[Ask],
        *,
        priority: int = INTERACTIVE,
        stop: threading.Event | None = None,
        hz: float = 12,
        beat: float | None = None,
    ) -> Iterator[tuple[Snapshot, ...]]:
        """Run all asks together; yields the snapshots that changed, `hz` times a second (first tokens sooner), until all have ended.

        The first tuple has all of them. With `beat`, an empty tuple comes after that many seconds in which nothing changed. Raises a
        `UserError` at once, before anything runs, if one of the asks cannot be run. `stop` (or closing the iterator) cancels what is
        left; partial text stays in the last snapshots.
        """
        asks = tuple(asks)
        if len({ask.id for ask in asks}) < len(asks):
            raise AskError("Two asks of one call have the same id.")
        rows = {ask.id: self._row(ask) for ask in asks}
        requests = [self.request(ask, rows[ask.id].prompt, priority) for ask in asks]
        return self._run(rows, requests, stop, 1.0 / hz, beat)

    def _row(self, ask: Ask) -> Row:
        self.check(ask.recipe)
        return self.row(ask, self.prompts.render(ask.prompt, ask.recipe))

    def request(self, ask: Ask, prompt: Prompt, priority: int) -> Request:
        """The engine's request for an ask."""
        draft = (
            ask.draft if ask.draft_prompt == prompt.ids else ()
        )  # another template, another prompt: its tokens say nothing here
        return Request(ask.id, prompt.ids, ask.recipe, ask.decoding, self.prompts.stop_ids, priority, draft)

    def row(self, ask: Ask, prompt: Prompt) -> Row:
        """A row that waits for its first event."""
        codec = self.prompts.codec_for(prompt.parent)
        return Row(ask, prompt, TraceFold(self.tags_for(prompt), codec.decode, ask.gold, ask.kind))

    def tags_for(self, prompt: Prompt) -> ThinkTags:
        """The think tags of a response: with the ids that they have in the tokenizer of its prompt, where it has them."""
        opening, closing = (self.prompts.tag_id(tag, prompt.parent) for tag in (self.tags.open, self.tags.close))
        return replace(self.tags, prefilled=prompt.opened, open_id=opening, close_id=closing)

    def _run(
        self,
        rows: dict[str, Row],
        requests: list[Request],
        stop: threading.Event | None,
        tick: float,
        beat: float | None = None,
    ) -> Iterator[tuple[Snapshot, ...]]:
        if not requests:
            return
        stream = self.engine.submit(requests)
        waiting, changed, stopped = set(rows), dict.fromkeys(rows), False
        began = False
        first = (
            False  # whether somebody's first token came: people wait for it, so it is shown sooner than the next tick
        )
        yielded = spoke = time.monotonic()
        soon = 0.0  # when the next first tokens may be shown: the very first at once
        waits = None
        try:
            while waiting:
                if stop is not None and stop.is_set() and not stopped:
                    stream.cancel()
                    stopped = True
                for event in self.events(stream, yielded + tick - time.monotonic(), NAP if began else 0.0):
                    row = rows.get(event.id)
                    if row is not None and row.state in LIVE:
                        first |= isinstance(event, Token) and not row.tokens
                        began |= first
                        self.take(row, event)
                        changed[event.id] = None
                checks = [rows[name].verifying for name in waiting if rows[name].ended]
                if len(checks) == len(waiting):  # nothing comes any more but verdicts
                    wait([check for check in checks if check is not None], min(tick, STOP), FIRST_COMPLETED)
                for name in [n for n in waiting if self.settled(rows[n])]:
                    waiting.discard(name)
                    changed[name] = None
                now = time.monotonic()
                stands = getattr(stream, "waits", None)
                if stands != waits:
                    waits = stands
                    changed |= {name: None for name in waiting if rows[name].state == "queued"}
                if changed and (now >= yielded + tick or (first and now >= soon) or not waiting):
                    out = tuple(rows[name].snapshot(now, waits) for name in changed)
                    changed.clear()
                    first, yielded, spoke, soon = False, now, now, now + tick * SOON
                    yield out
                elif beat is not None and now >= spoke + beat:
                    yielded = spoke = now
                    yield ()
                elif now >= yielded + tick:
                    yielded = now
        finally:
            if waiting:
                stream.cancel()

    @staticmethod
    def events(stream: Stream, timeout: float, more: float = 0.0) -> list[Event]:
        """What came within `timeout` seconds (bounded so that a stop is felt at once), and in the `more` seconds after the first of it.

        A reader that wakes at every step of the engine takes the interpreter from the engine's thread each time.
        """
        first = stream.get(timeout=min(max(timeout, 0.005), STOP))
        return [] if first is None else [first, *stream.drain(more)]

    def take(self, row: Row, event: Event) -> None:
        """Fold one event of a row. The verdict is sought in the background; `settled` says when it is there."""
        if isinstance(event, Token):
            row.started = row.started or time.monotonic()
            row.state = "running"
            row.add(event.token, event.logprob)
        elif isinstance(event, Admitted):
            row.state, row.mode, row.started = "running", event.mode, time.monotonic()
        elif isinstance(event, Verified):
            row.kept = event.kept
        elif isinstance(event, Finished):
            row.ended, row.reason = time.monotonic(), event.reason
            row.fold.finish(event.reason)
            row.verifying = self._judges.submit(judge, row.fold.trace(), row.ask.gold, row.ask.kind)
        elif isinstance(event, Failed):
            row.ended, row.state, row.message = time.monotonic(), "failed", event.message
            row.fold.finish("failed")

    @staticmethod
    def settled(row: Row) -> bool:
        """Whether an ask has ended and its verdict is known; sets its final state."""
        if row.state == "failed":
            return True
        if row.verifying is None or not row.verifying.done():
            return False
        if row.reason == "cancelled":
            row.state = "cancelled"
            return True
        try:
            row.verdict = row.verifying.result()
        except Exception as error:  # noqa: BLE001 - a verifier that breaks says nothing about the answer; the trace stays
            row.message = f"The answer could not be checked: {error}"
        row.state = "done"
        return True
