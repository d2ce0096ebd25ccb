"""One request while it runs: its tokens, clock, verdict and interventions."""

from concurrent.futures import Future

from mi_explorer.engine.events import (
    Changed,
)
from mi_explorer.engine.stream import QueuePosition
from mi_explorer.generation.schedule import ScheduleStep
from mi_explorer.generation.snapshots import (
    AppliedChange,
    GenerationRequest,
    Snapshot,
    State,
    Verdict,
)
from mi_explorer.generation.traces import TraceBuilder
from mi_explorer.generation.traces.detokenizer import Decode
from mi_explorer.prompts import Prompt


class RunningTrace:
    """One request while it runs: its tokens, its clock, its verdict. Tokens go to the trace's builder when somebody looks."""

    def __init__(self, request: GenerationRequest, prompt: Prompt, builder: TraceBuilder) -> None:
        self.request, self.prompt, self._builder = request, prompt, builder
        self._tokens: list[int] = []  # not in the builder yet
        self._logprobs: list[float] = []
        self.state: State = "queued"
        self.tokens = 0
        self.started = self.ended = 0.0  # seconds of the monotonic clock
        self.mode = self.message = ""
        self.reason = ""
        self.kept: int | None = None
        self.verdict: Verdict | None = None
        self.verifying: Future[Verdict | None] | None = None
        self.changes: list[AppliedChange] = []
        self.schedule: list[ScheduleStep] = []
        self.hints: dict[tuple[int, ...], str] = {}  # what hints were, by their tokens

    def change(self, event: Changed, decode: Decode) -> None:
        """A change of the blend, or tokens that nobody drew; their log-probability is not known and stands as 0."""
        lam = None if event.recipe is None else event.recipe.lam
        self.changes.append(AppliedChange(event.at, event.cause, lam, len(event.tokens)))
        for token in event.tokens:
            self.add(token, 0.0)
        if event.cause == "lam":
            if self.schedule and self.schedule[-1].at == event.at and self.schedule[-1].lam is not None:
                self.schedule.pop()  # nothing was written under it
                self.changes.pop(-2)
            self.schedule.append(ScheduleStep(event.at, lam))
        elif event.cause == "hint":
            self.schedule.append(ScheduleStep(event.at, hint=self.hints.get(event.tokens) or decode(event.tokens)))
        elif event.cause == "stop":
            self.schedule.append(ScheduleStep(event.at, close=True))

    def add(self, token: int, logprob: float) -> None:
        """The next token."""
        self.tokens += 1
        self._tokens.append(token)
        self._logprobs.append(logprob)

    @property
    def builder(self) -> TraceBuilder:
        """The builder of the trace, with all tokens so far."""
        if self._tokens:
            self._builder.extend(self._tokens, self._logprobs)
            self._tokens, self._logprobs = [], []
        return self._builder

    def snapshot(self, now: float, waits: QueuePosition | None = None) -> Snapshot:
        """The state at `now` (monotonic seconds); `waits` is its run's place in the queue."""
        seconds = max((self.ended or now) - self.started, 0.0) if self.started else 0.0
        return Snapshot(
            self.request.id,
            self.request.recipe,
            self.request.decoding,
            self.state,
            self.builder.trace(),
            self.verdict,
            self.tokens / seconds if seconds > 0 else 0.0,
            self.message,
            self.mode,
            seconds,
            self.prompt.ids,
            waits if self.state == "queued" else None,
            self.kept,
            tuple(self.changes),
            tuple(self.schedule),
        )
