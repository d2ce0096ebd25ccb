"""Requests of lm-eval through our engine: what of a response is the answer, when it is complete, and what it cost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mi_explorer.engine.events import BULK
from mi_explorer.errors import UserError
from mi_explorer.generation.generate import TextGenerator
from mi_explorer.generation.snapshots import LIVE_STATES, GenerationRequest
from mi_explorer.generation.traces import Trace
from mi_explorer.generation.traces.answers import final_answer
from mi_explorer.prompts import Prompt
from mi_explorer.tasks.verify import verify
from mi_explorer.untyped import JsonObject

LOOK_INTERVAL_TOKENS = 8  # between two looks for a stop string


class HarnessError(UserError):
    """A request of the harness that this model cannot answer."""


@dataclass(frozen=True)
class ResponseCost:
    """What one request cost: tokens up to where the answer ends (thought included), and how it ended."""

    task: str
    doc: int
    text: str
    tokens: int
    think_tokens: int
    think_closed: bool
    truncated: bool


@dataclass(frozen=True)
class HarnessJob:
    """A request ready to run. `budget` is the most tokens of the answer, None for no limit of the task's."""

    request: GenerationRequest
    prompt: Prompt
    until: tuple[str, ...]
    budget: int | None


def answer_of(trace: Trace, until: Sequence[str] = (), budget: int | None = None) -> tuple[str, int]:
    """(the text that is scored, tokens of the response up to its end). White space before the answer is no part of it.

    Empty while a thought is open, and for a response that was cut off.
    """
    if trace.think_open or trace.truncated:
        return "", trace.tokens
    text = trace.answer_text
    last = trace.tokens
    if budget is not None and trace.answer_tokens > budget:
        last = trace.think_tokens + budget
        text = text[: max(0, trace.ends[last - 1] - trace.answer_start)] if last else ""
    lead = len(text) - len(text.lstrip())
    cut = min((at for stop in until if stop and (at := text.find(stop, lead)) >= 0), default=len(text))
    if cut < len(text):
        last = min(last, trace.token_at(trace.answer_start + cut) + 1)
    return text[lead:cut], last


def is_answer_complete(trace: Trace, until: Sequence[str], budget: int | None) -> bool:
    """Whether the answer is complete although the response goes on: a stop string came, or the task's budget is used."""
    if trace.think_open:
        return False
    return (
        answer_of(trace, until)[0] != trace.answer_text.lstrip() or budget is not None and trace.answer_tokens >= budget
    )


def run_jobs(
    generator: TextGenerator, jobs: Sequence[HarnessJob], finished: Callable[[int], object] = lambda n: None
) -> dict[str, Trace]:
    """Run jobs together; a trace whose answer is complete is cancelled. Raises `HarnessError` where one fails."""
    traces = {job.request.id: generator.new_trace(job.request, job.prompt) for job in jobs}
    by_id = {job.request.id: job for job in jobs}
    stream = generator.engine.submit([generator.engine_request(job.request, job.prompt, BULK) for job in jobs])
    waiting, looked = set(traces), dict.fromkeys(traces, 0)
    try:
        while waiting:
            touched = set()
            for event in generator.next_events(stream, 0.05):
                trace = traces[event.id]
                if trace.state in LIVE_STATES:
                    generator.apply(trace, event)
                    touched.add(event.id)
            done = []
            for id in touched & waiting:
                trace, job = traces[id], by_id[id]
                if trace.state == "failed":
                    raise HarnessError(f"A request of the task could not run: {trace.message}")
                if trace.reason:
                    done.append(id)
                elif (job.until or job.budget is not None) and trace.tokens >= looked[id] + LOOK_INTERVAL_TOKENS:
                    looked[id] = trace.tokens
                    if is_answer_complete(trace.builder.trace(), job.until, job.budget):
                        stream.cancel([id])
            waiting.difference_update(done)
            finished(len(done))
    finally:
        if waiting:
            stream.cancel()
    return {id: trace.builder.trace() for id, trace in traces.items()}


def mean_costs(costs: Iterable[ResponseCost]) -> dict[str, float | int | None]:
    """Means over responses: tokens, of thought, share with a closed thought, share cut off."""
    every = list(costs)

    def mean(values: Iterable[float]) -> float | None:
        return sum(values) / len(every) if every else None

    return {
        "responses": len(every),
        "tokens": mean(t.tokens for t in every),
        "think_tokens": mean(t.think_tokens for t in every),
        "think_ratio": mean(float(t.think_closed) for t in every),
        "truncated": mean(float(t.truncated) for t in every),
    }


def score_answers(doc: JsonObject, results: Sequence[str | list[str]]) -> dict[str, float]:
    """`process_results` of a task whose documents are our questions: our extraction, our verifier. `acc` is a mean over repeats."""
    texts = [t for r in results for t in (r if isinstance(r, list) else [r])]
    kind = str(doc.get("kind") or "auto")
    right = [verify(str(doc["answer"]), final_answer(text, kind), kind) for text in texts]
    return {"acc": sum(right) / len(right)}
