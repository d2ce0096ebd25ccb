"""Reading prompts, and responses so far, into the cache: who reads in this step, who copies a prefix, in which mode and passes."""

from collections.abc import Callable

import torch

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.drafts import verify_draft
from mi_explorer.engine.events import Admitted
from mi_explorer.engine.sampling_pass import SamplingPass
from mi_explorer.engine.sequence import Sequence, Slot

CHUNK_TOKENS = 512  # most tokens of one prompt in a pass
STEP_TOKENS = 4096  # most tokens of prompts in a step
LEAST_CHUNK_TOKENS = 8  # below which memory is too short for anything
PADDING_TOKENS = 256  # tokens that a pass may compute for nothing, before a second pass is cheaper

ReadsByFold = Callable[[list[int]], list[bool]]
"""Tokens to read of each recipe → which of them are read by a fold although they decode row-wise."""


def prefix_key(sequence: Sequence) -> tuple[str, tuple[int, ...]]:
    """What two sequences must have in common to share keys and values: the recipe that is at work, and the prompt."""
    return sequence.key, sequence.request.prompt


class Prefill:
    """Reads the prompts of a batch's sequences.

    `flush` is called after every pass: first tokens need not wait until the others' prompts are read.
    """

    def __init__(self, batch: Batch, flush: Callable[[], None] = lambda: None):
        self.batch, self.backend, self.flush = batch, batch.backend, flush
        self.chunk, self.budget = CHUNK_TOKENS, STEP_TOKENS

    def shorten(self) -> bool:
        """Read half as many tokens in a pass from now on; False where that is too few already."""
        if self.chunk <= LEAST_CHUNK_TOKENS:
            return False
        self.chunk, self.budget = self.chunk // 2, self.budget // 2
        return True

    def run(self, sequences: list[Sequence], mode: str, first: int, reads_by_fold: ReadsByFold | None = None) -> None:
        """Read the next tokens of these sequences, in slots from `first`; one that has read everything gets its next token.

        A sequence with a draft has a step to itself, once its prompt is read. `mode` is how the sequences will decode.
        """
        for sequence in sequences:
            if sequence.draft and sequence.length >= sequence.to_read:
                verify_draft(self.batch, sequence, mode, first, self.chunk)
                return
        for how, readers in self._by_mode(self._readers(sequences), mode, reads_by_fold):
            for group in self._by_length(readers):
                first += self._read(group, how, first, mode)
                self.flush()

    def _readers(self, sequences: list[Sequence]) -> list[Sequence]:
        """Those that read now, within the budget of tokens.

        Whoever finds the beginning of what it reads in another slot copies that; whoever finds it being read in this very step sits
        the step out. So samples of one prompt share its prefill, and probes of one response that of the response: the longest
        reads, the others copy.
        """
        readers: list[Sequence] = []
        reading = {sequence for sequence in sequences if sequence.length > 0}
        tokens = 0
        for sequence in sorted(sequences, key=lambda s: -len(s.tokens)):
            if sequence.length == 0 and self.backend.can_fork and self._waits_for_prefix(sequence, reading):
                continue
            reading.add(sequence)
            cost = self._left(sequence) * len(sequence.slots)
            if readers and tokens + cost > self.budget:
                break
            readers.append(sequence)
            tokens += cost
        return readers

    def _waits_for_prefix(self, sequence: Sequence, reading: set[Sequence]) -> bool:
        """Copy the longest beginning that is in another slot; True (and no copy) if more of it is being read in this step."""
        mine = prefix_key(sequence)
        same = [other for other in self.batch.sequences if other is not sequence and prefix_key(other) == mine]
        shared = {other: min(sequence.shared(other), sequence.to_read - 1) for other in same}
        source = max(same, key=lambda other: min(other.length, shared[other]), default=None)
        if source is None:
            return False
        here = min(source.length, shared[source])
        if any(min(other.to_read, shared[other]) > here for other in same if other in reading):
            return True
        for slot, theirs in zip(sequence.slots, source.slots):
            self.backend.cache.fork(theirs.index, slot.index, here)
        sequence.length = here
        return False

    def _by_mode(
        self, readers: list[Sequence], mode: str, reads_by_fold: ReadsByFold | None
    ) -> list[tuple[str, list[Sequence]]]:
        """Who reads in which mode: recipe by recipe folded where that pays, the others together."""
        recipes: dict[str, list[Sequence]] = {}
        if mode == "rowwise" and reads_by_fold is not None:
            for sequence in readers:
                if sequence.foldable:
                    recipes.setdefault(sequence.key, []).append(sequence)
        folds = reads_by_fold([sum(map(self._left, group)) for group in recipes.values()]) if reads_by_fold else []
        folded = [group for group, fold in zip(recipes.values(), folds) if fold]
        gone = {sequence for group in folded for sequence in group}
        return [*(("folded", group) for group in folded), (mode, [s for s in readers if s not in gone])]

    def _by_length(self, readers: list[Sequence]) -> list[list[Sequence]]:
        """Groups with about as much to read: a pass is as long as its longest prompt, and padding is computed for nothing."""
        groups: list[list[Sequence]] = []
        for sequence in sorted(readers, key=self._left):
            if groups:
                padding = len(groups[-1]) * (self._left(sequence) - self._left(groups[-1][0]))
                if padding <= PADDING_TOKENS:
                    groups[-1].append(sequence)
                    continue
            groups.append([sequence])
        return groups

    def _left(self, sequence: Sequence) -> int:
        """Tokens that a sequence reads in its next pass."""
        return min(self.chunk, sequence.to_read - sequence.length)

    def _read(self, sequences: list[Sequence], mode: str, first: int, decode_mode: str) -> int:
        """One pass over the next tokens of these prompts, in slots from `first`; how many slots that took."""
        batch, backend = self.batch, self.backend
        slots = batch.arrange(sequences, first)
        left = [self._left(slot.sequence) for slot in slots]
        longest = max(left)
        rows = [_padded(slot.sequence, n, longest) for slot, n in zip(slots, left)]
        ids = torch.tensor(rows, device=backend.device)
        starts = torch.tensor([[slot.sequence.length] for slot in slots], device=backend.device)
        positions = (starts + torch.arange(longest, device=backend.device)).clamp_(max=backend.context - 1)
        width = min(max(slot.sequence.length for slot in slots) + longest, backend.context)
        logits = backend.run(slots[0].bound, mode, first, ids, positions, width, [n - 1 for n in left])
        for sequence in sequences:
            sequence.length += left[sequence.slots[0].index - first]
            sequence.mode = sequence.mode or decode_mode
        self._draw([s for s in sequences if s.length >= s.to_read], slots, logits)
        return len(slots)

    def _draw(self, complete: list[Sequence], slots: list[Slot], logits: torch.Tensor) -> None:
        """The next token of those who have read everything, from the logits after its last one [slots, vocabulary]."""
        if not complete:
            return
        for sequence in complete:
            if not sequence.admitted:
                sequence.admitted = True
                self.batch.emit(sequence, Admitted(sequence.request.id, sequence.mode))
        draw = SamplingPass(slots, self.backend, complete)
        _, tokens, logprobs = draw.sample(logits)
        self.batch.add_tokens(draw.sequences, tokens, logprobs)
        for sequence in complete:
            if sequence.draft and sequence.tokens[:1] != list(sequence.draft[:1]):
                self.batch.end_draft(sequence)


def _padded(sequence: Sequence, n: int, longest: int) -> list[int]:
    return [*sequence.ids(sequence.length, sequence.length + n), *[0] * (longest - n)]
