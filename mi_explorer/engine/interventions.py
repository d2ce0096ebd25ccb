"""What people do to a response that is under way: another λ, tokens put into it, its thought closed, pause and resume.

Engine's thread only. A change takes effect at the response's next token; what was read under the old coefficients is read again.
"""

from typing import Literal

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.events import Change, Paused, Refused, Request, Resumed
from mi_explorer.engine.request_queue import RequestQueue
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.sequence import Sequence, cause_of
from mi_explorer.engine.stream import EventStream
from mi_explorer.errors import UserError

NO_TAGS = "The pair's think tags are not known, so no thought can be closed. Name them with the pair (think_open, think_close)."


class Interventions:
    """`paused`: sequences without a slot, which wait until they are resumed."""

    def __init__(self, resident: ResidentPair, batch: Batch, queue: RequestQueue):
        self.resident, self.batch, self.queue = resident, batch, queue
        self.paused: dict[Sequence, None] = {}

    def take_paused(self, stream: EventStream, ids: frozenset[str] | None) -> list[Sequence]:
        """Remove the paused sequences of a stream that have these ids (None: all)."""
        gone = [s for s in self.paused if s.stream is stream and (ids is None or s.request.id in ids)]
        for sequence in gone:
            del self.paused[sequence]
        return gone

    def make(self, stream: EventStream, id: str, what: Change | Literal["pause", "resume"]) -> None:
        """Carry it out for the request of this id; nothing if that has ended."""
        if what == "resume":
            for sequence in self.take_paused(stream, frozenset((id,))):
                self.batch.emit(sequence, Resumed(id))
                self.queue.add(sequence)
            return
        queued = self.queue.remove(stream, lambda sequence: sequence.request.id == id)
        parked = self.take_paused(stream, frozenset((id,)))
        running = [s for s in self.batch.sequences if s.stream is stream and s.request.id == id]
        for sequence in (*queued, *running, *parked):
            goes_on = True
            if isinstance(what, Change):
                goes_on = self._change(sequence, what)
            elif sequence in running:
                self.batch.release(sequence)
                sequence.read_anew()
            if what == "pause" and sequence not in parked:
                self.batch.emit(sequence, Paused(id))
            if not goes_on:
                continue
            if what == "pause" or sequence in parked:
                self.paused[sequence] = None
            elif sequence in queued:
                self.queue.add(sequence)

    def _change(self, sequence: Sequence, change: Change) -> bool:
        """False if the sequence ended with it."""
        refusal = change_refusal(change, sequence.request, self.batch.backend.vocab)
        if not refusal and change.recipe is not None:
            try:
                sequence.add_binding(change.recipe, self.resident, self.batch.backend)
            except UserError as error:
                refusal = str(error)
        if refusal:
            self.batch.emit(sequence, Refused(sequence.request.id, refusal))
            return True
        return self.batch.change(sequence, change, cause_of(change)) and self.batch.make_changes(sequence)


def change_refusal(change: Change, request: Request, vocab: int) -> str:
    """Why a change cannot be made; "" if it can."""
    if (change.recipe is not None) + bool(change.insert) + change.close != 1:
        return "A change is one of three: another blend, tokens to put in, or the end of the thought."
    if change.insert and (min(change.insert) < 0 or max(change.insert) >= vocab):
        return f"The tokens to put in hold an id outside 0–{vocab - 1}."
    if change.close and request.thought is None:
        return NO_TAGS
    return ""


def request_refusal(request: Request, vocab: int, context: int) -> str:
    """Why prompt, given tokens, schedule or budget of a request cannot be meant where `context` positions fit; "" if they can."""
    prompt, given, cap = request.prompt, len(request.given), request.decoding.cap
    if not prompt:
        return "The prompt is empty."
    if len(prompt) >= context:
        return f"The prompt has {len(prompt)} tokens, and {context} fit with its response. Shorten the prompt."
    if min(prompt) < 0 or max(prompt) >= vocab:
        return f"The prompt holds a token id outside 0–{vocab - 1}."
    if len(prompt) + given >= context:
        return f"The prompt and the given tokens are {len(prompt) + given}, and {context} fit with what follows."
    if given >= cap:
        return f"The response begins with {given} given tokens, and its cap is {cap}: nothing is left to write. Raise the cap."
    if given and (min(request.given) < 0 or max(request.given) >= vocab):
        return f"The given tokens hold an id outside 0–{vocab - 1}."
    if request.thought is None and (request.decoding.think_budget is not None or request.recipe.answer_lam is not None):
        return NO_TAGS
    last = given
    for change in request.schedule:
        if change.at < last:
            return (
                f"The schedule has a change at token {change.at} after token {last} was reached"
                f"{' (that many are given)' if last == given else ''}. Put its changes in the order of their tokens."
            )
        if refusal := change_refusal(change, request, vocab):
            return refusal
        last = change.at
    return ""
