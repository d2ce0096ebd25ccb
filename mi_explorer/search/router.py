"""Routers: which λ a question gets. A score says how likely the lower λ is right; from a threshold on, it answers.

`confidence` needs no training: the score is Instruct's probability of the question's tokens (geometric mean). `logistic` was trained on
the search split of a study.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import LAM_RANGE, number
from mi_explorer.search.logistic import Logistic
from mi_explorer.search.question_features import FEATURES
from mi_explorer.untyped import JsonMapping, JsonObject

BUNDLED = ASSETS / "searches"
SURPRISE = FEATURES.index("surprise instruct")


class RouterError(UserError):
    """A router that cannot be read or used."""


@dataclass(frozen=True)
class RoutedLambda:
    """The λ that a question gets, the score, and why in a sentence."""

    lam: float
    score: float
    why: str


@dataclass(frozen=True)
class Router:
    """`low` where the score is at least `threshold`, else `high`. `model` is None for the router by confidence."""

    low: float = 0.0
    high: float = 0.6
    threshold: float = 0.5
    model: Logistic | None = None
    pair: str = ""

    @property
    def kind(self) -> str:
        return "confidence" if self.model is None else "logistic"

    def scores(self, features: np.ndarray) -> np.ndarray:
        """The score of each question from its features [questions, features]."""
        features = np.atleast_2d(np.asarray(features, dtype=np.float64))
        if self.model is None:
            return np.asarray(np.exp(-features[:, SURPRISE]))
        return self.model.probability(features)

    def route(self, features: Sequence[float]) -> RoutedLambda:
        """The λ of one question."""
        score = float(self.scores(np.array(features))[0])
        easy = score >= self.threshold
        lam = self.low if easy else self.high
        what = (
            f"Instruct gives the question's words a probability of {score:.2f} each"
            if self.model is None
            else f"λ {self.low:g} is right with probability {score:.2f}"
        )
        relation = "at least" if easy else "below"
        return RoutedLambda(
            lam, score, f"λ {lam:g} by the router {self.kind}: {what}, {relation} {self.threshold:.2f}."
        )

    def at(self, threshold: float) -> "Router":
        """The same router with another threshold."""
        return replace(self, threshold=threshold)

    def json(self) -> JsonObject:
        return {**asdict(self), "kind": self.kind, "features": list(FEATURES)}


def router_of(data: JsonMapping) -> Router:
    """Inverse of `Router.json`; `RouterError` for anything else."""
    try:
        model = data["model"]
        if list(data["features"]) != list(FEATURES):
            raise RouterError("This router was made for other features, by another version. Train it anew.")
        fitted = None
        if model is not None:
            parts = {k: tuple(float(x) for x in model[k]) for k in ("weights", "mean", "scale")}
            if {len(p) for p in parts.values()} != {len(FEATURES)} or not all(parts["scale"]):
                raise ValueError("numbers of features")
            fitted = Logistic(bias=float(model["bias"]), **parts)
        low, high = (number(data[k], f"The router's {k} λ", *LAM_RANGE) for k in ("low", "high"))
        threshold = number(data["threshold"], "The router's threshold", -1, 2)
        return Router(low, high, threshold, fitted, str(data.get("pair", "")))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise RouterError(f"This is not a router ({error!r}). 'search route' makes one.") from None


def load_router(name: str, pair: str) -> Router:
    """`confidence`; `auto`, the bundled router of the pair, else `confidence`; or a .json file that `search route` wrote."""
    bundled = BUNDLED / f"{pair}-router.json"
    if name == "confidence" or (name == "auto" and not (pair.isalnum() and bundled.is_file())):
        return Router(pair=pair)
    path = bundled if name == "auto" else Path(name)
    try:
        router = router_of(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RouterError(
            f"{str(path)[-80:]} cannot be read: {error.strerror}. A router is 'confidence' or a file."
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise RouterError(f"{str(path)[-80:]} is not a router's file.") from None
    if router.pair not in ("", pair):
        raise RouterError(
            f"This router was trained on the pair {router.pair[:80]!r}, not {pair[:80]!r}. Train one for it."
        )
    return router
