"""Recipe, Scope, Decoding: frozen values that say which blend runs and how it is sampled.

A recipe is pair + method + λ + scope + method parameters + template policy. It has a stable hash that is the key of
every cache, store row, file name and model card. Nothing here knows tensors, models or text.
"""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field, replace

from mi_explorer.errors import UserError
from mi_explorer.untyped import JsonObject

MODULES = ("attention", "mlp", "norm", "embedding", "lm_head", "other")
TEMPLATES = ("instruct", "thinking", "own")  # own: λ = 0 uses Instruct's template, everything else Thinking's
LAM_RANGE = (-1.0, 2.0)  # extrapolation is legitimate; beyond this it is a typing error


class RecipeError(UserError):
    """A recipe, scope or decoding value that cannot be meant."""


def short_text(value: object) -> str:
    """A wrong value as a sentence shows it: short, and in characters that every terminal and store can take."""
    return "one of so many digits" if isinstance(value, int) and abs(value) > 10**40 else ascii(value)[:40]


def number(value: object, what: str, low: float, high: float) -> float:
    """`value` as a finite float within [low, high], or a `RecipeError` that says what is wrong with it."""
    try:
        x = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise RecipeError(f"{what} must be a number, not {short_text(value)}.") from None
    if not math.isfinite(x) or not low <= x <= high:
        raise RecipeError(f"{what} must lie between {low:g} and {high:g}, not {x:g}.")
    return x + 0.0  # -0.0 and 0.0 are one value


def parse_layers(text: str) -> tuple[tuple[int, int], ...] | None:
    """Inclusive ranges of `"0-11, 24-35"`, sorted and merged; None for `"all"`. Layer counts are checked later, per pair."""
    text = str(text).strip().lower()
    if text in ("all", "*"):
        return None
    spans = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(\d{1,4})(?:\s*-\s*(\d{1,4}))?", part)
        if not match:
            raise RecipeError(f"Layers must look like 'all' or '0-11, 24-35', not {text[:60]!r}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise RecipeError(f"Layer range {part!r} runs backwards; write {last}-{first}.")
        spans.append((first, last))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


@dataclass(frozen=True)
class Scope:
    """Which tensors are blended: layers × modules. Outside the scope Instruct stays bit for bit.

    `layers` is canonical text (`"all"`, `"none"` or merged inclusive ranges such as `"0-11,24-35"`) and applies to tensors that
    belong to a layer; embedding, lm_head and the final norm follow their module alone.
    """

    layers: str = "all"
    modules: tuple[str, ...] = MODULES

    def __post_init__(self) -> None:
        spans = parse_layers("" if self.layers == "none" else self.layers)
        text = "all" if spans is None else ",".join(f"{a}-{b}" if b > a else str(a) for a, b in spans) or "none"
        unknown = [m for m in self.modules if m not in MODULES]
        if unknown:
            raise RecipeError(f"Unknown module {unknown[0]!r} in the scope. Known: {', '.join(MODULES)}.")
        object.__setattr__(self, "layers", text)
        object.__setattr__(self, "modules", tuple(m for m in MODULES if m in self.modules))

    def has_layer(self, layer: int) -> bool:
        """Whether `layer` (0-based) is inside the layer part of the scope."""
        if self.layers == "all":
            return True
        if self.layers == "none":
            return False
        return any(a <= layer <= b for a, b in parse_layers(self.layers) or ())

    def includes(self, module: str, layer: int | None) -> bool:
        """Whether a tensor of this module and layer (None: belongs to no layer) is blended."""
        return module in self.modules and (layer is None or self.has_layer(layer))

    def check(self, layers: int) -> None:
        """Raise `RecipeError` if a range names a layer that a model of `layers` layers does not have."""
        for _, last in (parse_layers(self.layers) or ()) if self.layers not in ("all", "none") else ():
            if last >= layers:
                raise RecipeError(f"The scope names layer {last}, but this pair has layers 0-{layers - 1}.")


@dataclass(frozen=True)
class Decoding:
    """How tokens are drawn: temperature 0 is greedy; top_k 0, top_p 1, min_p 0 and repetition_penalty 1 are off.

    `cap` is the most tokens a response may have; `seed` the base seed from which samples derive theirs. `think_budget`: a thought
    that is still open after so many tokens of the response is closed there by its closing tag (None: it may go on).
    """

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    cap: int = 512
    seed: int = 0
    think_budget: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0, 5),
            ("top_p", 0, 1),
            ("min_p", 0, 1),
            ("repetition_penalty", 0.1, 10),
        ):
            object.__setattr__(self, name, number(getattr(self, name), name, low, high))
        for name, low, high in (("top_k", 0, 1_000_000), ("cap", 1, 1_000_000), ("seed", 0, 2**53)):
            x = number(getattr(self, name), name, low, high)
            if x != int(x):
                raise RecipeError(f"{name} must be a whole number, not {x:g}.")
            object.__setattr__(self, name, int(x))
        if self.think_budget is not None:
            object.__setattr__(self, "think_budget", _checked_budget(self.think_budget))

    def with_seed(self, seed: int) -> "Decoding":
        return replace(self, seed=seed)

    def plain(self) -> JsonObject:
        """As plain values, which keys are hashed from and stores hold. A thought budget is among them only where there is one,
        so that what was stored before there were any keeps its key."""
        return {name: value for name, value in asdict(self).items() if name != "think_budget" or value is not None}


def _checked_budget(value: object) -> int:
    """A thought budget as a whole number of tokens, at least 1."""
    tokens = number(value, "The thought budget", -1e12, 1e12)
    if tokens != int(tokens) or not 1 <= tokens <= 1_000_000:
        raise RecipeError(
            f"The thought budget must be a whole number of tokens from 1 to 1,000,000, not {tokens:g}. Leave it out for a "
            "thought of any length; λ = 0 answers without one."
        )
    return int(tokens)


@dataclass(frozen=True)
class Recipe:
    """One blend: θ = (1−λ)·instruct + λ·thinking for `method="linear"`, within `scope`, Instruct elsewhere.

    `answer_lam`: the λ from the end of the thought on, where it is another one (None: `lam` throughout). A response that closes no
    thought stays at `lam`.
    """

    pair: str = "mini"
    method: str = "linear"
    lam: float = 0.5
    scope: Scope = field(default_factory=Scope)
    params: tuple[tuple[str, float], ...] = ()
    template: str = "own"
    answer_lam: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lam", number(self.lam, "λ", *LAM_RANGE))
        if self.answer_lam is not None:
            object.__setattr__(self, "answer_lam", number(self.answer_lam, "The answer's λ", *LAM_RANGE))
        if self.template not in TEMPLATES:
            raise RecipeError(f"Template policy must be one of {', '.join(TEMPLATES)}, not {self.template!r}.")
        object.__setattr__(
            self,
            "params",
            tuple(sorted((str(k), number(v, f"parameter {k}", -1e12, 1e12)) for k, v in dict(self.params).items())),
        )

    def at(self, lam: float) -> "Recipe":
        """The same recipe at another λ."""
        return replace(self, lam=lam)

    @property
    def for_thought(self) -> "Recipe":
        """The blend that a response begins with."""
        return self if self.answer_lam is None else replace(self, answer_lam=None)

    @property
    def for_answer(self) -> "Recipe":
        """The blend that writes after the end of the thought."""
        return self if self.answer_lam is None else replace(self, lam=self.answer_lam, answer_lam=None)

    @property
    def hash(self) -> str:
        """16 hex digits that stay the same across processes, machines and versions of this package."""
        values = asdict(self)
        if self.answer_lam is None:  # hashes from before there was one stay what they were
            del values["answer_lam"]
        text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
