"""Candidates of a search side by side as rows of one batch against one after the other, in one run. Goal: at least 3× faster.

PYTHONPATH=. python tests/bench/bench_search.py [--candidates 16] [--questions 8] [--json FILE]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.proposals import Proposals
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.plan import Cell, Plan
from mi_explorer.studies.progress import SampleDone
from mi_explorer.studies.runner import Runner, items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from mi_explorer.workbench import Workbench


def seconds(bench: Workbench, folder: Path, name: str, batches: list[list[Cell]], questions: int) -> tuple[float, int]:
    """Time and tokens of measuring these batches one after the other, each in a store that knows nothing."""
    items = items_of(load_task("mini", questions))
    with Store(folder / f"{name}.db") as store:
        began, tokens = time.perf_counter(), 0
        for i, cells in enumerate(batches):
            plan = Plan("mini", tuple(cells), questions, 1)
            for event in Runner(store, plan, items, lambda _: bench, name=str(i)).run():
                tokens += event.sample.tokens if isinstance(event, SampleDone) else 0
        return time.perf_counter() - began, tokens


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--candidates", type=int, default=16)
    words.add_argument("--questions", type=int, default=8)
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    with tempfile.TemporaryDirectory() as name, Workbench.open("mini", max_rows=128) as bench:
        folder = Path(name)
        space = SearchSpace(("lambda", "layers", "budget"), 6, Recipe(), Decoding())
        asked = Proposals(folder, "bench", space, SearchSettings(sampler="random")).ask(given.candidates, {})
        cells = [cell for _, cell in asked]
        bench.engine.wait()
        seconds(bench, folder, "warm", [cells[:2]], 8)
        together, tokens = seconds(bench, folder, "together", [cells], given.questions)
        alone, same = seconds(bench, folder, "alone", [[cell] for cell in cells], given.questions)
    assert tokens == same, "both ways must write the same tokens"
    found = {"together_s": together, "one_by_one_s": alone, "tokens": tokens, "ratio": alone / together}
    print(f"{len(cells)} candidates × {given.questions} questions, {tokens:,} tokens: {alone:.1f} s one by one, {together:.1f} s "
          f"in one batch, {alone / together:.2f}× (goal: 3×)")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
