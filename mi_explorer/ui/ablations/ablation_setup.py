"""What an ablation is asked with: its size and settings, checked, the defaults for one click, and the words for cost."""

from dataclasses import dataclass, replace

from mi_explorer.command_line import command_line, lambda_option
from mi_explorer.errors import UserError, unknown
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies import ablations
from mi_explorer.untyped import Json

ABOUT = {
    "layers": ("Layers", "Which third of the layers carries the thought? Outside the blended layers Instruct stays."),
    "modules": ("Modules", "Attention or MLP? Modules that are left out stay Instruct's."),
    "decoding": ("Decoding", "Does temperature or top-p matter? One blend under a grid of both."),
    "backbone": ("Backbone", "Thinking blended into Instruct, and into the base model in its place."),
    "methods": ("Methods", "Plain interpolation beside the other merge methods, each at its published setting."),
}


class AblationError(UserError):
    """An ablation that cannot be planned or run as asked."""


@dataclass(frozen=True)
class AblationSetup:
    """What the controls say; `of` checks it. `questions` of `task`, `samples` of each, at one λ (methods: published settings)."""

    kind: str
    lam: float = 0.8
    questions: int = 50
    samples: int = 2
    task: str = "mini"
    cap: int = 512

    @staticmethod
    def of(kind: Json, lam: Json, questions: Json, samples: Json, task: Json, cap: Json) -> "AblationSetup":
        """From the page. Raises `UserError` for what cannot be meant."""
        if kind not in ablations.KINDS:
            raise unknown("ablation", str(kind)[:40], ablations.KINDS)
        checked = Decoding(cap=cap if cap is not None else 0)
        return AblationSetup(
            kind,
            Recipe(lam=lam).lam,
            positive_integer(questions, "Questions", 2_000),
            positive_integer(samples, "Samples", 64),
            str(task or "mini"),
            checked.cap,
        )


def positive_integer(x: Json, what: str, most: int) -> int:
    """x as a whole number from 1 to `most`, or an `AblationError`."""
    try:
        n = int(x)
    except (TypeError, ValueError):
        n = 0
    if not 1 <= n <= most:
        raise AblationError(f"{what} must be a whole number from 1 to {most:,}.")
    return n


def default_setup(kind: str) -> AblationSetup:
    """A sensible size for one click: under a minute or so on the embedded pair."""
    return AblationSetup(kind, 0.4 if kind == "decoding" else 0.8, 60 if kind != "methods" else 40)


def setup_for_pair(kind: str, pair: str, task: str, tokens: int, tasks: list[str]) -> AblationSetup:
    """The defaults for a pair that is asked `task` ("": it has none) and `tokens` at most: the embedded one is terse, others need room to
    think."""
    usual = default_setup(kind)
    if pair == "mini":
        return usual
    task = task or next((t for t in ("gsm8k", "reasoning_gym") if t in tasks), usual.task)
    return replace(usual, questions=30, samples=1, task=task, cap=min(4096, tokens))


def ablation_command(pair: str, setup: AblationSetup) -> str:
    """The command line that does the same."""
    at = [] if setup.kind == "methods" else [lambda_option([setup.lam])]
    size = ["--questions", str(setup.questions), "--samples", str(setup.samples), "--cap", str(setup.cap)]
    return command_line("ablate", setup.kind, "--pair", pair, "--task", setup.task, *at, *size)
