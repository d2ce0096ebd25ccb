"""An ablation's lines: what was measured here and what the paper printed, matched by what is blended, one line each.

Layers match by thirds of the depth (layers 2-5 of 6 stand beside 12-35 of 36), modules by what is left out, backbones and methods
by name. Shares are in percent, tokens in tokens; a published number is never filled in where the paper gives none.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mi_explorer.recipe import MODULES, parse_layers
from mi_explorer.studies.report.published import QUESTIONS, published, source
from mi_explorer.untyped import Json, JsonMapping, JsonObject

CellKey: TypeAlias = (
    Hashable  # what a cell of ours and of the paper have in common: layers, module, backbone, method, decoding
)

Values = dict[str, float | None]
TABLES = {
    "layers": "mi_layers",
    "modules": "mi_modules",
    "decoding": "mi_decoding",
    "backbone": "mi_backbones",
    "methods": "mi_dynamics",
}
BESIDE: dict[str, tuple[str, ...]] = {
    "layers": ("Qwen3-4B-2507 on AIME25",),
    "modules": ("Qwen3-4B-2507 on AIME25",),
    "decoding": ("Qwen3-4B-2507 on IFEval", "Qwen3-4B-2507 on GPQA-Diamond"),
    "backbone": tuple(f"Qwen3-4B-Thinking-2507 on {b}" for b in ("AIME25", "IFEval", "GPQA-Diamond")),
    "methods": tuple(
        f"{m} on {b}" for m in ("Qwen3-4B-2507", "Qwen3-30B-A3B-2507") for b in ("AIME25", "IFEval", "GPQA-Diamond")
    ),
}
SPANS = {
    (0, 1): "first third",
    (1, 2): "middle third",
    (2, 3): "last third",
    (0, 2): "first two thirds",
    (1, 3): "last two thirds",
}
PAPER_METHODS = {
    "TA": "task arithmetic, other base",
    "TA-Base": "task arithmetic",
    "TIES": "TIES, other base",
    "TIES-Base": "TIES",
}
OURS = {"task_arithmetic": "TA-Base", "ties": "TIES-Base"}  # both on the base that the parents come from


@dataclass(frozen=True)
class AblationRow:
    """One line of the table. `ours` is a cell of `Summary.cells`; `theirs` holds mean, pass, vote, tokens, think (percent), k.

    `key` is what it blends, whatever the depth of the pair: lines of two pairs with one key stand side by side.
    """

    label: str
    ours: JsonMapping | None = None
    theirs: Values | None = None
    lam: float | None = None
    key: CellKey = None


def citation_of(kind: str, beside: str) -> str:
    """Where the published numbers come from, to stand beside them."""
    n = QUESTIONS.get(beside.rpartition(" on ")[2])
    return f"Published: {source(TABLES[kind])}, {beside}" + (f" ({n} questions)" if n else "")


def ablation_rows(kind: str, cells: Sequence[JsonMapping], beside: str) -> list[AblationRow]:
    """Every cell of ours with its published counterpart, then what only the paper has. `beside` is one of `BESIDE[kind]`."""
    key_of = _layer_keys(cells) if kind == "layers" else KEYS[kind]
    theirs = PAPERS[kind](beside if beside in BESIDE[kind] else BESIDE[kind][0])
    out, met = [], set()
    for cell in cells:
        key = key_of(cell)
        found = theirs.get(key)
        met.add(key)
        words = SPANS.get(key) if isinstance(key, tuple) else None
        name = str(cell["label"] or f"λ {cell['lambda']:g}")
        if kind == "layers" and key == (0, 3):
            name = "all layers and all else"
        out.append(AblationRow(f"{words}: {name}" if words else name, cell, found, cell["lambda"], key))
    return out + [
        AblationRow(NAMED[kind](key), None, values, key=key)
        for key, values in theirs.items()
        if key not in met and _worth(kind, key, met)
    ]


def _worth(kind: str, key: CellKey, met: set[CellKey]) -> bool:
    """Whether a published line without a counterpart is shown: of a curve over λ only where nothing of ours is."""
    return kind != "methods" or not isinstance(key, float) or (not met and key == 0.8)


# -- keys of our cells ----------------------------------------------------------------------------------------------------


def _end(cell: JsonMapping) -> str | None:
    return {0.0: "instruct", 1.0: "thinking"}.get(cell["lambda"]) if cell["group"] == "ends" else None


def _layer_keys(cells: Sequence[JsonMapping]) -> Callable[[JsonMapping], CellKey]:
    spans = [parse_layers(c["scope"]["layers"]) for c in cells if c["scope"]["layers"] not in ("all", "none")]
    depth = 1 + max((span[-1][1] for span in spans if span), default=0)

    def key(cell: JsonMapping) -> CellKey:
        text = cell["scope"]["layers"]
        if end := _end(cell):
            return end
        if text == "all":
            return (0, 3)
        thirds = tuple(
            (round(3 * low / depth), round(3 * (high + 1) / depth)) for low, high in parse_layers(text) or ()
        )
        return thirds[0] if len(thirds) == 1 else thirds

    return key


def _module_key(cell: JsonMapping) -> CellKey:
    missing = [m for m in MODULES if m not in cell["scope"]["modules"]]
    return _end(cell) or ("none" if not missing else missing[0] if len(missing) == 1 else cell["label"])


def _backbone_key(cell: JsonMapping) -> CellKey:
    name = str(cell["label"]).removeprefix("into ").lower()
    return name if name in ("instruct", "base") else cell["label"]


def _method_key(cell: JsonMapping) -> CellKey:
    if cell["method"] == "linear":
        return float(cell["lambda"])
    return OURS.get(cell["method"], cell["label"])


KEYS: dict[str, Callable[[JsonMapping], CellKey]] = {
    "modules": _module_key,
    "backbone": _backbone_key,
    "methods": _method_key,
    "decoding": lambda cell: (cell["temperature"], cell["top_p"]),
}


# -- what the paper has ---------------------------------------------------------------------------------------------------


def _value(x: Json) -> float | None:
    return None if x is None or math.isnan(float(x)) else float(x)


def _paper_layers(beside: str) -> dict[CellKey, Values]:
    out: dict[CellKey, Values] = {}
    for row in published("mi_layers").to_dict("records"):
        lam, first = row["lambda"], _value(row["first_layer"])
        key = (
            {0.0: "instruct", 1.0: "thinking"}.get(lam)
            if first is None
            else (round(first / 12), round((row["last_layer"] + 1) / 12))
        )
        out[key] = {"mean": row["mean_at_64"], "pass": row["pass_at_64"], "vote": row["vote_at_64"], "tokens": row["tokens"],
                    "think": row["think_ratio"], "k": 64}  # fmt: skip
    return _relative(out)


def _paper_modules(beside: str) -> dict[CellKey, Values]:
    return {
        row["skipped"]: {"mean": row["mean_at_64"], "pass": row["pass_at_64"], "vote": row["vote_at_64"], "tokens": None,
                         "think": row["think_ratio"], "length": row["length_ratio_to_thinking"], "k": 64}
        for row in published("mi_modules").to_dict("records")
    }  # fmt: skip


def _rows(table: str, beside: str, column: str) -> list[JsonObject]:
    model, _, benchmark = beside.rpartition(" on ")
    data = published(table)
    return [dict(row) for row in data[(data[column] == model) & (data["benchmark"] == benchmark)].to_dict("records")]


def _cell(row: JsonMapping) -> Values:
    return {
        "mean": _value(row["mean_at_k"]), "pass": _value(row["pass_at_k"]), "vote": _value(row["vote_at_k"]),
        "tokens": _value(row["tokens"]), "think": _value(row["think_ratio"]), "k": float(row["k"]),
    }  # fmt: skip


def _paper_backbone(beside: str) -> dict[CellKey, Values]:
    names = {"Qwen3-4B-Instruct-2507": "instruct", "Qwen3-4B": "hybrid", "Qwen3-4B-Base": "base"}
    return _relative({names[row["backbone"]]: _cell(row) for row in _rows("mi_backbones", beside, "thinking")})


def _paper_methods(beside: str) -> dict[CellKey, Values]:
    rows = _rows("mi_dynamics", beside, "model")
    return _relative({float(row["lambda"]) if row["method"] == "MI" else row["method"]: _cell(row) for row in rows})


def _paper_decoding(beside: str) -> dict[CellKey, Values]:
    """Mean@8 by (temperature, top-p)."""
    return {
        (float(t[1:]), row["top_p"]): {"mean": row[t], "k": 8}
        for row in _rows("mi_decoding", beside, "model") if row["metric"] == "mean_at_8" for t in ("t0.60", "t0.65", "t0.70")
    }  # fmt: skip


def _relative(found: dict[CellKey, Values]) -> dict[CellKey, Values]:
    """With `length`: tokens in percent of Thinking's, of backbones of Instruct's."""
    full = next((found[key]["tokens"] for key in ("thinking", 1.0, "instruct") if key in found), None)
    return {k: v | {"length": 100 * v["tokens"] / full if full and v["tokens"] else None} for k, v in found.items()}


PAPERS: dict[str, Callable[[str], dict[CellKey, Values]]] = {
    "layers": _paper_layers, "modules": _paper_modules, "backbone": _paper_backbone, "methods": _paper_methods, "decoding": _paper_decoding,
}  # fmt: skip

ENDS = {"instruct": "Instruct", "thinking": "Thinking"}
NAMED: dict[str, Callable[[Json], str]] = {
    "layers": lambda key: ENDS.get(key) or SPANS.get(key, "all layers and all else"),
    "modules": lambda key: "all modules" if key == "none" else f"without {key}",
    "backbone": lambda key: {"instruct": "into Instruct", "base": "into base", "hybrid": "into the hybrid Qwen3-4B"}[
        key
    ],
    "methods": lambda key: f"linear at λ {key:g}" if isinstance(key, float) else PAPER_METHODS[key],
    "decoding": lambda key: f"T {key[0]:g}, top-p {key[1]:g}",
}
