"""Probes as values: what is asked of a trace, what came out at each position, and what that says of the thought."""

from dataclasses import dataclass, field
from statistics import fmean

from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe, number
from mi_explorer.tasks.verify import canonical
from mi_explorer.untyped import JsonObject

MAX_POINTS = 256


MAX_SAMPLES = 64


MAX_ANSWER_TOKENS = 64  # of a forced answer, unless asked for more


class ProbeError(UserError):
    """A trace that cannot be probed: it runs, has no gold answer or no thought; or a point that is not in its thought."""


@dataclass(frozen=True)
class ProbeOptions:
    """`points`: most positions, spread evenly; `at`: these positions instead (tokens of the response). `lam`: the λ that answers and
    goes on (None: the trace's own). `samples`: answers drawn beside the greedy one, `free`: continuations, of each position."""

    points: int = 12
    at: tuple[int, ...] = ()
    lam: float | None = None
    samples: int = 0
    free: int = 0
    max_answer_tokens: int = MAX_ANSWER_TOKENS

    def __post_init__(self) -> None:
        for name, low, high in (
            ("points", 1, MAX_POINTS),
            ("samples", 0, MAX_SAMPLES),
            ("free", 0, MAX_SAMPLES),
            ("max_answer_tokens", 1, 100_000),
        ):
            x = number(getattr(self, name), f"{name.replace('_', ' ')} of a probe", low, high)
            if x != int(x):
                raise ProbeError(f"{name.replace('_', ' ')} of a probe must be a whole number, not {x:g}.")
            object.__setattr__(self, name, int(x))
        if self.lam is not None:
            object.__setattr__(self, "lam", Recipe(lam=self.lam).lam)


@dataclass(frozen=True)
class ProbePoint:
    """After `token` tokens of the response the thought was closed: the greedy `answer`, whether it is `right`, and `confidence`, the
    mean probability of the answer's tokens. `cut`: it did not come to its end. `samples`, `free`: which of the drawn answers and of
    the continuations were right; `free_tokens`: how long the whole responses of the latter are.
    """

    token: int
    answer: str | None
    right: bool
    confidence: float | None
    cut: bool = False
    samples: tuple[bool, ...] = ()
    free: tuple[bool, ...] = ()
    free_tokens: tuple[int, ...] = ()

    @property
    def free_share(self) -> float | None:
        """P(right | t, λ) of a free continuation; None where none was drawn."""
        return fmean(self.free) if self.free else None

    def plain(self) -> JsonObject:
        """As JSON values; `probe_point_of` is the inverse."""
        found: JsonObject = {
            "token": self.token,
            "answer": self.answer,
            "right": self.right,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "cut": self.cut,
        }
        if self.samples:
            found["samples"] = list(self.samples)
        if self.free:
            found |= {"free": list(self.free), "free_tokens": list(self.free_tokens), "free_share": self.free_share}
        return found


def probe_point_of(data: JsonObject) -> ProbePoint:
    """The point of stored JSON values; raises `ProbeError` for others."""
    try:
        return ProbePoint(
            int(data["token"]),
            None if data["answer"] is None else str(data["answer"]),
            bool(data["right"]),
            None if data["confidence"] is None else float(data["confidence"]),
            bool(data.get("cut", False)),
            tuple(map(bool, data.get("samples", ()))),
            tuple(map(bool, data.get("free", ()))),
            tuple(map(int, data.get("free_tokens", ()))),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProbeError(f"A stored probe cannot be read: {error!r}.") from None


@dataclass(frozen=True)
class ProbedTrace:
    """The points of one trace, in order, beside its own end: `tokens` of it, of which `think_tokens` of thought, and whether its own
    answer is `right`. `kind` says how answers are compared."""

    points: tuple[ProbePoint, ...]
    tokens: int
    think_tokens: int
    right: bool
    kind: str = field(default="auto", compare=False)

    @property
    def sufficient(self) -> int | None:
        """Tokens of the first prefix from which the forced answer is right and stays right, the trace's own answer included."""
        found = None
        for point in reversed(self.points if self.right else ()):
            if not point.right:
                break
            found = point.token
        return found

    @property
    def verbose(self) -> float | None:
        """Verbose overthinking: share of the tokens after `sufficient`. Of right traces only; 0 where no prefix was sufficient."""
        if not self.right or not self.points:
            return None
        return 0.0 if self.sufficient is None else 1 - self.sufficient / self.tokens

    @property
    def harmful(self) -> bool:
        """Harmful overthinking: right at some probe, wrong at the end."""
        return not self.right and any(point.right for point in self.points)

    @property
    def switches(self) -> int:
        """How often the probed answer changes from one point to the next; points without an answer are passed over."""
        keys = [canonical(point.answer, self.kind) for point in self.points if point.answer is not None]
        return sum(a != b for a, b in zip(keys, keys[1:]))

    def json(self) -> JsonObject:
        """Points and measures as JSON values."""
        return {
            "points": [point.plain() for point in self.points],
            "sufficient": self.sufficient,
            "verbose": None if self.verbose is None else round(self.verbose, 4),
            "harmful": self.harmful,
            "switches": self.switches,
            "tokens": self.tokens,
            "think_tokens": self.think_tokens,
            "right": self.right,
        }
