"""Flat rows of somebody's file back into cells, questions and samples, checked value by value."""

import json
from collections.abc import Iterable

from mi_explorer.recipe import Decoding
from mi_explorer.recipe_io import from_dict
from mi_explorer.studies.plan import Cell, Item, Plan
from mi_explorer.studies.store.flat_rows import (
    CELL_COLUMNS,
    FLAGS,
    ITEM_COLUMNS,
    MAYBE_WHOLE,
    MOST,
    PROBES,
    REASONS,
    VERDICTS,
    WHOLE,
    FlatStudy,
    RowError,
    redact,
    sample_key,
)
from mi_explorer.studies.store.reader import CellRow
from mi_explorer.studies.store.sample import Sample, pack
from mi_explorer.studies.store.stored_probes import StoredProbes, stored_probes
from mi_explorer.untyped import JsonMapping, JsonObject


def _probes(row: JsonMapping, sample: Sample) -> list[StoredProbes]:
    """Inverse of `_probes_text`."""
    text = _text(row.get(PROBES))
    found = [stored_probes(sample.key, one["setting"], one["points"]) for one in (json.loads(text) if text else [])]
    if any(point.token > sample.tokens for one in found for point in one.points):
        raise ValueError("a probe lies beyond the end of its sample")
    return found


def unflat(rows: Iterable[JsonMapping], where: str) -> FlatStudy:
    """Rebuild a study from flat rows. Raises `RowError` naming the first row that cannot be right."""
    cells: dict[tuple[object, ...], CellRow] = {}
    items: dict[tuple[object, ...], Item] = {}
    samples: list[tuple[Sample, bytes | None]] = []
    runs: list[int | None] = []
    probes: list[StoredProbes] = []
    keys: dict[int, str] = {}  # of an item, by its identity: a key is a hash
    head: JsonObject = {}
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


def _cell_row(row: JsonMapping) -> CellRow:
    recipe, decoding = from_dict(json.loads(row["recipe"]), whole=True), Decoding(**json.loads(row["decoding"]))
    cell = Cell(recipe, decoding, _text(row["label"]), _text(row["group"]))
    fingerprint, dtype = str(row["fingerprint"]), str(row["dtype"])
    return CellRow(cell.key(fingerprint, dtype), cell, fingerprint, dtype)


def _item(row: JsonMapping) -> Item:
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


def _sample(row: JsonMapping, cell: str, item: str) -> Sample:
    values: JsonObject = {
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


def _body(row: JsonMapping) -> bytes | None:
    text, marks = _text(row.get("text")), _text(row.get("marks"))
    if not marks:
        return None
    return pack({"text": text, **dict(json.loads(marks))})


def _maybe(value: object) -> str | None:
    """A table's cell that may be empty: None, NaN and "" are nothing."""
    return None if value is None or value == "" or str(value) == "nan" else str(value)


def _text(value: object) -> str:
    return _maybe(value) or ""


def _flag(value: object) -> bool:
    if str(value) not in ("0", "1", "True", "False", "true", "false"):
        raise ValueError(f"{str(value)[:20]!r} is neither true nor false")
    return str(value) in ("1", "True", "true")
