"""Probes: what the model answers if its thought stops here, and how it goes on from here.

At the ends of up to K sentences or paragraphs of a finished thought the closing tag is put and the model answers greedily (forced), and,
if asked for, it goes on freely (continuation). A forced answer may fail where a free continuation succeeds (2604.06613), so both are
kept. Measures after 2604.22266, 2601.23163, 2504.15895 (DEER) and 2606.02835: sufficient, verbose, harmful, switches.

    run = ProbeRun(bench.generator, target, ProbeOptions(points=12))
    for snapshots in bench.stream(run.requests):
        run.add(snapshots)                                  # run.result.points grows
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from statistics import fmean

from mi_explorer.generation.generate import TextGenerator
from mi_explorer.generation.probe_points import ProbedTrace, ProbeError, ProbeOptions, ProbePoint
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.generation.traces import Trace
from mi_explorer.generation.traces.sentences import spread_ends
from mi_explorer.prompts import Prompt
from mi_explorer.recipe import Decoding, Recipe


@dataclass(frozen=True)
class ProbeTarget:
    """A finished trace with all that made it. `right`: whether its own answer is; `lambdas`: (token, λ) from which token on which λ
    wrote, where that is not the recipe's throughout."""

    prompt: str
    recipe: Recipe
    decoding: Decoding
    trace: Trace
    gold: str | None
    right: bool
    kind: str = "auto"
    lambdas: tuple[tuple[int, float], ...] = ()

    @staticmethod
    def of(snapshot: Snapshot, prompt: str, gold: str | None, kind: str = "auto") -> "ProbeTarget":
        """The target of a finished snapshot; raises `ProbeError` for one that runs."""
        if snapshot.live:
            raise ProbeError("This trace is still being written. Wait for its end, or stop it, and then probe it.")
        right = snapshot.verdict == "correct"
        changed = snapshot.lambdas if len(snapshot.lambdas) > 1 else ()
        return ProbeTarget(prompt, snapshot.recipe, snapshot.decoding, snapshot.trace, gold, right, kind, changed)

    def recipe_at(self, token: int, lam: float | None) -> Recipe:
        """The recipe that goes on from a token: the trace's own there, or the one at another λ."""
        if lam is not None:
            return self.recipe.for_thought.at(lam)
        own = [at_lam for at, at_lam in self.lambdas if at <= token]
        return self.recipe.at(own[-1]) if own else self.recipe


def thought_end(trace: Trace) -> int:
    """Tokens of the response up to the end of its thought, the closing tag left out."""
    return trace.tokens_until(trace.thought_span[1])


def probe_positions(trace: Trace, most: int) -> tuple[int, ...]:
    """Up to `most` numbers of tokens after which a sentence or paragraph of the thought ends, spread evenly; the last is the end."""
    start, stop = trace.thought_span
    tokens = sorted({trace.tokens_until(start + end) for end in spread_ends(trace.text[start:stop], most)})
    return tuple(token for token in tokens if token > 0)


def continuation_seed(seed: int, token: int, number: int, what: str) -> int:
    """Seed of a drawn answer or continuation: its noise is that of no other."""
    text = f"{what}\0{seed}\0{token}\0{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


class ProbeRun:
    """The requests of all probes of one trace, and what came of them. Raises a `UserError` for a trace that cannot be probed.

    With `needs_gold` off, a trace without a known answer is probed too; `right` then says nothing.
    """

    def __init__(
        self,
        generator: TextGenerator,
        target: ProbeTarget,
        options: ProbeOptions,
        name: str = "probe",
        needs_gold: bool = True,
    ) -> None:
        self.target, self.options, self.name = target, options, name
        trace = target.trace
        if trace.finish is None:
            raise ProbeError("This trace is still being written. Wait for its end, or stop it, and then probe it.")
        if needs_gold and not (target.gold or "").strip():
            raise ProbeError(
                "This trace has no known answer, so no probe of it is right or wrong. Give one (--gold), then probe it."
            )
        generator.check_tags()
        last = thought_end(trace)
        if not trace.thought.strip() or last < 1:
            raise ProbeError(
                "This response has no thought, so there is nothing to stop. Probe one that thinks (a higher λ)."
            )
        for token in options.at:
            if not 1 <= token <= last:
                raise ProbeError(
                    f"Token {token} is no point of this thought: it ends after token {last} of {trace.tokens}. Choose from 1 to {last}."
                )
        self.positions = tuple(sorted(set(options.at))) or probe_positions(trace, options.points)
        prompt = generator.prompts.render(target.prompt, target.recipe)
        tags = generator.thought_tags(prompt)
        assert tags is not None  # `check_tags` has passed
        self.requests = tuple(
            request
            for token in self.positions
            for request in self._requests(token, tags.closing(trace.ids[:token]), prompt)
        )
        for request in self.requests:
            generator.check_request(request)
        self._wanted: dict[int, list[str]] = {token: [] for token in self.positions}
        for request in self.requests:
            self._wanted[_token_of(request.id)].append(request.id)
        self._ended: dict[str, Snapshot] = {}
        self._points: dict[int, ProbePoint] = {}

    def _requests(self, token: int, closing: tuple[int, ...], prompt: Prompt) -> Iterator[GenerationRequest]:
        target, options = self.target, self.options
        before, drawn = target.trace.ids[:token], replace(target.decoding, think_budget=None)
        # the prompt stays the one that the trace answered, whatever template another λ would get
        recipe = replace(target.recipe_at(token, options.lam), template=prompt.parent)
        closed = (*before, *closing)
        room = len(closed) + options.max_answer_tokens
        greedy = Decoding(temperature=0, repetition_penalty=drawn.repetition_penalty, cap=room, seed=drawn.seed)

        def ask(what: str, number: int, decoding: Decoding, given: tuple[int, ...]) -> GenerationRequest:
            id = f"{self.name}:{token}:{what}:{number}"
            return GenerationRequest(id, target.prompt, recipe, decoding, target.gold, target.kind, given=given)

        yield ask("forced", 0, greedy, closed)
        for what, wanted, decoding, given in (
            ("sample", options.samples, replace(drawn, cap=room), closed),
            ("free", options.free, replace(drawn, cap=max(drawn.cap, token + 1)), before),
        ):
            for i in range(min(wanted, 1) if drawn.temperature == 0 else wanted):
                yield ask(what, i, decoding.with_seed(continuation_seed(drawn.seed, token, i, what)), given)

    def add(self, snapshots: Iterable[Snapshot]) -> None:
        """Take what came; raises `ProbeError` if one of the probes could not run."""
        for snapshot in snapshots:
            if snapshot.live or not snapshot.id.startswith(f"{self.name}:"):
                continue
            if snapshot.state == "failed":
                raise ProbeError(f"A probe could not run: {snapshot.message}")
            if snapshot.state == "done":
                self._ended[snapshot.id] = snapshot
                self._complete(_token_of(snapshot.id))

    def _complete(self, token: int) -> None:
        """Make the point of a position once its greedy answer is there, of what has come so far."""
        first, *others = self._wanted[token]
        if first not in self._ended:
            return
        forced, drawn = self._ended[first], [self._ended[id] for id in others if id in self._ended]
        samples = [s for s in drawn if ":sample:" in s.id]
        free = [s for s in drawn if ":free:" in s.id]
        self._points[token] = ProbePoint(
            token,
            forced.trace.answer,
            forced.verdict == "correct",
            answer_confidence(forced.trace, len(forced.given)),
            forced.trace.truncated,
            tuple(s.verdict == "correct" for s in samples),
            tuple(s.verdict == "correct" for s in free),
            tuple(s.trace.tokens for s in free),
        )

    @property
    def result(self) -> ProbedTrace:
        """The points so far; one that waits for drawn answers or continuations holds those that have come."""
        trace, target = self.target.trace, self.target
        points = tuple(self._points[token] for token in sorted(self._points))
        return ProbedTrace(points, trace.tokens, trace.think_tokens, target.right, target.kind)

    @property
    def complete(self) -> bool:
        """Whether every request has ended, so that no point grows any more."""
        return len(self._ended) == len(self.requests)


def _token_of(id: str) -> int:
    """The position of a probe's request."""
    return int(id.rsplit(":", 3)[1])


def answer_confidence(trace: Trace, given: int) -> float | None:
    """Mean probability of the tokens that spell the answer, or of all that were written after `given` where it is not found there."""
    written = range(given, trace.tokens)
    at = trace.text.rfind(trace.answer) if trace.answer else -1
    if at >= trace.answer_start:
        spelling = range(trace.token_at(at), trace.token_at(at + len(trace.answer or "") - 1) + 1)
        written = range(max(given, spelling.start), spelling.stop) or written
    return fmean(math.exp(trace.logprobs[i]) for i in written) if written else None


def run_probe(generator: TextGenerator, target: ProbeTarget, options: ProbeOptions | None = None) -> ProbedTrace:
    """Probe one finished trace to the end."""
    run = ProbeRun(generator, target, options or ProbeOptions())
    for snapshots in generator.stream(run.requests):
        run.add(snapshots)
    return run.result
