"""A sweep as the form describes it: values in, a checked plan and its questions out; what it will cost, before it runs.

Cost is estimated from what was measured: tokens a response from studies of the same pair and task at the nearest λ, time from
the pace of samples that this machine made. What is not known is said to be unknown.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope, number
from mi_explorer.study.plan import Cell, Item, Plan, grid, parse_lambdas
from mi_explorer.study.run import items_of
from mi_explorer.study.samples import Sample
from mi_explorer.study.summary import Summary
from mi_explorer.tasks import load_task

REFINE_ROUNDS = 2
MOST_QUESTIONS, MOST_SAMPLES = 100_000, 1_000
FLAGS = (("temperature", "temperature"), ("top-p", "top_p"), ("top-k", "top_k"), ("cap", "cap"), ("seed", "seed"))
IDLE = 5.0  # seconds without a sample that count as a pause, not as pace
UNIFORM, REFINED = "uniform", "refine at the transition"

DEFAULTS: dict[str, Any] = {
    "task": "mini", "questions": 50, "samples": 2, "lams": "0:1:0.1", "grid": UNIFORM, "methods": ["linear"], "layers": "all",
    "modules": list(MODULES), "template": "own", "temperature": 0.6, "top_p": 0.95, "top_k": 20, "cap": 512, "seed": 0, "task_seed": 0,
    "name": "",
}  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """A plan with its questions, the name of its study ("": its own) and the rounds of refinement."""

    plan: Plan
    items: tuple[Item, ...]
    name: str
    refine: int


def read(form: Mapping[str, Any], pair: str, allowed: Callable[[str], str] = str) -> Sweep:
    """The sweep of a form (keys of `DEFAULTS`). `allowed` turns a visitor's task name into one that may be loaded.

    Raises `UserError` for everything that cannot be meant.
    """
    values = {**DEFAULTS, **{k: v for k, v in form.items() if k in DEFAULTS and v is not None}}
    questions = _whole(values["questions"], "Questions", 1, MOST_QUESTIONS)
    samples = _whole(values["samples"], "Samples of each question", 1, MOST_SAMPLES)
    lams = parse_lambdas(str(values["lams"]))
    methods = list(dict.fromkeys(str(m) for m in values["methods"] or ()))
    if not methods:
        raise UserError("Choose at least one method.")
    scope = Scope(str(values["layers"]), tuple(str(m) for m in values["modules"]))
    decoding = Decoding(
        values["temperature"], values["top_p"], values["top_k"], cap=values["cap"], seed=values["seed"]
    )  # fmt: skip
    cells: tuple[Cell, ...] = ()
    for method in methods:
        cells += grid(Recipe(pair, method, lams[0], scope, (), str(values["template"])), lams, decoding, method if len(methods) > 1 else "")
    task, task_seed = allowed(str(values["task"]).strip()), _whole(values["task_seed"], "Task seed", 0, 2**31)
    items = items_of(load_task(task, questions, task_seed))
    plan = Plan(task, cells, len(items), samples, task_seed=task_seed)
    return Sweep(replace(plan, command=command(plan)), items, _name(values["name"]), REFINE_ROUNDS if values["grid"] == REFINED else 0)


def extended(plan: Plan, items: Sequence[Item], questions: Any = None, samples: Any = None, lams: str = "",
             allowed: Callable[[str], str] = str) -> tuple[Plan, tuple[Item, ...]]:  # fmt: skip
    """A stored plan with more questions, samples or λs (each curve gets them); never with fewer. Raises `UserError`."""
    asked = plan.questions if questions is None else _whole(questions, "Questions", 1, MOST_QUESTIONS)
    each = plan.samples if samples is None else _whole(samples, "Samples of each question", 1, MOST_SAMPLES)
    kept = tuple(items)
    if asked > len(kept):
        more = items_of(load_task(allowed(plan.task), asked, plan.task_seed))
        known = {item.key for item in kept}
        kept += tuple(item for item in more if item.key not in known)[: asked - len(kept)]
    cells = plan.cells
    if str(lams or "").strip():
        wanted = parse_lambdas(lams)
        curves = {(c.recipe.at(0.0), c.decoding): c for c in cells if c.group != "ends"}
        cells += tuple(replace(c, recipe=c.recipe.at(lam)) for c in curves.values() for lam in wanted)
    new = replace(plan, cells=cells, questions=max(plan.questions, len(kept)), samples=max(plan.samples, each))
    return replace(new, command=command(new)), kept


def command(plan: Plan) -> str:
    """The command line that makes the same samples; "" where one line cannot say it (several recipes besides the method)."""
    curves = {(c.recipe.at(0.0), c.decoding) for c in plan.cells}
    scopes = {(r.scope, r.template, r.params, r.pair, d) for r, d in curves}
    if len(scopes) > 1 or plan.kind != "sweep":
        return ""
    scope, template, _, pair, d = next(iter(scopes))
    methods = ",".join(dict.fromkeys(c.recipe.method for c in plan.cells))
    lams = ",".join(f"{lam:g}" for lam in sorted({c.recipe.lam for c in plan.cells}))
    words = ["python", "-m", "mi_explorer", "sweep", "--pair", pair, "--task", plan.task, f"--lambda={lams}"]
    words += ["--questions", f"{plan.questions}", "--samples", f"{plan.samples}"]
    words += ["--method", methods] if methods != "linear" else []
    words += ["--layers", scope.layers] if scope.layers != "all" else []
    words += ["--modules", ",".join(scope.modules)] if set(scope.modules) != set(MODULES) else []
    words += ["--template", template] if template != "own" else []
    plain = Decoding()
    for flag, name in FLAGS:
        if getattr(d, name) != getattr(plain, name):
            words += [f"--{flag}", f"{getattr(d, name):g}"]
    return shlex.join(words + (["--task-seed", f"{plan.task_seed}"] if plan.task_seed else []))


@dataclass(frozen=True)
class Cost:
    """What a plan takes: samples in all and still to make, tokens of those (None: unknown), seconds (None: unknown)."""

    units: int
    missing: int
    tokens: float | None
    seconds: float | None
    cap: int

    @property
    def text(self) -> str:
        """In words, with what it rests on."""
        made = "" if self.missing == self.units else f", {self.missing:,} of them still to make"
        if self.tokens is None:
            most = f"at most {self.missing * self.cap:,} tokens"
            return f"{self.units:,} samples{made}. No study of this pair and task tells how long answers are: {most}."
        size = f"about {_about(self.tokens)} tokens (by lengths measured at the nearest λ)"
        if self.seconds is None:
            return f"{self.units:,} samples{made}, {size}. How long that takes is told once samples come in on this machine."
        return f"{self.units:,} samples{made}, {size}, about {_time(self.seconds)} at this machine's last pace."


def cost(plan: Plan, missing: int, known: Iterable[Summary], pace: float | None) -> Cost:
    """The cost of what is missing of a plan; `known` are studies to learn lengths from, `pace` in tokens a second."""
    units = sum(1 if c.decoding.temperature == 0 else plan.samples for c in plan.cells) * plan.questions
    lengths = _lengths(plan, known)
    cap = max(c.decoding.cap for c in plan.cells)
    if lengths is None or not units:
        return Cost(units, missing, None, None, cap)
    mean = float(np.mean([min(x, c.decoding.cap) for x, c in zip(lengths, plan.cells, strict=True)]))
    tokens = mean * missing
    return Cost(units, missing, tokens, tokens / pace if pace else None, cap)


def _lengths(plan: Plan, known: Iterable[Summary]) -> list[float] | None:
    """Mean tokens per cell, by interpolation over the measured λs of the same pair and task; None if there are none."""
    seen: dict[float, list[float]] = {}
    for summary in known:
        if summary.info.plan.task != plan.task:
            continue
        for row, cell in zip(summary.rows, summary.cells, strict=True):
            if row.cell.recipe.pair in plan.pairs and cell["tokens"] is not None:
                seen.setdefault(row.cell.recipe.lam, []).append(cell["tokens"])
    if not seen:
        return None
    lams = sorted(seen)
    values = [float(np.mean(seen[lam])) for lam in lams]
    return [float(np.interp(c.recipe.lam, lams, values)) for c in plan.cells]


def pace(samples: Sequence[Sample]) -> float | None:
    """Tokens a second at which samples came in, pauses left out; None from fewer than ten of them."""
    timed = sorted((s.finished, s.tokens) for s in samples if s.finished)
    if len(timed) < 10:
        return None
    busy = sum(min(b - a, IDLE) for (a, _), (b, _) in zip(timed, timed[1:], strict=False))
    return sum(tokens for _, tokens in timed[1:]) / busy if busy > 0 else None


def _whole(value: Any, what: str, low: int, high: int) -> int:
    found = number(value, what, low, high)
    if found != int(found):
        raise UserError(f"{what} must be a whole number, not {found:g}.")
    return int(found)


def _name(value: Any) -> str:
    text = " ".join(str(value or "").split())
    if len(text) > 200:
        raise UserError("A study's name must have at most 200 characters.")
    return text


def _about(x: float) -> str:
    return f"{x / 1e6:.1f} million" if x >= 1e6 else f"{round(x, -2 if x >= 1000 else 0):,.0f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
