"""The tensors of a pass over fixed slots: what is fed next, which logits are summed, and the sampler of its sequences."""

import torch

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.sampler import Sampler
from mi_explorer.engine.sequence import Sequence, Slot


class SamplingPass:
    """Slots in the order of their indices, and the sequences that draw a token (`only`, or all of them).

    `ids` and `positions` [slots, 1] are what the next decode step reads; `width` is 1 + the largest position of the last one.
    """

    def __init__(self, slots: list[Slot], backend: Backend, only: list[Sequence] | None = None):
        self.slots = slots
        drawing = None if only is None else set(only)
        chosen = [i for i, slot in enumerate(slots) if drawing is None or slot.sequence in drawing]
        self.sequences = list(dict.fromkeys(slots[i].sequence for i in chosen))
        device = backend.device
        self._owner: torch.Tensor | None = None
        if len(self.sequences) < len(slots):  # some slots draw nothing, or share a draw
            numbers = {sequence: i for i, sequence in enumerate(self.sequences)}
            self._chosen = torch.tensor(chosen, device=device)
            self._owner = torch.tensor([numbers[slots[i].sequence] for i in chosen], device=device)
            self._weights = torch.tensor([[slots[i].weight] for i in chosen], device=device)
        self.ids = torch.tensor(
            [[slot.sequence.tokens[-1] if slot.sequence.tokens else 0] for slot in slots], device=device
        )
        self.positions = torch.tensor([[slot.sequence.length] for slot in slots], device=device)
        self.width = max(slot.sequence.length for slot in slots)
        decodings = [sequence.request.decoding for sequence in self.sequences]
        histories: list[tuple[int, ...]] = []
        if any(decoding.repetition_penalty != 1 for decoding in decodings):
            histories = [(*sequence.request.prompt, *sequence.tokens) for sequence in self.sequences]
        steps = [len(sequence.tokens) for sequence in self.sequences]
        self._sampler = Sampler(decodings, steps, histories, backend.vocab, device)

    def sample(self, logits: torch.Tensor) -> tuple[torch.Tensor, list[int], list[float]]:
        """Token ids [sequences, 1], the same on the host, and their log-probabilities, from logits [slots, vocabulary]."""
        if self._owner is not None:
            parts = logits[self._chosen] * self._weights
            logits = torch.zeros(len(self.sequences), logits.shape[1], device=logits.device)
            logits.index_add_(0, self._owner, parts)
        return self._sampler.read(logits)

    def advance(self, ids: torch.Tensor) -> None:
        """Feed the drawn ids [sequences, 1] to the next pass."""
        self.ids = ids if self._owner is None else ids[self._owner]
        self.positions += 1
