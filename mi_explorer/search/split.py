"""Which questions a search may see, and which of those tell candidates apart.

The split is by the hash of a question, so that no change of size or seed ever moves a question across. Within the search split,
questions on which the λ line disagrees (entropy of right and wrong above 0) are asked more often than those on which it agrees; weights
by stratum keep the mean that of the whole split (stratified sampling).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mi_explorer.search.settings import LEAST_QUESTIONS
from mi_explorer.search.space import SearchError
from mi_explorer.studies.plan import Item

TELLING_SHARE = 0.75  # of the questions asked, as far as there are so many


def is_heldout(item: Item) -> bool:
    """Whether a question belongs to the held-out half."""
    return hashlib.sha256(f"held-out\0{item.key}".encode()).digest()[0] % 2 == 1


def split_items(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Search and held-out questions, in the given order. `SearchError` where either has too few."""
    search = tuple(item for item in items if not is_heldout(item))
    heldout = tuple(item for item in items if is_heldout(item))
    if min(len(search), len(heldout)) < LEAST_QUESTIONS:
        raise SearchError(
            f"A search needs questions to search on and others to judge by, at least {LEAST_QUESTIONS} of each; this task has "
            f"{len(items)}, which make {len(search)} and {len(heldout)}. Use a larger task."
        )
    return search, heldout


def question_entropy(right: np.ndarray) -> np.ndarray:
    """Entropy in bits of right and wrong per question, [questions], from shares of right samples [cells, questions]."""
    p = np.clip(np.nanmean(right, axis=0), 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, -p * np.log2(p), 0.0) + np.where(p < 1, -(1 - p) * np.log2(1 - p), 0.0)
    return np.asarray(terms)


@dataclass(frozen=True)
class ChosenQuestions:
    """The questions that candidates are measured on, in an order whose every prefix has both strata; `telling` marks the first stratum.

    `share` is the telling stratum's share of the whole search split.
    """

    items: tuple[Item, ...]
    telling: Mapping[str, bool]
    share: float

    def weights(self, keys: Sequence[str]) -> np.ndarray:
        """Weights of these questions, that sum to 1 and give each stratum its share of the split."""
        mark = np.array([self.telling[key] for key in keys], dtype=bool)
        n = int(mark.sum()), int((~mark).sum())
        if not all(n):
            return np.full(len(keys), 1 / len(keys))
        return np.where(mark, self.share / n[0], (1 - self.share) / n[1])


def choose_questions(items: Sequence[Item], right: np.ndarray, count: int) -> ChosenQuestions:
    """`count` of the search questions, of which `right` [cells, questions] says how often the line's cells got them right."""
    entropy = question_entropy(right)
    telling = [i for i in _shuffled(items) if entropy[i] > 0]
    settled = [i for i in _shuffled(items) if entropy[i] <= 0]
    first = min(len(telling), max(round(TELLING_SHARE * count), count - len(settled)))
    picked = [telling[:first], settled[: count - first]]
    order = sorted(
        (((k + 0.5) / len(stratum), i) for stratum in picked for k, i in enumerate(stratum)), key=lambda x: x[0]
    )
    chosen = tuple(items[i] for _, i in order)
    return ChosenQuestions(chosen, {items[i].key: bool(entropy[i] > 0) for _, i in order}, len(telling) / len(items))


def _shuffled(items: Sequence[Item]) -> list[int]:
    """Indices in an order that depends on the questions alone."""
    return sorted(range(len(items)), key=lambda i: hashlib.sha256(f"order\0{items[i].key}".encode()).digest())
