"""Drawing the next token: reproducible per request, whatever else is in the batch.

The noise of token t is a hash of (seed, t), not a stream: a trace does not depend on its companions, on the order of admission
or on the mode. Filters and their order are those of `transformers`: repetition penalty, temperature, top-k, top-p, min-p.
The draw walks the kept tokens in the order of their ids, so that near-ties in probability cannot swap the result.
"""

from collections.abc import Sequence

import numpy as np
import torch

from mi_explorer.recipe import Decoding

CANDIDATES = 256  # without top-k: tokens looked at before the whole vocabulary is sorted
NOISE_STEPS = 64  # steps of noise hashed at a time
LEAST_TOP_P = 1e-9  # top-p 0 keeps the likeliest token, before which nothing comes


def noise(seeds: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1), one per row, from (seed, step) alone: splitmix64 of both, 53 bits."""
    with np.errstate(over="ignore"):
        x = seeds.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
        x = _mix(_mix(x) + steps.astype(np.uint64) * np.uint64(0xD1342543DE82EF95) + np.uint64(1))
    uniform: np.ndarray = (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


class Sampler:
    """The decodings of a batch as columns; made when rows join or leave, called once a step.

    `steps` [n]: the number of each row's next token in its response; with every call all rows advance by one.
    """

    def __init__(
        self,
        decodings: Sequence[Decoding],
        steps: Sequence[int],
        histories: Sequence[Sequence[int]],
        vocab: int,
        device: torch.device,
    ):
        d, self.device = decodings, device

        def column(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self._seeds = np.array([x.seed for x in d], dtype=np.uint64)
        self._steps, self._calls = np.array(steps, dtype=np.int64), 0
        self._noise: tuple[torch.Tensor, ...] = ()  # of the calls to come, in the order of `uniform`
        self.greedy = [x.temperature == 0 for x in d]
        self.all_greedy, self.any_greedy = all(self.greedy), any(self.greedy)
        self.greedy_rows = torch.tensor(self.greedy, device=device)[:, None]
        self.cold = column([1.0 / x.temperature if x.temperature > 0 else 1.0 for x in d])
        hot = [x for x in d if x.temperature > 0]
        ks = [min(x.top_k, vocab) or vocab for x in hot]
        self.k = max(ks, default=1)
        self.open = self.k > CANDIDATES  # some row has no top-k
        self.top_k = (
            column([min(x.top_k, vocab) or vocab if x.temperature > 0 else 1 for x in d])
            if len(set(ks)) > 1 or self.any_greedy or CANDIDATES < self.k < vocab
            else None
        )
        # Rows for which the best candidates do not do: nothing is cut off, or more than are looked at are summed.
        self.needs_all = any(x.top_p >= 1 and x.top_k == 0 or CANDIDATES < x.top_k < vocab for x in hot)
        self.top_p = column([max(x.top_p, LEAST_TOP_P) for x in d]) if any(x.top_p < 1 for x in hot) else None
        self.min_p = column([x.min_p for x in d]) if any(x.min_p > 0 for x in hot) else None
        self.ranks = torch.arange(vocab, device=device)
        self.penalty = None
        if any(x.repetition_penalty != 1 for x in d):
            self.penalty = column([x.repetition_penalty for x in d])
            self.seen = torch.zeros(len(d), vocab, dtype=torch.bool, device=device)
            for row, history in enumerate(histories):
                if d[row].repetition_penalty != 1:
                    self.seen[row, torch.tensor(list(history), device=device)] = True

    def __call__(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids [n] and their log-probabilities [n] under the raw distribution (nats), from logits [n, vocabulary] in fp32."""
        ids, logprobs, complete = self._sample(logits)
        if complete is not None and not bool(complete):
            ids, logprobs, _ = self._sample(logits, whole=True)
        self._advance(ids)
        return ids[:, 0], logprobs[:, 0]

    def read(self, logits: torch.Tensor) -> tuple[torch.Tensor, list[int], list[float]]:
        """As a call: the ids [n, 1], and the same ids and log-probabilities on the host by one copy from the device (two where the best
        candidates did not do, which is rare)."""
        ids, logprobs, complete = self._sample(logits)
        columns = (ids, logprobs) if complete is None else (ids, logprobs, complete.expand(len(ids), 1))
        tokens, found, *enough = _on_host(columns)
        if enough and not enough[0][0]:
            ids, logprobs, _ = self._sample(logits, whole=True)
            tokens, found = _on_host((ids, logprobs))
        self._advance(ids)
        return ids, list(map(int, tokens)), found

    def _advance(self, ids: torch.Tensor) -> None:
        self._calls += 1
        if self.penalty is not None:
            self.seen.scatter_(1, ids, True)

    def _sample(
        self, logits: torch.Tensor, whole: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Ids [n, 1], log-probabilities [n, 1], and whether the best candidates were enough (fp32, 0 or 1; None: known to be). `whole`:
        draw from the whole vocabulary."""
        x, complete = logits, None
        if self.penalty is not None:
            x = torch.where(self.seen, torch.where(x < 0, x * self.penalty, x / self.penalty), x)
        ids = x.argmax(-1, keepdim=True) if self.any_greedy else None
        if not self.all_greedy:
            drawn, complete = self._draw(x, whole)
            ids = drawn if ids is None else torch.where(self.greedy_rows, ids, drawn)
        assert ids is not None
        return ids, logits.log_softmax(-1).gather(1, ids), complete

    def _draw(self, x: torch.Tensor, whole: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        if not self.open:  # temperature keeps the order, so only the best are divided by it
            values, ids = x.topk(self.k, sorted=True)
            return self._choose((values * self.cold, ids), None)
        x = x * self.cold
        vocab = x.shape[1]
        total = x.logsumexp(-1, keepdim=True)
        may_do = not self.needs_all and self.top_p is not None and vocab > CANDIDATES and not whole
        return self._choose(x.topk(CANDIDATES) if may_do else x.sort(-1, descending=True), total)

    def _choose(
        self, top: tuple[torch.Tensor, torch.Tensor], total: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Draw from the best candidates (sorted), and whether they were enough (see `_sample`).

        `total`: log-sum over the whole vocabulary; None: they are the whole support.
        """
        values, ids = top
        k = values.shape[1]
        complete = None
        if total is None:
            if self.top_k is not None:
                values = values.masked_fill(self.ranks[:k] >= self.top_k, float("-inf"))
            p = values.softmax(-1)
        else:
            p = (values - total).exp()
            if self.top_k is not None:
                inside = self.ranks[:k] < self.top_k
                p = p * inside
                p = torch.where(self.top_k <= k, p / p.sum(-1, keepdim=True), p)
        if self.top_p is not None:
            before = p.cumsum(-1) - p
            if total is not None and k < self.ranks.shape[0]:
                inside = before[:, -1:] + p[:, -1:] >= self.top_p
                complete = (inside if self.top_k is None else inside | (self.top_k <= k)).all().float()
            p.masked_fill_(before >= self.top_p, 0)
        if self.min_p is not None:
            p = p * (p >= self.min_p * p[:, :1])
        ids, order = ids.sort(-1)
        cdf = p.gather(1, order).cumsum(-1, dtype=self.wide)
        place = torch.searchsorted(cdf, self.uniform() * cdf[:, -1:], right=True)
        return ids.gather(1, place.clamp_(max=k - 1)), complete  # in fp32 a number next to 1 rounds to 1

    def uniform(self) -> torch.Tensor:
        """Noise of this call [n, 1], hashed for several calls ahead in one go."""
        number = self._calls % NOISE_STEPS
        if number == 0 or not self._noise:
            ahead = np.arange(self._calls - number, self._calls - number + NOISE_STEPS)[:, None]
            block = torch.from_numpy(noise(self._seeds, self._steps + ahead)).to(self.wide).to(self.device)
            self._noise = block.unsqueeze(2).unbind()
        return self._noise[number]


def _on_host(columns: tuple[torch.Tensor, ...]) -> list[list[float]]:
    """Columns [n, 1] as lists, by one copy from a device: as fp32, in which ids are exact, for no vocabulary has 2**24 tokens."""
    if columns[0].is_cpu:
        return [[row[0] for row in column.tolist()] for column in columns]
    copied: list[list[float]] = torch.cat(columns, 1).T.tolist()
    return copied
