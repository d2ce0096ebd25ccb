"""The sequences in slots: who is where, one decode step for them, and what becomes of the tokens. Engine's thread only.

Slots are arranged so that a pass covers a contiguous range; whoever leaves is replaced by the last one, whose KV moves. KV is
copied only between slots of one recipe (samples of one prompt share its prefill), never across coefficients.
"""

import time
from collections.abc import Callable

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.events import (
    Cause,
    Change,
    Changed,
    Event,
    Failed,
    Finished,
    FinishReason,
    Token,
    Verified,
)
from mi_explorer.engine.sampling_pass import SamplingPass
from mi_explorer.engine.sequence import Sequence, Slot
from mi_explorer.recipe import Recipe

Emit = Callable[[Sequence, Event], None]


class Batch:
    """The sequences of one backend. `used`: slots that are taken; `changes`: how many sequences came or left so far."""

    def __init__(self, backend: Backend, emit: Emit, at_end: FinishReason = "context"):
        """`at_end`: why a sequence ends that fills its context: the model's or the caller's limit, or memory."""
        self.backend, self.emit, self.at_end = backend, emit, at_end
        self.slots: list[Slot | None] = [None] * backend.cache.slots
        self.sequences: dict[Sequence, None] = {}  # in the order of admission
        self.used = self.changes = 0
        self._decode_pass: SamplingPass | None = None  # of the last step, as long as nobody moved
        self._decoded: list[Sequence] | None = None

    @property
    def free(self) -> int:
        """Free slots."""
        return len(self.slots) - self.used

    # ---- coming and going ----

    def admit(self, sequence: Sequence) -> None:
        """Give a sequence its slots. The caller has bound it and checked that `free` is enough."""
        self.changes += 1
        self.sequences[sequence] = None  # first of all: should a slot break, the sequence is here and can be ended
        free = [i for i, slot in enumerate(self.slots) if slot is None]
        for slot, index in zip(sequence.slots, free):
            self.used += 1
            self._put(slot, index)
            self.backend.cache.release(index)  # what a pass without a sequence left there
            self.backend.cache.take(index, sequence.to_read + len(sequence.draft) + 1)

    def release(self, sequence: Sequence) -> None:
        """Take a sequence out; its slots are free at once."""
        self.changes += 1
        for slot in sequence.slots:
            if slot.index >= 0:
                self.backend.cache.release(slot.index)
                self.slots[slot.index] = None
                slot.index = -1
                self.used -= 1
        self.sequences.pop(sequence, None)
        self.reset_pass()

    def finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """End a sequence and free its slots."""
        self.release(sequence)
        self.emit(sequence, Finished(sequence.request.id, reason, len(sequence.tokens)))

    def fail(self, sequence: Sequence, message: str) -> None:
        """End a sequence with a message; its companions go on."""
        self.release(sequence)
        self.emit(sequence, Failed(sequence.request.id, message))

    # ---- places ----

    def arrange(self, sequences: list[Sequence], first: int) -> list[Slot]:
        """Bring the slots of these sequences to indices first…first+n−1 (in any order); returns them in the order of their indices."""
        wanted = [slot for sequence in sequences for slot in sequence.slots]
        last = first + len(wanted)
        inside = set(wanted)
        targets = [i for i in range(first, last) if self.slots[i] not in inside]
        if targets:
            self.reset_pass()
        for target, slot in zip(targets, [slot for slot in wanted if not first <= slot.index < last]):
            self._move(slot, target)
        return [slot for slot in self.slots[first:last] if slot is not None]

    def _move(self, slot: Slot, target: int) -> None:
        """To a free index, or in exchange with the slot that is there."""
        source, other = slot.index, self.slots[target]
        if other is None:
            self.backend.cache.move(source, target, slot.sequence.length)
            self.slots[source] = None
        else:
            self.backend.cache.swap(source, target, max(slot.sequence.length, other.sequence.length))
            self._put(other, source)
        self._put(slot, target)

    def _put(self, slot: Slot, index: int) -> None:
        self.slots[index], slot.index = slot, index
        self.backend.assign(index, slot.bound)

    # ---- decode ----

    def decode(self, sequences: list[Sequence], mode: str) -> None:
        """One token for each of these sequences (all of them decode), in slots from 0."""
        step = self._decode_pass
        if step is None or self._decoded is not sequences:
            step = SamplingPass(self.arrange(sequences, 0), self.backend)
            self._decode_pass, self._decoded = step, sequences
        step.width += 1
        logits = self.backend.run(step.slots[0].bound, mode, 0, step.ids, step.positions, step.width)
        ids, tokens, logprobs = step.sample(logits)
        step.advance(ids)
        for sequence in step.sequences:
            sequence.length += 1
        self.add_tokens(step.sequences, tokens, logprobs)

    def reset_pass(self) -> None:
        """The next decode step is prepared from scratch: somebody moved, or a step broke."""
        self._decode_pass = self._decoded = None

    # ---- tokens ----

    def add_tokens(self, sequences: list[Sequence], tokens: list[int], logprobs: list[float]) -> None:
        """Hand out a token to each of the sequences."""
        for sequence, token, logprob in zip(sequences, tokens, logprobs):
            self.add_token(sequence, token, logprob)

    def add_token(self, sequence: Sequence, token: int, logprob: float) -> bool:
        """Hand out one token; False if the sequence ended with it."""
        if logprob != logprob:
            self.fail(sequence, "The blend gave no finite numbers here; its λ or its weights are out of range.")
            return False
        if token in sequence.stop_ids:
            return self._end(sequence, "stop")
        request, index = sequence.request, len(sequence.tokens)
        sequence.tokens.append(token)
        if request.pace:
            step = 1 / request.pace
            sequence.due = max(sequence.due, time.monotonic() - step) + step
        self.emit(sequence, Token(request.id, index, token, logprob))
        return self.may_go_on(sequence) and self.make_changes(sequence)

    def may_go_on(self, sequence: Sequence) -> bool:
        """Whether there is room for another token; if not, the sequence ends."""
        if len(sequence.tokens) >= sequence.request.decoding.cap:
            return self._end(sequence, "cap")
        if len(sequence.request.prompt) + len(sequence.tokens) > self.backend.context:
            return self._end(sequence, self.at_end)
        return True

    # ---- changes ----

    def make_changes(self, sequence: Sequence) -> bool:
        """Make what is due before the next token is drawn; False if the sequence ended with it."""
        while (due := sequence.next_change()) is not None:
            if not self.change(sequence, *due):
                return False
        return True

    def change(self, sequence: Sequence, change: Change, cause: Cause) -> bool:
        """Make a change at the end of what a sequence has; False if the sequence ended with it.

        The sequence need not be in the batch. Its bindings know the recipe. A blend that writes already is no change, and neither is
        the closing of a thought that is not open.
        """
        at, tokens = len(sequence.tokens), change.insert
        if change.recipe is not None and change.recipe != sequence.recipe:
            self._take(sequence, change.recipe)
            self.emit(sequence, Changed(sequence.request.id, at, cause, change.recipe))
        if change.close and sequence.thought is not None:
            sequence.thought.follow(sequence.tokens)
            tokens = sequence.thought.tags.closing(sequence.tokens) if sequence.thought.is_open else ()
        if tokens:
            room = self.backend.context - len(sequence.request.prompt)
            fitting = tokens[: min(sequence.request.decoding.cap, room) - at]
            self.end_draft(sequence)
            self._was_changed()
            sequence.insert(fitting, self.backend.can_verify)
            self.emit(sequence, Changed(sequence.request.id, at, cause, None, fitting))
            if change.close and sequence.thought is not None:
                sequence.thought.close(sequence.tokens)
            return self.may_go_on(sequence) and (fitting == tokens or self._end(sequence, self.at_end))
        return True

    def _take(self, sequence: Sequence, recipe: Recipe) -> None:
        """Another blend, in the slots that the sequence has."""
        self.end_draft(sequence)
        self._was_changed()
        indices = [slot.index for slot in sequence.slots]
        sequence.take(recipe)
        for slot, index in zip(sequence.slots, indices, strict=True):
            if index >= 0:
                self._put(slot, index)

    def _was_changed(self) -> None:
        """The next step is formed anew: somebody has something to read again."""
        self.changes += 1
        self.reset_pass()

    def _end(self, sequence: Sequence, reason: FinishReason) -> bool:
        self.end_draft(sequence)
        self.finish(sequence, reason)
        return False

    def end_draft(self, sequence: Sequence) -> None:
        """The draft has served: say how many of its tokens hold."""
        if sequence.draft:
            pairs = zip(sequence.tokens, sequence.draft)
            same = min(len(sequence.tokens), len(sequence.draft))
            kept = next((i for i, (a, b) in enumerate(pairs) if a != b), same)
            sequence.draft = ()
            self.emit(sequence, Verified(sequence.request.id, kept))
