"""Drafts: an old trace of the same prompt, decoding and seed under another recipe, verified in one pass instead of decoded."""

import torch

from mi_explorer.engine.batch import Batch
from mi_explorer.engine.sampler import Sampler
from mi_explorer.engine.sequence import Sequence


def verify_draft(batch: Batch, sequence: Sequence, mode: str, first: int, chunk: int) -> None:
    """One pass over at most `chunk` tokens of a draft that begins with the sequence's tokens: keep what this recipe would draw too.

    The noise of a token depends on (seed, number of the token) alone, so this holds for sampled traces as for greedy ones.
    """
    backend, known = batch.backend, len(sequence.tokens)
    feed = sequence.draft[known - 1 : known - 1 + chunk][: backend.context - sequence.length]
    batch.arrange([sequence], first)
    start, stop = sequence.length, sequence.length + len(feed)
    positions = torch.arange(start, stop, device=backend.device)[None]
    ids = torch.tensor([feed], device=backend.device)
    logits = backend.run(sequence.slots[0].bound, mode, first, ids, positions, stop, ())[0]
    steps = range(known, known + len(feed))
    drawn, logprobs = Sampler([sequence.request.decoding] * len(feed), steps, (), backend.vocab, backend.device)(logits)
    for token, logprob in zip(drawn.tolist(), logprobs.tolist()):
        sequence.length += 1
        if not batch.add_token(sequence, token, logprob):
            return
        number = len(sequence.tokens)
        if number > len(sequence.draft) or sequence.draft[number - 1] != token:
            batch.end_draft(sequence)
            return
