"""Requests in, snapshots out: prompts under recipes become traces that grow while you watch.

`TextGenerator` turns text into engine requests and token events into `Trace`s. It knows no store and no page; the workbench gives
it to people, the runner to sweeps. Snapshots are coalesced: one tuple per tick with only what changed since the last.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

from mi_explorer.engine.events import (
    INTERACTIVE,
    Admitted,
    Change,
    Changed,
    Event,
    Failed,
    Finished,
    Paused,
    Refused,
    Request,
    Resumed,
    Token,
    Verified,
)
from mi_explorer.engine.stream import GATHER_S
from mi_explorer.errors import UserError
from mi_explorer.generation.request_engine import EventSource, RequestEngine
from mi_explorer.generation.running_trace import RunningTrace
from mi_explorer.generation.schedule import ScheduleStep, check_schedule
from mi_explorer.generation.snapshots import LIVE_STATES, GenerationRequest, Snapshot, verdict_of
from mi_explorer.generation.steering import SteeredResponse, Steering, hint_ids
from mi_explorer.generation.thought_tags import ResponseTags
from mi_explorer.generation.traces import ThinkTags, TraceBuilder
from mi_explorer.prompts import Prompt, Prompts
from mi_explorer.recipe import Recipe

LIVE_GATHER_S = 0.02  # seconds in which the events of a live run gather, once first tokens are shown
STOP_S = 0.05  # seconds after which a stop is felt at the latest
FIRST_TOKENS_TICKS = 0.25  # of a tick, which first tokens of further requests wait for each other


class GenerationError(UserError):
    """A request that cannot be run: two of one id, another pair's recipe, a scope that the pair does not have."""


class CapError(GenerationError):
    """A cap that the memory of this machine cannot keep."""


class TextGenerator:
    """Requests for one pair, answered by one engine. Thread-safe: every `stream` call has traces of its own."""

    def __init__(
        self,
        engine: RequestEngine,
        prompts: Prompts,
        tags: ThinkTags,
        *,
        pair: str,
        layers: int | None = None,
        check_recipe: Callable[[Recipe], None] | None = None,
        memory_context: int | None = None,
    ) -> None:
        """`memory_context`: positions of a response and its prompt, where memory leaves fewer than were asked for; None: it does not."""
        self.memory_context = memory_context
        self.engine, self.prompts, self.tags, self.pair, self.layers = engine, prompts, tags, pair, layers
        self.check_recipe = check_recipe
        self._verifiers = ThreadPoolExecutor(2, thread_name_prefix="verify")  # a slow check holds up no other trace

    def close(self) -> None:
        """Drop the checks of answers that have not begun."""
        self._verifiers.shutdown(wait=False, cancel_futures=True)

    def check(self, recipe: Recipe) -> None:
        """Raise a `UserError` for a recipe that this pair cannot run, before anything runs."""
        if recipe.pair != self.pair:
            raise GenerationError(f"This recipe is for the pair {recipe.pair!r}, but {self.pair!r} is loaded.")
        if self.layers is not None:
            recipe.scope.check(self.layers)
        if self.check_recipe is not None:
            self.check_recipe(recipe.for_thought)
        if recipe.answer_lam is not None:
            self.check_tags()
            self.check(recipe.for_answer)

    def stream(
        self,
        requests: Sequence[GenerationRequest],
        *,
        priority: int = INTERACTIVE,
        stop: threading.Event | None = None,
        hz: float = 12,
        heartbeat: float | None = None,
        steering: Steering | None = None,
    ) -> Iterator[tuple[Snapshot, ...]]:
        """Run all requests together; yields the snapshots that changed, `hz` times a second (first tokens sooner), until all have ended.

        The first tuple has all of them. With `heartbeat`, an empty tuple comes after that many seconds in which nothing changed.
        Raises a `UserError` at once, before anything runs, if one of the requests cannot be run. `stop` (or closing the iterator)
        cancels what is left; partial text stays in the last snapshots. `steering` gives other threads a hold on what runs.
        """
        requests = tuple(requests)
        if len({request.id for request in requests}) < len(requests):
            raise GenerationError("Two requests of one call have the same id.")
        for request in requests:
            self.check_request(request)
        traces = {r.id: self.new_trace(r, self.prompts.render(r.prompt, r.recipe)) for r in requests}
        submitted = [self.engine_request(r, traces[r.id].prompt, priority) for r in requests]
        return self._run(traces, submitted, stop, 1.0 / hz, heartbeat, steering)

    def check_request(self, request: GenerationRequest) -> None:
        """Raise a `UserError` for a request that cannot run: its recipe, its schedule, or tags that it needs and nobody knows."""
        recipe = request.recipe
        self.check(recipe)
        for step in request.schedule:
            if step.lam is not None:
                self.check(recipe.for_thought.at(step.lam))
        check_schedule(request.schedule, len(request.given))
        if request.decoding.think_budget is not None or any(step.close for step in request.schedule):
            self.check_tags()

    def check_cap(self, cap: int, prompt_tokens: int = 1) -> None:
        """Raise a `CapError`, with the figures, for a cap that would be cut by memory and not by the cap."""
        context = self.memory_context
        if context is not None and prompt_tokens + cap > context + 1:
            raise CapError(
                f"Responses of up to {cap:,} tokens cannot be kept: with {prompt_tokens:,} tokens of the prompt they need "
                f"{prompt_tokens + cap - 1:,} positions, and the memory of this machine leaves {context:,}. Set the cap to "
                f"{max(1, context + 1 - prompt_tokens):,} or less, or use more memory, a smaller pair, or fewer rows ('doctor' "
                "prints what fits where)."
            )

    def check_tags(self) -> None:
        """Raise a `UserError` if the pair's think tags are not known, so that no thought can be closed."""
        if not self.prompts.tags_known and self.tags.close_id is None:
            raise GenerationError(
                f"The pair {self.pair!r} has no think tags that are known, so a thought can be neither stopped nor probed. Name them "
                "with --think-open and --think-close (or in the pair's settings)."
            )

    def engine_request(self, request: GenerationRequest, prompt: Prompt, priority: int) -> Request:
        """The engine's request; raises `CapError`. A draft of another prompt (another template) is left out: it says nothing here."""
        self.check_cap(request.decoding.cap, len(prompt.ids))
        recipe = request.recipe
        return Request(
            request.id,
            prompt.ids,
            recipe,
            request.decoding,
            self.prompts.stop_ids,
            priority,
            draft=request.draft if request.draft_prompt == prompt.ids else (),
            given=request.given,
            schedule=tuple(self._change(step, recipe, prompt) for step in request.schedule),
            thought=self.thought_tags(prompt),
            pace=request.pace,
        )

    def _change(self, step: ScheduleStep, recipe: Recipe, prompt: Prompt) -> Change:
        if step.lam is not None:
            return Change(step.at, recipe.for_thought.at(step.lam))
        if step.close:
            return Change(step.at, close=True)
        return Change(step.at, insert=hint_ids(step.hint, self.prompts, prompt))

    def thought_tags(self, prompt: Prompt) -> ResponseTags | None:
        """How the engine finds and closes the thoughts of responses to this prompt; None where no closing tag is known."""
        if not self.prompts.tags_known and self.tags.close_id is None:
            return None
        tags, codec = self.tags_for(prompt), self.prompts.codec_for(prompt.parent)
        close = (tags.close_id,) if tags.close_id is not None else codec.encode(tags.close)
        return ResponseTags(tags, codec, close)

    def new_trace(self, request: GenerationRequest, prompt: Prompt) -> RunningTrace:
        """A trace that waits for its first event."""
        codec = self.prompts.codec_for(prompt.parent)
        builder = TraceBuilder(self.tags_for(prompt), codec.decode, request.gold, request.kind)
        trace = RunningTrace(request, prompt, builder)
        trace.hints |= {hint_ids(s.hint, self.prompts, prompt): s.hint for s in request.schedule if s.hint}
        return trace

    def tags_for(self, prompt: Prompt) -> ThinkTags:
        """The think tags of a response: with the ids that they have in the tokenizer of its prompt, where it has them."""
        opening, closing = (self.prompts.tag_id(tag, prompt.parent) for tag in (self.tags.open, self.tags.close))
        return replace(self.tags, prefilled=prompt.opened, open_id=opening, close_id=closing)

    def _run(
        self,
        traces: dict[str, RunningTrace],
        requests: list[Request],
        stop: threading.Event | None,
        tick: float,
        heartbeat: float | None,
        steering: Steering | None,
    ) -> Iterator[tuple[Snapshot, ...]]:
        if not requests:
            return
        stream = self.engine.submit(requests)
        if steering is not None:
            running = {name: SteeredResponse(t.request.recipe, t.prompt, t.hints) for name, t in traces.items()}
            steering.attach(stream, running, self)
        waiting, changed, stopped = set(traces), dict.fromkeys(traces), False
        began = first = False  # any token came; a request's first one, which is shown sooner than the next tick
        yielded = spoke = time.monotonic()
        soon = 0.0  # when the next first tokens may be shown: the very first at once
        waits = None
        try:
            while waiting:
                if stop is not None and stop.is_set() and not stopped:
                    stream.cancel()
                    stopped = True
                for event in self.next_events(stream, yielded + tick - time.monotonic(), LIVE_GATHER_S * began):
                    trace = traces.get(event.id)
                    if trace is not None and trace.state in LIVE_STATES:
                        first |= isinstance(event, Token) and not trace.tokens
                        began |= first
                        self.apply(trace, event)
                        changed[event.id] = None
                checks = [traces[name].verifying for name in waiting if traces[name].ended]
                if len(checks) == len(waiting):  # nothing comes any more but verdicts
                    wait([check for check in checks if check is not None], min(tick, STOP_S), FIRST_COMPLETED)
                for name in [n for n in waiting if self.settle(traces[n])]:
                    waiting.discard(name)
                    changed[name] = None
                now = time.monotonic()
                stands = getattr(stream, "waits", None)
                if stands != waits:
                    waits = stands
                    changed |= {name: None for name in waiting if traces[name].state == "queued"}
                if changed and (now >= yielded + tick or (first and now >= soon) or not waiting):
                    out = tuple(traces[name].snapshot(now, waits) for name in changed)
                    changed.clear()
                    first, yielded, spoke, soon = False, now, now, now + tick * FIRST_TOKENS_TICKS
                    yield out
                elif heartbeat is not None and now >= spoke + heartbeat:
                    yielded = spoke = now
                    yield ()
                elif now >= yielded + tick:
                    yielded = now
        finally:
            if waiting:
                stream.cancel()
            if steering is not None:
                steering.detach()

    @staticmethod
    def next_events(stream: EventSource, timeout: float, more: float = GATHER_S) -> list[Event]:
        """What came within `timeout` seconds (bounded so that a stop is felt at once), and in the `more` seconds after the first of it.

        A reader that wakes at every step of the engine takes the interpreter from the engine's thread each time.
        """
        first = stream.get(timeout=min(max(timeout, 0.005), STOP_S))
        return [] if first is None else [first, *stream.drain(more)]

    def apply(self, trace: RunningTrace, event: Event) -> None:
        """Add one event to its trace. The verdict is sought in the background; `settle` says when it is there."""
        if isinstance(event, Token):
            trace.started = trace.started or time.monotonic()
            trace.state = "running"
            trace.add(event.token, event.logprob)
        elif isinstance(event, Admitted):
            trace.state, trace.mode, trace.started = "running", event.mode, time.monotonic()
        elif isinstance(event, Changed):
            trace.change(event, self.prompts.codec_for(trace.prompt.parent).decode)
        elif isinstance(event, Paused):
            trace.state = "paused"
        elif isinstance(event, Resumed):
            trace.state = "queued"
        elif isinstance(event, Refused):
            trace.message = event.message
        elif isinstance(event, Verified):
            trace.kept = event.kept
        elif isinstance(event, Finished):
            trace.ended, trace.reason = time.monotonic(), event.reason
            trace.builder.finish(event.reason)
            gold, kind = trace.request.gold, trace.request.kind
            trace.verifying = self._verifiers.submit(verdict_of, trace.builder.trace(), gold, kind)
        elif isinstance(event, Failed):
            trace.ended, trace.state, trace.message = time.monotonic(), "failed", event.message
            trace.builder.finish("failed")

    @staticmethod
    def settle(trace: RunningTrace) -> bool:
        """Whether a request has ended and its verdict is known; sets its final state."""
        if trace.state == "failed":
            return True
        if trace.verifying is None or not trace.verifying.done():
            return False
        if trace.reason == "cancelled":
            trace.state = "cancelled"
            return True
        try:
            trace.verdict = trace.verifying.result()
        except Exception as error:  # noqa: BLE001 - a verifier that breaks says nothing about the answer; the trace stays
            trace.message = f"The answer could not be checked: {error}"
        trace.state = "done"
        return True
