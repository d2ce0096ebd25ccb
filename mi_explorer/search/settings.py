"""How much a search may spend, and what on."""

from dataclasses import asdict, dataclass

from mi_explorer.errors import unknown
from mi_explorer.search.space import SearchError
from mi_explorer.studies.plan import parse_lambdas
from mi_explorer.untyped import JsonObject

SAMPLERS = {
    "tpe": "tree-structured Parzen estimators, multi-objective",
    "nsga2": "NSGA-II, a genetic algorithm",
    "random": "random proposals, to compare with",
}
LEAST_QUESTIONS = 8  # of each split: fewer cannot tell candidates apart


@dataclass(frozen=True)
class SearchSettings:
    """`evaluations`: distinct candidates to measure. `tokens`: most tokens that the candidates' samples may have in all (None: no limit).

    `within`: maximise accuracy within so many mean tokens, instead of a frontier of both. `questions` × `samples` measure a candidate;
    `batch` candidates run side by side. `line`: λs of the plain line, measured first. `heldout_questions` × `heldout_samples` measure at
    most `finalists` anew. `race`: whether clearly dominated candidates stop early. `warm`: whether the line's points begin the search.
    """

    evaluations: int = 48
    tokens: int | None = None
    within: float | None = None
    questions: int = 48
    samples: int = 2
    heldout_questions: int = 100
    heldout_samples: int = 4
    finalists: int = 6
    batch: int = 8
    sampler: str = "tpe"
    seed: int = 0
    line: tuple[float, ...] = tuple(parse_lambdas("0:1:0.1"))
    race: bool = True
    warm: bool = True

    def __post_init__(self) -> None:
        for name, low in (
            ("evaluations", 1),
            ("questions", LEAST_QUESTIONS),
            ("samples", 1),
            ("finalists", 1),
            ("batch", 1),
        ):
            self._at_least(name, low)
        self._at_least("heldout_questions", LEAST_QUESTIONS)
        self._at_least("heldout_samples", 1)
        if self.tokens is not None:
            self._at_least("tokens", 1)
        if self.within is not None and not self.within > 0:
            raise SearchError(f"The tokens of an answer must be more than 0, not {self.within:g}.")
        if self.sampler not in SAMPLERS:
            raise SearchError(str(unknown("sampler", self.sampler, SAMPLERS)))
        if len(set(self.line)) < 2:
            raise SearchError("The plain line needs at least two λs to be compared with.")
        object.__setattr__(self, "line", tuple(sorted(set(self.line))))

    def _at_least(self, name: str, low: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or value < low:
            raise SearchError(f"{name.replace('_', ' ')} must be a whole number of at least {low}, not {value}.")

    def plain(self) -> JsonObject:
        """As JSON values."""
        return {**asdict(self), "line": list(self.line)}

    @staticmethod
    def of(data: JsonObject) -> "SearchSettings":
        return SearchSettings(**{**data, "line": tuple(data["line"])})
