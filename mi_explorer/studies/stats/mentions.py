"""How much of a study's accuracy is form: whether the right answer stands in a response that is judged to give none, or another.

A verdict reads the answer that a response commits itself to. These readings are more generous, and upper bounds: a response that
counts up all numbers mentions the right one, too. In the field: strict match against flexible extraction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mi_explorer.errors import UserError
from mi_explorer.generation.traces.sentences import last_sentence
from mi_explorer.studies.plan import Item
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import Estimate, Measures
from mi_explorer.studies.store.sample import Sample, trace_from
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.verify import same

MOST_WORDS = 8  # of an answer that is looked for: "5 feet 3 inches"
LONGEST_WORD = 40  # characters
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBER_WORDS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"once": "1", "twice": "2"}
_EDGES = "*_\"'`()[]{}<>,;:!?.“”‘’"


@dataclass(frozen=True)
class Mentions:
    """Of the samples of a cell whose text was kept: right by their verdict; those whose last sentence after the thought mentions the
    right answer; those that mention it anywhere after the thought."""

    right: Estimate
    last: Estimate
    anywhere: Estimate
    samples: int


def mentions_answer(gold: str, text: str, kind: str = "auto") -> bool:
    """Whether some words of a text, up to `MOST_WORDS` in a row, are the gold answer of this kind as `verify` compares; numbers may be
    written out."""
    words = [word.strip(_EDGES)[:LONGEST_WORD] for word in text.split()]
    words = [NUMBER_WORDS.get(word.lower(), word) for word in words if word]
    longest = max(1, min(MOST_WORDS, len(gold.split())))
    candidates = {" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)}
    return any(same(gold, candidate, kind) for candidate in candidates)


def study_mentions(store: Store, name: str) -> dict[str, Mentions]:
    """The readings of every cell that has texts, by its key, with intervals over the questions that have them. Raises `UserError` where
    no text was kept."""
    info = store.study(name)
    items = {item.key: item for item in store.items(info.id)}
    read = [found for sample in store.samples(info.id) if (found := _readings(store, sample, items)) is not None]
    if not read:
        raise UserError(f"The study {name!r} keeps no texts of judged samples, so nobody can tell what they mention.")
    counts = Counter(sample.cell for sample, _, _ in read)
    strict = _measures((sample for sample, _, _ in read), items)
    last = _measures((_judged(sample, said) for sample, said, _ in read), items)
    anywhere = _measures((_judged(sample, said) for sample, _, said in read), items)
    return {
        cell: Mentions(strict.estimate(cell, "mean"), last.estimate(cell, "mean"), anywhere.estimate(cell, "mean"), n)
        for cell, n in counts.items()
    }


def _readings(store: Store, sample: Sample, items: Mapping[str, Item]) -> tuple[Sample, bool, bool] | None:
    """A sample with whether its last sentence mentions the right answer, and whether its answer does at all; None without a text. What
    is right by its verdict is so by every reading, and a thought that never ended mentions nothing."""
    body, item = store.body(sample.key), items[sample.item]
    if body is None or not item.answer:
        return None
    text = trace_from(sample, body).answer_text if not body["open"] else ""
    lines = [line for line in text.splitlines() if line.strip()]
    last = sample.correct or bool(lines) and mentions_answer(item.answer, last_sentence(lines[-1]), item.kind)
    return sample, last, last or mentions_answer(item.answer, text, item.kind)


def _judged(sample: Sample, right: bool) -> Sample:
    return replace(sample, verdict="correct" if right else "wrong")


def _measures(samples: Iterable[Sample], items: Mapping[str, Item]) -> Measures:
    return Measures(Grid.of(list(samples), kinds={key: item.kind for key, item in items.items()}))
