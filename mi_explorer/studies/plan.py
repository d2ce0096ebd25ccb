"""A study's plan as values: cells (recipe × decoding) × questions × samples, cut into idempotent units.

A unit's key holds everything that changes its result: the parents' fingerprint, recipe, decoding with its seed, dtype,
the question with its gold answer, and the sample's number. Equal key, equal sample: a store that has it need not run it
again. Units are plain frozen values, so that a list of them can be cut, shipped and run anywhere.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe, number
from mi_explorer.recipe_io import from_dict, to_key_dict
from mi_explorer.untyped import Json, JsonObject

MAX_UNITS = 20_000_000
MAX_GRID = 10_000


class PlanError(UserError):
    """A grid, shard or study size that cannot be meant."""


def digest(*parts: Json) -> str:
    """20 hex digits over JSON values; the key of cells, questions and samples."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def parse_lambdas(text: str) -> tuple[float, ...]:
    """λ values of `"0:1:0.1"`, `"0,0.4,1"` or a mix, in order, without repeats. Steps are exact decimals (0.3, not 0.30…4)."""
    values: list[float] = []
    for part in filter(None, (p.strip() for p in str(text).split(","))):
        ends = part.split(":")
        if len(ends) == 1:
            values.append(_lam(part))
            continue
        if len(ends) != 3:
            raise PlanError(f"A λ range must look like first:last:step (0:1:0.1), not {part[:40]!r}.")
        first, last = _lam(ends[0]), _lam(ends[1])
        step = number(ends[2], "The λ step", -10, 10)
        if step == 0 or (last - first) * step < 0:
            raise PlanError(f"The λ range {part[:40]!r} never arrives: its step must lead from {first:g} to {last:g}.")
        count = math.floor((last - first) / step + 1e-9) + 1
        if count > MAX_GRID:
            raise PlanError(f"The λ range {part[:40]!r} has {count:,} values; at most {MAX_GRID:,} make sense.")
        values += [round(first + i * step, 10) + 0.0 for i in range(count)]
    if not values:
        raise PlanError("No λ given. Write for example 0:1:0.1 or 0,0.4,1.")
    return tuple(dict.fromkeys(values))


def _lam(text: str) -> float:
    return Recipe(lam=text).lam  # type: ignore[arg-type]  # the recipe's own check and message


def parse_shard(text: str) -> tuple[int, int]:
    """`(i, n)` of `"i/n"`, 1-based: 1/4 … 4/4 together are the whole."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", str(text))
    i, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= i <= n:
        raise PlanError(f"A shard must look like 2/8 (the second of eight, counted from 1), not {str(text)[:40]!r}.")
    return i, n


def describe(decoding: Decoding) -> str:
    """A decoding in words."""
    if decoding.temperature == 0:
        return ", ".join([f"greedy, cap {decoding.cap}", *_budget(decoding), f"seed {decoding.seed}"])
    off = {"top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1}
    words = [
        f"{name.replace('_', '-')} {getattr(decoding, name):g}"
        for name, value in off.items()
        if getattr(decoding, name) != value
    ]
    return ", ".join(
        [f"T {decoding.temperature:g}", *words, f"cap {decoding.cap}", *_budget(decoding), f"seed {decoding.seed}"]
    )


def _budget(decoding: Decoding) -> list[str]:
    return [] if decoding.think_budget is None else [f"thought budget {decoding.think_budget}"]


@dataclass(frozen=True)
class Item:
    """A question as a study needs it. `private` items (gated data sets) are never written into exports."""

    task: str
    id: str
    prompt: str
    answer: str
    kind: str = "auto"
    family: str = ""
    level: int = 0
    private: bool = False

    def __post_init__(self) -> None:
        """Items come from files, too: `TypeError` for what is no question."""
        texts = (self.task, self.id, self.prompt, self.answer, self.kind, self.family)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a question is made of texts")
        if not isinstance(self.level, int) or not isinstance(self.private, bool):
            raise TypeError("a question's level is a whole number, and it is private or not")

    @property
    def key(self) -> str:
        return digest("item", self.task, self.id, self.prompt, self.answer, self.kind)


@dataclass(frozen=True)
class Cell:
    """One recipe × decoding; `label` names it in an ablation ("layers 0-11"), and `group` the curve it belongs to."""

    recipe: Recipe
    decoding: Decoding = field(default_factory=Decoding)
    label: str = ""
    group: str = ""

    def key(self, fingerprint: str, dtype: str) -> str:
        """The cell's key; label and group are only words and do not count."""
        return digest("cell", fingerprint, dtype, to_key_dict(self.recipe), self.decoding.plain())

    def plain(self) -> JsonObject:
        """As plain JSON values; `of` is the inverse."""
        return {
            "recipe": to_key_dict(self.recipe),
            "decoding": self.decoding.plain(),
            "label": self.label,
            "group": self.group,
        }

    @staticmethod
    def of(data: JsonObject) -> "Cell":
        return Cell(
            from_dict(data["recipe"], whole=True),
            Decoding(**data["decoding"]),
            str(data.get("label", "")),
            str(data.get("group", "")),
        )


@dataclass(frozen=True)
class Plan:
    """What a study runs. `kind` is "sweep" or an ablation's name; `questions` of `task` are drawn with `task_seed`."""

    task: str
    cells: tuple[Cell, ...]
    questions: int = 100
    samples: int = 4
    kind: str = "sweep"
    task_seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        if not self.cells:
            raise PlanError("A study needs at least one recipe.")
        object.__setattr__(self, "cells", _distinct(self.cells))
        for name in ("questions", "samples"):
            if int(number(getattr(self, name), name, 1, 1_000_000)) != getattr(self, name):
                raise PlanError(f"{name} must be a whole number.")
        if len(self.cells) * self.questions * self.samples > MAX_UNITS:
            raise PlanError(
                f"{len(self.cells)} cells × {self.questions} questions × {self.samples} samples are more than "
                f"{MAX_UNITS:,}. Cut it into several studies."
            )
        if all(cell.decoding.temperature == 0 for cell in self.cells):
            object.__setattr__(self, "samples", 1)  # greedy: every sample of a question would be the same

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of the pairs that the cells use, in order."""
        return tuple(dict.fromkeys(cell.recipe.pair for cell in self.cells))

    @property
    def name(self) -> str:
        """A name that stays the same while λs, questions and samples are added: the same command extends the same study."""
        kinds = sorted(
            {json.dumps([{**to_key_dict(c.recipe), "lam": 0}, c.decoding.plain()], sort_keys=True) for c in self.cells}
        )
        method = "-".join(dict.fromkeys(c.recipe.method for c in self.cells)) if self.kind == "sweep" else self.kind
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{_short(self.pairs[0])}-{_short(self.task)}-{method}").strip("-")[:48]
        return f"{stem}-{digest('study', self.task, self.kind, self.task_seed, kinds)[:6]}"

    def extended(self, other: "Plan") -> "Plan":
        """This plan with the other's cells, and the larger number of questions and samples."""
        if (self.task, self.task_seed) != (other.task, other.task_seed):
            raise PlanError(
                f"This study asks {self.task} (seed {self.task_seed}), not {other.task} (seed {other.task_seed}). "
                "Give the new study another name."
            )
        known = {(c.recipe, c.decoding) for c in self.cells}
        cells = self.cells + tuple(c for c in other.cells if (c.recipe, c.decoding) not in known)
        return replace(
            self,
            cells=cells,
            questions=max(self.questions, other.questions),
            samples=max(self.samples, other.samples),
            command=other.command or self.command,
        )

    def json(self) -> str:
        return json.dumps(
            {**{k: v for k, v in asdict(self).items() if k != "cells"}, "cells": [c.plain() for c in self.cells]},
            ensure_ascii=False,
            sort_keys=True,
        )

    @staticmethod
    def of(text: str) -> "Plan":
        """Inverse of `json`; raises `PlanError` for anything else."""
        try:
            data = json.loads(text)
            cells = tuple(Cell.of(c) for c in data.pop("cells"))
            return Plan(cells=cells, **data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise PlanError(f"A stored plan cannot be read: {error!r}.") from None


def _short(name: str) -> str:
    """A pair's or task's name without folders: `models/a|models/b|base` → `a-b`."""
    return "-".join(part.rstrip("/").rsplit("/", 1)[-1] for part in name.split("|")[:2])


def _distinct(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Each recipe × decoding once, the first of its kind; a point of a curve stands for a mere end."""
    out: dict[tuple[Recipe, Decoding], Cell] = {}
    for cell in cells:
        known = out.setdefault((cell.recipe, cell.decoding), cell)
        if known.group == "ends" != cell.group:
            out[cell.recipe, cell.decoding] = cell
    return tuple(out.values())


@dataclass(frozen=True)
class Unit:
    """One sample to make: indices into the plan's cells and the question list, the sample's number, its key and seed."""

    cell: int
    item: int
    number: int
    key: str
    seed: int


def sample_seed(base: int, item_key: str, number: int) -> int:
    """Seed of one sample. It does not depend on the recipe, so that cells share their noise and differences are paired."""
    text = f"{base}\0{item_key}\0{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def units(
    plan: Plan, items: Sequence[Item], cell_keys: Sequence[str], shard: tuple[int, int] = (1, 1)
) -> Iterator[Unit]:
    """All units of a plan in running order: cells from the ends inwards (a curve is coarse first, then fine), then questions.

    A shard keeps whole questions together, because the samples of a question share one prefill.
    """
    i, n = shard
    item_keys = [item.key for item in items]
    for cell in running_order([c.recipe.lam for c in plan.cells]):
        decoding = plan.cells[cell].decoding
        for index, item in enumerate(item_keys):
            if n > 1 and int(digest("shard", cell_keys[cell], item)[:8], 16) % n != i - 1:
                continue
            for number_ in range(1 if decoding.temperature == 0 else plan.samples):
                key = digest("sample", cell_keys[cell], item, number_)
                yield Unit(cell, index, number_, key, sample_seed(decoding.seed, item, number_))


def running_order(lams: Sequence[float]) -> list[int]:
    """Indices so that every prefix covers the λ range as evenly as it can: both ends first, then the widest gap's middle."""
    left = sorted(range(len(lams)), key=lambda i: (lams[i], i))
    if len(left) <= 2:
        return left
    order = [left[0], left[-1]]
    spans = [(0, len(left) - 1)]
    while spans:
        after = []
        for a, b in spans:
            if b - a >= 2:
                middle = (a + b) // 2
                order.append(left[middle])
                after += [(a, middle), (middle, b)]
        spans = after
    return order


def grid(recipe: Recipe, lams: Iterable[float], decoding: Decoding, group: str = "") -> tuple[Cell, ...]:
    """The cells of one recipe over a λ grid."""
    return tuple(Cell(recipe.at(lam), decoding, group=group) for lam in lams)
