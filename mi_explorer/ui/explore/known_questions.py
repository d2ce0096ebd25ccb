"""Whether a question is one of those that a small pair knows, judged by Instruct's own surprise at its tokens (one prefill).

What a pair knows, in words, and the surprise from which on a question is none of that stand in assets/known/PAIR.json.
`python -m mi_explorer.ui.explore.known_questions` makes the embedded pair's: the threshold is chosen on one half of held-out questions
of its task and of the everyday prompts in assets/known/everyday.txt, the errors are counted on the other half.
"""

import argparse
import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.untyped import JsonObject

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

FOLDER = ASSETS / "known"
EVERYDAY = FOLDER / "everyday.txt"
WORDS = {"mini": "ten kinds of small arithmetic problems"}
MAX_READ = 2000  # characters of a question that are read
Z95 = 1.959964
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownQuestions:
    """What a pair knows in `words`; a question whose surprise (nats a token) is above `threshold` is none of it."""

    words: str
    threshold: float

    def holds(self, bench: "Workbench", question: str) -> bool | None:
        """Whether the pair knows a question; None for one that it cannot read."""
        from mi_explorer.search.question_features import question_surprise

        if bench.resident is None or not question.strip():
            return None
        try:
            found = question_surprise(bench.resident, bench.prompts, bench.pair.name, question[:MAX_READ])
        except UserError:
            return None
        return found <= self.threshold


def known_questions(bench: "Workbench", folder: Path = FOLDER) -> KnownQuestions | None:
    """What is kept of this pair and of these very weights; None for a pair that nothing is said of."""
    if bench.pair.name not in WORDS:
        return None
    try:
        kept = json.loads((folder / f"{bench.pair.name}.json").read_text(encoding="utf-8"))
        return (
            KnownQuestions(str(kept["words"]), float(kept["threshold"]))
            if kept["weights"] == bench.fingerprint
            else None
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("What the pair %s knows cannot be read: %s", bench.pair.name, error)
        return None


# -- choosing the threshold ----------------------------------------------------------------------------------------------


def first_half(question: str) -> bool:
    """On which half a question falls: by its hash."""
    return hashlib.sha256(question.encode()).digest()[0] % 2 == 0


def best_threshold(known: Sequence[float], others: Sequence[float]) -> float:
    """The surprise that tells both apart with the fewest errors, each kind counted as a share; the middle of the widest gap of those."""
    values = sorted({*known, *others})
    gaps = [(a, b) for a, b in zip(values, values[1:])]

    def errors(gap: tuple[float, float]) -> float:
        return sum(x > gap[0] for x in known) / len(known) + sum(x <= gap[0] for x in others) / len(others)

    low, high = min(gaps, key=lambda gap: (errors(gap), gap[0] - gap[1]))
    return (low + high) / 2


def share_with_interval(count: int, n: int) -> JsonObject:
    """A share of n with its 95 % interval by Wilson."""
    p, z2 = count / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return {"count": count, "n": n, "share": round(p, 4), "low": round(low, 4), "high": round(high, 4)}


def measure_threshold(
    bench: "Workbench", own: Sequence[str], everyday: Sequence[str], reworded: Sequence[str]
) -> JsonObject:
    """The threshold and its errors as the content of a file. `reworded` are problems of the same kinds in other words: neither right
    nor wrong, so only counted."""
    from mi_explorer.search.question_features import question_surprise

    assert bench.resident is not None
    resident = bench.resident
    name = bench.pair.name
    surprise = {q: question_surprise(resident, bench.prompts, name, q) for q in (*own, *everyday, *reworded)}

    def of(questions: Sequence[str], half: bool) -> list[float]:
        return [surprise[q] for q in questions if first_half(q) is half]

    threshold = round(best_threshold(of(own, True), of(everyday, True)), 2)

    def above(found: Sequence[float]) -> JsonObject:
        return share_with_interval(sum(x > threshold for x in found), len(found))

    def below(found: Sequence[float]) -> JsonObject:
        return share_with_interval(sum(x <= threshold for x in found), len(found))

    return {
        "made_by": "python -m mi_explorer.ui.explore.known_questions",
        "weights": bench.fingerprint,
        "words": WORDS[name],
        "threshold": threshold,
        "hint_on_known": {"chosen_on": above(of(own, True)), "measured_on": above(of(own, False))},
        "no_hint_on_everyday": {"chosen_on": below(of(everyday, True)), "measured_on": below(of(everyday, False))},
        "hint_on_reworded": above([surprise[q] for q in reworded]),
        "missed": [q for q in everyday if surprise[q] <= threshold],
        "highest_known": round(max(surprise[q] for q in own), 2),
    }


def _main() -> None:
    """Choose the threshold of the embedded pair, measure it and write both."""
    argparse.ArgumentParser(
        description="Choose and measure from which surprise on a question is none of those a pair knows."
    ).parse_args()
    from mi_explorer.tasks import load_task
    from mi_explorer.workbench import Workbench

    everyday = EVERYDAY.read_text(encoding="utf-8").splitlines()
    with Workbench.open("mini") as bench:
        own, reworded = ([q.text for q in load_task(task).questions] for task in ("mini", "smollm2"))
        content = measure_threshold(bench, own, everyday, reworded)
    path = FOLDER / "mini.json"
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    _main()
