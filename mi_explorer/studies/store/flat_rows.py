"""A study as flat rows, one per sample, and (from Parquet) back: the common form of Parquet, CSV and JSONL.

Every row stands on its own (recipe, decoding, question, result, text), so that a table program can read it and `unflat` can
rebuild the study from it. Keys are made anew from the content, never believed. Items of gated data sets are left out.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mi_explorer.errors import UserError
from mi_explorer.recipe_io import to_key_dict
from mi_explorer.studies.plan import Item, Plan, digest
from mi_explorer.studies.store.reader import CellRow, Reader, StudyInfo
from mi_explorer.studies.store.sample import COLUMNS, Sample, unpack
from mi_explorer.studies.store.stored_probes import StoredProbes
from mi_explorer.untyped import JsonObject

PROBES = "probes"  # a column that only studies with probes have
RESULT = tuple(name for name in COLUMNS if name not in ("key", "cell", "item"))
WHOLE = ("number", "seed", "tokens", "think_tokens", "answer_tokens", "flips")
MAYBE_WHOLE = ("first_correct", "stable_from")
FLAGS = ("think_closed", "think_lenient", "truncated", "looped")
MOST = 2**62  # what SQLite keeps as a whole number
CELL_COLUMNS = ("recipe", "decoding", "label", "group", "fingerprint", "dtype")
ITEM_COLUMNS = ("task", "item", "question", "gold", "answer_kind", "family", "level", "private")
REASONS = ("stop", "cap", "context", "memory")
VERDICTS = (None, "correct", "wrong", "no_answer")
COLUMN_ORDER = (
    "study",
    "kind",
    "task_seed",
    "task",
    "pair",
    "method",
    "lambda",
    "scope_layers",
    "scope_modules",
    "label",
    "group",
    "recipe",
    "decoding",
    "fingerprint",
    "dtype",
    "item",
    "question",
    "gold",
    "answer_kind",
    "family",
    "level",
    "private",
    *RESULT,
    "text",
    "marks",
)


class RowError(UserError):
    """A row that is not one of ours, or was changed into something impossible."""


def keeper(items: Sequence[Item], texts: int | None = None, questions: int | None = None) -> Callable[[Sample], bool]:
    """Which samples keep their text: the first `texts` of a question and cell, of the first `questions`; None is all of them.

    Those of gated questions never do.
    """
    allowed = {item.key for item in items[:questions] if not item.private}
    return lambda s: s.item in allowed and (texts is None or s.number < texts)


@dataclass(frozen=True)
class FlatStudy:
    """What rows say of a study. `samples` are (sample, packed body or None), `runs` the run's number in the file, if known, `probes`
    those of all samples."""

    name: str
    plan: Plan
    cells: list[CellRow]
    items: list[Item]
    samples: list[tuple[Sample, bytes | None]]
    runs: list[int | None]
    probes: list[StoredProbes] = field(default_factory=list)


def flat(
    store: Reader,
    info: StudyInfo,
    texts: int | None = None,
    questions: int | None = None,
    runs: Mapping[int, int] | None = None,
    probed: bool = True,
) -> Iterator[JsonObject]:
    """All samples of a study as flat rows, with their probes if `probed`; which keep their text: see `keeper`. `runs`: numbers in the
    file by id of the store's."""
    cells = {row.key: row for row in store.cells(info.id)}
    items = {item.key: item for item in store.items(info.id)}
    keeps = keeper(list(items.values()), texts, questions)
    probes: dict[str, list[StoredProbes]] = {}
    for one in store.probes(info.id) if probed else ():
        probes.setdefault(one.sample, []).append(one)
    for part in chunks(store.samples(info.id)):
        bodies = dict(store.bodies(s.key for s in part if keeps(s)))
        made_by = store.run_of(s.key for s in part) if runs is not None else {}
        for s in part:
            row = _flat(info, s, cells[s.cell], items[s.item], bodies.get(s.key))
            if probes:
                row[PROBES] = _probes_text(probes.get(s.key, []), items[s.item].private)
            yield row | ({"run": runs.get(made_by.get(s.key, -1))} if runs is not None else {})


def _flat(info: StudyInfo, s: Sample, row: CellRow, item: Item, packed: bytes | None) -> JsonObject:
    recipe = row.cell.recipe
    body = unpack(packed) if packed else {}
    text = body.pop("text", "")
    return {
        "study": info.name,
        "kind": info.plan.kind,
        "task_seed": info.plan.task_seed,
        "task": item.task,
        "pair": recipe.pair,
        "method": recipe.method,
        "lambda": recipe.lam,
        "scope_layers": recipe.scope.layers,
        "scope_modules": " ".join(recipe.scope.modules),
        "label": row.cell.label,
        "group": row.cell.group,
        "recipe": json.dumps(to_key_dict(recipe), sort_keys=True),
        "decoding": json.dumps(row.cell.decoding.plain(), sort_keys=True),
        "fingerprint": row.fingerprint,
        "dtype": row.dtype,
        "item": item.id,
        "question": "" if item.private else item.prompt,
        "gold": "" if item.private else item.answer,
        "answer_kind": item.kind,
        "family": item.family,
        "level": item.level,
        "private": item.private,
        **{name: getattr(s, name) for name in RESULT},
        "answer": public_answer(s.answer, item.private),
        "text": text,
        "marks": json.dumps(body, ensure_ascii=False, separators=(",", ":")) if body else "",
    }


def _probes_text(probes: Sequence[StoredProbes], private: bool) -> str:
    """The probes of a sample as JSON: a list of settings with their points; "" without any."""
    found = [
        {
            "setting": json.loads(one.setting),
            "points": [replace(p, answer=public_answer(p.answer, private)).plain() for p in one.points],
        }
        for one in probes
    ]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else ""


def chunks(samples: Sequence[Sample], size: int = 500) -> Iterator[Sequence[Sample]]:
    """The samples in pieces, so that the texts of a large study are never all in memory."""
    return (samples[i : i + size] for i in range(0, len(samples), size))


def public_answer(answer: str | None, private: bool) -> str | None:
    """An extracted answer as it may leave this machine: of a gated item only a letter, else a digest that still votes."""
    if answer is None or not private or re.fullmatch(r"\W*[A-Za-z]\W*", answer):
        return answer
    return f"#{zlib.crc32(answer.strip().lower().encode()):08x}"


def redact(item: Item) -> Item:
    """A gated question without its content."""
    return (
        replace(item, prompt=f"(item {item.id} of {item.task}, not republished)", answer="") if item.private else item
    )


def sample_key(cell: str, item: str, number: int) -> str:
    """The key of a sample, as `plan.units` makes it."""
    return digest("sample", cell, item, number)
