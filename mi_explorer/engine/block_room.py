"""Who gets blocks of KV cache when the pool runs empty: the oldest. The youngest wait in the queue and are read again later, with the
tokens that they have; nobody fails. Engine's thread only."""

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.request_queue import RequestQueue
from mi_explorer.engine.scheduler import ScheduledBatch
from mi_explorer.engine.sequence import Sequence


class BlockRoom:
    """Blocks for the sequences of a batch. `parked`: how often one had to wait so far."""

    def __init__(self, batch: Batch):
        self.batch, self.parked = batch, 0
        self._blocks = batch.backend.cache.blocks
        self._decoding: list[Sequence] | None = None
        self._steps = 0  # for which all of them have room

    def needs(self, sequence: Sequence) -> int:
        """Blocks with which a sequence begins: what it has to read, and a next token."""
        return len(sequence.slots) * self._blocks.blocks_for(sequence.to_read + len(sequence.draft) + 1)

    def fits(self, sequence: Sequence) -> bool:
        """Whether it would fit if it were alone."""
        return self.needs(sequence) <= self._blocks.blocks

    def admits(self, sequence: Sequence) -> bool:
        """Whether it may come in now: every slot at work should be able to take a block more, if it may need one."""
        blocks = self._blocks
        growing = sum(slot is not None and blocks.taken[slot.index] < blocks.per_slot for slot in self.batch.slots)
        return not self.batch.used or self.needs(sequence) + growing <= blocks.free

    def grow(self, scheduled: ScheduledBatch, queue: RequestQueue) -> bool:
        """Let each of these read what it has to and take a next token; False where somebody had to go back into the queue for that,
        and the step is to be formed again."""
        decode = scheduled.decode
        if not scheduled.prefill and decode is self._decoding and self._steps > 0:
            self._steps -= 1
            return True
        self._decoding, before = None, self.batch.changes
        for sequence in sorted((*decode, *scheduled.prefill), key=_age):
            while sequence in self.batch.sequences and not self._take(sequence):
                if len(self.batch.sequences) == 1:
                    self.batch.finish(sequence, "memory")  # alone, and the pool is full
                else:
                    self.park(max(self.batch.sequences, key=_age), queue)
        if self.batch.changes != before:
            return False
        left = [self._blocks.room(slot.index) - s.length - 1 for s in decode for slot in s.slots]
        self._decoding, self._steps = decode, min(left, default=0)
        return True

    def _take(self, sequence: Sequence) -> bool:
        wanted = max(sequence.length, sequence.to_read + len(sequence.draft)) + 1
        return all(self.batch.backend.cache.take(slot.index, wanted) for slot in sequence.slots)

    def park(self, sequence: Sequence, queue: RequestQueue) -> None:
        """Take a sequence out of its slots and back into the queue; when it is read again it goes on where it was."""
        self.batch.end_draft(sequence)
        self.batch.release(sequence)
        sequence.read_anew()
        queue.put_back(sequence)
        self.parked += 1


def _age(sequence: Sequence) -> tuple[int, int]:
    """People before sweeps, then by arrival."""
    return sequence.priority, sequence.order
