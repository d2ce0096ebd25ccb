"""A study as flat rows, one per sample, and (from Parquet) back: the common form of Parquet, CSV and JSONL.

Every row stands on its own (recipe, decoding, question, result, text), so that a table program can read it and `unflat` can
rebuild the study from it. Keys are made anew from the content, never believed. Items of gated data sets are left out.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding
from mi_explorer.recipe_io import from_dict, to_key_dict
from mi_explorer.studies.plan import Cell, Item, Plan, digest
from mi_explorer.studies.store.reader import CellRow, Reader, StudyInfo
from mi_explorer.studies.store.sample import COLUMNS, Sample, pack, unpack
from mi_explorer.studies.store.stored_probes import StoredProbes, stored_probes

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
) -> Iterator[dict[str, Any]]:
    """All samples of a study as flat rows; which keep their text: see `keeper`. `runs`: numbers in the file by id of the store's."""
    cells = {row.key: row for row in store.cells(info.id)}
    items = {item.key: item for item in store.items(info.id)}
    keeps = keeper(list(items.values()), texts, questions)
    probes: dict[str, list[StoredProbes]] = {}
    for one in store.probes(info.id):
        probes.setdefault(one.sample, []).append(one)
    for part in chunks(store.samples(info.id)):
        bodies = dict(store.bodies(s.key for s in part if keeps(s)))
        made_by = store.run_of(s.key for s in part) if runs is not None else {}
        for s in part:
            row = _flat(info, s, cells[s.cell], items[s.item], bodies.get(s.key))
            if probes:
                row[PROBES] = _probes_text(probes.get(s.key, []), items[s.item].private)
            yield row | ({"run": runs.get(made_by.get(s.key, -1))} if runs is not None else {})


def _flat(info: StudyInfo, s: Sample, row: CellRow, item: Item, packed: bytes | None) -> dict[str, Any]:
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


def _probes(row: Mapping[str, Any], sample: Sample) -> list[StoredProbes]:
    """Inverse of `_probes_text`."""
    text = _text(row.get(PROBES))
    found = [stored_probes(sample.key, one["setting"], one["points"]) for one in (json.loads(text) if text else [])]
    if any(point.token > sample.tokens for one in found for point in one.points):
        raise ValueError("a probe lies beyond the end of its sample")
    return found


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


def unflat(rows: Iterable[Mapping[str, Any]], where: str) -> FlatStudy:
    """Rebuild a study from flat rows. Raises `RowError` naming the first row that cannot be right."""
    cells: dict[tuple[Any, ...], CellRow] = {}
    items: dict[tuple[Any, ...], Item] = {}
    samples: list[tuple[Sample, bytes | None]] = []
    runs: list[int | None] = []
    probes: list[StoredProbes] = []
    keys: dict[int, str] = {}  # of an item, by its identity: a key is a hash
    head: dict[str, Any] = {}
    for place, row in enumerate(rows, 1):
        try:
            head = head or {
                "task": str(row["task"]), "kind": str(row["kind"]), "task_seed": int(row["task_seed"]), "name": row.get("study")
            }  # fmt: skip
            cell_id = tuple(row[name] for name in CELL_COLUMNS)
            if cell_id not in cells:
                cells[cell_id] = _cell_row(row)
            item_id = tuple(row[name] for name in ITEM_COLUMNS)
            if item_id not in items:
                items[item_id] = item = _item(row)
                keys[id(item)] = item.key
            sample = _sample(row, cells[cell_id].key, keys[id(items[item_id])])
            samples.append((sample, _body(row)))
            probes += _probes(row, sample)
            runs.append(row.get("run"))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError, AttributeError) as error:
            what = f"the column {error} is missing" if isinstance(error, KeyError) else str(error)
            raise RowError(
                f"{where}, row {place}: {what[:200]}. This is not a study exported from here, or it was changed."
            ) from None
    if not samples:
        raise RowError(f"{where} holds no samples.")
    number = max(s.number for s, _ in samples) + 1
    distinct_cells = list({row.key: row for row in cells.values()}.values())
    distinct_items = list({item.key: item for item in items.values()}.values())
    name = _text(head.pop("name")) or where.rpartition(".")[0]
    plan = Plan(cells=tuple(row.cell for row in distinct_cells), questions=len(distinct_items), samples=number, **head)
    return FlatStudy(name, plan, distinct_cells, distinct_items, samples, runs, probes)


def _cell_row(row: Mapping[str, Any]) -> CellRow:
    recipe, decoding = from_dict(json.loads(row["recipe"]), whole=True), Decoding(**json.loads(row["decoding"]))
    cell = Cell(recipe, decoding, _text(row["label"]), _text(row["group"]))
    fingerprint, dtype = str(row["fingerprint"]), str(row["dtype"])
    return CellRow(cell.key(fingerprint, dtype), cell, fingerprint, dtype)


def _item(row: Mapping[str, Any]) -> Item:
    return redact(
        Item(
            str(row["task"]),
            str(row["item"]),
            _text(row["question"]),
            _text(row["gold"]),
            str(row["answer_kind"]),
            _text(row["family"]),
            int(row["level"]),
            _flag(row["private"]),
        )
    )


def check(sample: Sample) -> Sample:
    """A sample whose values can be; raises `ValueError` otherwise."""
    if sample.reason not in REASONS or sample.verdict not in VERDICTS:
        raise ValueError(f"{sample.reason!r}/{sample.verdict!r} is no way to end")
    if (
        min(sample.number, sample.tokens, sample.think_tokens, sample.answer_tokens, sample.flips) < 0
        or not 0 <= sample.seconds < 1e9
    ):
        raise ValueError("a count is negative")
    if (
        max(
            sample.number,
            sample.tokens,
            sample.flips,
            abs(sample.seed),
            sample.first_correct or 0,
            sample.stable_from or 0,
        )
        > MOST
    ):
        raise ValueError("a count is beyond all counting")
    if sample.think_tokens + sample.answer_tokens != sample.tokens:
        raise ValueError("thought and answer do not add up to the tokens")
    return sample


def sample_key(cell: str, item: str, number: int) -> str:
    """The key of a sample, as `plan.units` makes it."""
    return digest("sample", cell, item, number)


def _sample(row: Mapping[str, Any], cell: str, item: str) -> Sample:
    values: dict[str, Any] = {
        "cell": cell,
        "item": item,
        "reason": str(row["reason"]),
        "seconds": float(row["seconds"]),
        "finished": float(row["finished"]),
        "verdict": _maybe(row["verdict"]),
        "answer": _maybe(row["answer"]),
    }
    values |= {name: int(row[name]) for name in WHOLE}
    values |= {name: None if _maybe(row[name]) is None else int(float(row[name])) for name in MAYBE_WHOLE}
    values |= {name: _flag(row[name]) for name in FLAGS}
    return check(Sample(key=sample_key(cell, item, values["number"]), **values))


def _body(row: Mapping[str, Any]) -> bytes | None:
    text, marks = _text(row.get("text")), _text(row.get("marks"))
    if not marks:
        return None
    return pack({"text": text, **dict(json.loads(marks))})


def _maybe(value: Any) -> str | None:
    """A table's cell that may be empty: None, NaN and "" are nothing."""
    return None if value is None or value == "" or str(value) == "nan" else str(value)


def _text(value: Any) -> str:
    return _maybe(value) or ""


def _flag(value: Any) -> bool:
    if str(value) not in ("0", "1", "True", "False", "true", "false"):
        raise ValueError(f"{str(value)[:20]!r} is neither true nor false")
    return str(value) in ("1", "True", "true")
