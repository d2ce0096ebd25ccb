"""What a search may vary, and how a proposal becomes a recipe with its decoding.

A space asks a trial (anything with `suggest_float`, `suggest_int` and `suggest_categorical`, as optuna's) for the numbers of its
dimensions and gives a `Cell`. With layer groups or modules the blend is a submodule profile: each part has the λ `level + offset`, so
that a proposal with all offsets at 0 is the plain blend at that λ, and shares its samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from mi_explorer.errors import UserError, unknown
from mi_explorer.merging.methods import METHODS, get_method
from mi_explorer.merging.methods.method import Param
from mi_explorer.recipe import Decoding, Recipe, Scope, number
from mi_explorer.studies.plan import Cell
from mi_explorer.untyped import Json, JsonObject

VARY = {
    "lambda": "λ, the weight of Thinking",
    "layers": "a λ for each group of layers",
    "modules": "a λ of its own for attention and for MLP",
    "method": "the merge method, and its parameters",
    "answer": "the λ of the answer, from the end of the thought on",
    "budget": "the thought budget",
}
OFFSET = 0.5  # how far a part's λ may lie from the level
LOWEST_BUDGET = 16  # tokens
PARTS = ("attention", "mlp")


class SearchError(UserError):
    """A search that cannot be meant or cannot go on."""


class Suggests(Protocol):
    """What a space asks for the numbers of a proposal: optuna's trials, or a table of given numbers."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None) -> float: ...
    def suggest_int(self, name: str, low: int, high: int) -> int: ...
    def suggest_categorical(self, name: str, choices: Json) -> Json: ...


@dataclass(frozen=True)
class SearchSpace:
    """What may vary (names of `VARY`) around `recipe` and `decoding`, which fix the rest.

    `layers`: how many the pair has; `groups` of them get a λ each (2 to all). λ runs over `lams` in steps of `step`. `methods`: those to
    choose among; some need the pair to
    have a base. `budgets`: lowest and highest thought budget; the highest stands for none.
    """

    vary: tuple[str, ...]
    layers: int
    recipe: Recipe = field(default_factory=Recipe)
    decoding: Decoding = field(default_factory=Decoding)
    groups: int = 3
    lams: tuple[float, float] = (0.0, 1.0)
    step: float = 0.05
    methods: tuple[str, ...] = ("linear",)
    budgets: tuple[int, int] | None = None
    has_base: bool = True

    def __post_init__(self) -> None:
        if not self.vary:
            raise SearchError(f"Nothing may vary, so there is nothing to search. Choose among: {', '.join(VARY)}.")
        for name in self.vary:
            if name not in VARY:
                raise SearchError(str(unknown("part to vary", name, VARY)))
        object.__setattr__(self, "vary", tuple(name for name in VARY if name in self.vary))
        low, high = self.lams
        if not low < high:
            raise SearchError(f"λ must have a range to run over; {low:g} to {high:g} is none.")
        object.__setattr__(self, "step", number(self.step, "The step of λ", 0.001, high - low))
        if "layers" in self.vary and not 2 <= self.groups <= self.layers:
            raise SearchError(
                f"The number of layer groups must lie between 2 and {self.layers}, the layers of this pair, not {self.groups}."
            )
        if "method" in self.vary:
            for name in self.methods:
                if get_method(name).blocks:
                    raise SearchError(f"The method {name} is what layers and modules vary; tick those instead.")
                if METHODS[name].needs_base and not self.has_base:
                    raise SearchError(
                        f"The method {name} needs a base, and this pair has none. Leave it out, or write the pair with a base "
                        "(instruct|thinking|base)."
                    )
            if len(self.methods) < 2 and not any(_params(name) for name in self.methods):
                raise SearchError(
                    "The method may vary, but only one is named and it has no parameters. Name several (--methods linear,ties)."
                )
        if "budget" in self.vary:
            low_, high_ = self.budgets or (min(LOWEST_BUDGET, self.decoding.cap), self.decoding.cap)
            if not 1 <= low_ < high_ <= self.decoding.cap:
                raise SearchError(
                    f"Thought budgets must rise from at least 1 to at most the token limit {self.decoding.cap}, "
                    f"not from {low_} to {high_}."
                )
            object.__setattr__(self, "budgets", (low_, high_))
        if self.has_parts and self.recipe.scope != Scope():
            raise SearchError("λ by layers or modules blends the whole model; leave out --layers and --modules.")

    @property
    def has_parts(self) -> bool:
        """Whether parts of the model have λs of their own."""
        return "layers" in self.vary or "modules" in self.vary

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First and last layer of each group; one group without "layers"."""
        count = self.groups if "layers" in self.vary else 1
        cuts = [round(i * self.layers / count) for i in range(count + 1)]
        return tuple((a, b - 1) for a, b in zip(cuts, cuts[1:], strict=False))

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the dimensions of a profile: `0-1`, or `attention 0-1` and `mlp 0-1` where modules vary."""
        spans = [f"{a}-{b}" if b > a else str(a) for a, b in self.spans]
        return tuple(f"{m} {s}" for s in spans for m in PARTS) if "modules" in self.vary else tuple(spans)

    @property
    def budget_steps(self) -> tuple[int | None, ...]:
        """Thought budgets in rising order, half an octave apart; the last is none."""
        low, high = self.budgets or (LOWEST_BUDGET, self.decoding.cap)
        out: list[int] = []
        while (step := round(low * 2 ** (len(out) / 2))) < high:
            out.append(step)
        return (*out, None)

    def cell(self, trial: Suggests) -> Cell:
        """The cell that a trial proposes."""
        recipe, decoding = self.recipe, self.decoding
        method = recipe.method
        if "method" in self.vary:
            method = str(trial.suggest_categorical("method", list(self.methods)))
            params = {p.name: self._parameter(trial, method, p) for p in _params(method)}
            recipe = replace(recipe, method=method, params=tuple(params.items()) if params else recipe.params)
        lam = recipe.lam
        if "lambda" in self.vary:
            lam = _clean(trial.suggest_float("lambda", *self.lams, step=self.step))
        recipe = recipe.at(lam)
        profile = self._profile(trial, lam) if self.has_parts and method == "linear" else None
        level = lam
        if profile is not None:
            recipe, level = self._profiled(recipe, profile, lam)
        if "answer" in self.vary:
            answer = _clean(trial.suggest_float("answer", *self.lams, step=self.step))
            recipe = _with_answer(recipe, answer, level)
        if "budget" in self.vary:
            steps = self.budget_steps
            decoding = replace(decoding, think_budget=steps[trial.suggest_int("budget", 0, len(steps) - 1)])
        return Cell(recipe, decoding, describe_candidate(recipe, decoding), "search")

    def line_params(self, lam: float) -> JsonObject | None:
        """The numbers that propose the plain blend at λ; None where the space does not hold it."""
        low, high = self.lams
        steps = (lam - low) / self.step
        if "lambda" not in self.vary or not low <= lam <= high or abs(steps - round(steps)) > 1e-6:
            return None
        if "method" in self.vary and "linear" not in self.methods:
            return None
        if "method" not in self.vary and self.recipe.method != "linear":
            return None
        out: JsonObject = {"lambda": _clean(low + round(steps) * self.step)}
        out |= {"method": "linear"} if "method" in self.vary else {}
        out |= dict.fromkeys(self.parts, 0.0) if self.has_parts else {}
        out |= {"answer": out["lambda"]} if "answer" in self.vary else {}
        return out | ({"budget": len(self.budget_steps) - 1} if "budget" in self.vary else {})

    def _profile(self, trial: Suggests, level: float) -> dict[str, float]:
        """λ of every part."""
        low, high = self.lams
        out = {}
        for part in self.parts:
            offset = trial.suggest_float(part, -OFFSET, OFFSET, step=self.step)
            out[part] = _clean(min(high, max(low, level + offset)))
        return out

    def _profiled(self, recipe: Recipe, profile: Mapping[str, float], level: float) -> tuple[Recipe, float]:
        """The recipe of a profile and its mean λ; a flat profile is the plain blend."""
        lams = set(profile.values())
        if lams == {level}:
            return recipe, level
        params = {"rest": level}
        for part, lam in profile.items():
            *module, span = part.split()
            first, _, last = span.partition("-")
            for layer in range(int(first), int(last or first) + 1):
                params |= {f"{m}.{layer}": lam for m in (module or PARTS)}
        mean = sum(profile.values()) / len(profile)
        return replace(recipe, method="submodule", lam=1.0, params=tuple(params.items())), mean

    def _parameter(self, trial: Suggests, method: str, p: Param) -> float:
        return _clean(trial.suggest_float(f"{method}.{p.name}", p.low, p.high, step=p.step))


def _params(method: str) -> list[Param]:
    """The parameters of a method that a search may vary: not the seed of its noise."""
    return [p for p in METHODS[method].params if p.name != "seed" and p.high > p.low]


def _with_answer(recipe: Recipe, answer: float, level: float) -> Recipe:
    """The recipe whose answer is written at λ = `answer`. A profile's answer has the profile scaled to that mean."""
    if recipe.method != "submodule":
        return recipe if answer == recipe.lam else replace(recipe, answer_lam=answer)
    scale = round(min(2.0, answer / level), 4) if level > 0 else 1.0
    return recipe if scale == 1 else replace(recipe, answer_lam=scale)


def _clean(x: float) -> float:
    return round(float(x), 6) + 0.0


def describe_candidate(recipe: Recipe, decoding: Decoding) -> str:
    """A candidate in a few words: `λ 0.6`, `λ 0.4 · 0.8 · 0.8 by layers, budget 64`."""
    words = []
    if recipe.method == "submodule":
        words.append(_profile_words(dict(recipe.params)))
    else:
        name = "" if recipe.method == "linear" else f"{recipe.method} "
        params = ", ".join(f"{k} {v:g}" for k, v in recipe.params)
        words.append(f"{name}λ {recipe.lam:g}" + (f" ({params})" if params else ""))
    if recipe.answer_lam is not None:
        words.append(f"answer {'profile × ' if recipe.method == 'submodule' else 'λ '}{recipe.answer_lam:g}")
    if decoding.think_budget is not None:
        words.append(f"budget {decoding.think_budget}")
    return ", ".join(words)


def _profile_words(params: Mapping[str, float]) -> str:
    by_module: dict[str, list[tuple[int, float]]] = {}
    for name, lam in params.items():
        module, _, layer = name.partition(".")
        if layer:
            by_module.setdefault(module, []).append((int(layer), lam))
    texts = {m: " · ".join(_runs([lam for _, lam in sorted(pairs)])) for m, pairs in by_module.items()}
    rest = f", elsewhere {params['rest']:g}" if "rest" in params else ""
    if len(set(texts.values())) == 1:
        return f"λ by layers {next(iter(texts.values()))}{rest}"
    return "λ by layers " + ", ".join(f"{m} {text}" for m, text in texts.items()) + rest


def _runs(lams: list[float]) -> list[str]:
    """Numbers in a row, each with how many layers have it."""
    out: list[tuple[float, int]] = []
    for lam in lams:
        if out and out[-1][0] == lam:
            out[-1] = (lam, out[-1][1] + 1)
        else:
            out.append((lam, 1))
    return [f"{lam:g}" + (f"×{count}" if count > 1 else "") for lam, count in out]
