"""Searches the embedded pair as docs/search.md says, and writes what came out to assets/searches/mini.json. Resumable.

PYTHONPATH=. python docs/search_study.py --home FOLDER           # measures (about an hour on one core)
PYTHONPATH=. python docs/search_study.py --home FOLDER --write   # writes the file from what is there

Both samplers begin cold and see the same questions; the λ grid's samples come from the bundled sweep.
"""

import argparse
import json
from pathlib import Path

from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.saved import saved_searches
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchDone
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from mi_explorer.workbench import Workbench

OUT = ASSETS / "searches" / "mini.json"
SEEDS = (0, 1, 2)
# sampler, evaluations, samples of each of the held-out questions: the later ones extend the earlier ones
ROUNDS = (("tpe", 48, 8), ("random", 48, 2), ("tpe", 200, 8), ("random", 200, 2))


def settings_of_round(sampler: str, evaluations: int, seed: int, heldout_samples: int) -> SearchSettings:
    """32 questions × 1 for a candidate, all held-out questions for four finalists."""
    return SearchSettings(
        evaluations=evaluations,
        questions=32,
        samples=1,
        heldout_questions=1000,
        heldout_samples=heldout_samples,
        finalists=4,
        batch=16,
        sampler=sampler,
        seed=seed,
        warm=False,
    )


def measure(home: Path) -> None:
    """Run what is missing; each result is kept in the home folder."""
    items = items_of(load_task("mini"))
    with Workbench.open("mini", home=home, max_rows=192) as bench, Store.open(home) as store:
        space = SearchSpace(("lambda", "layers", "budget"), 6, Recipe(), Decoding(), budgets=(16, 512))
        for sampler, evaluations, samples in ROUNDS:
            for seed in SEEDS:
                path = home / f"{sampler}-{evaluations}-{seed}.json"
                if path.exists():
                    continue
                settings = settings_of_round(sampler, evaluations, seed, samples)
                search = Search(store, bench, items, space, settings, task="mini", name=f"{sampler}-{seed}")
                for event in search.run():
                    if isinstance(event, SearchDone):
                        path.write_text(json.dumps(event.result.json(), ensure_ascii=False))
                        print(path.stem, event.result.heldout_volume, event.result.verdict, flush=True)


def write(home: Path) -> None:
    """All results as one compact file."""
    found = {
        f"{sampler}-{evaluations}-{seed}": json.loads(path.read_text())
        for sampler, evaluations, _ in ROUNDS
        for seed in SEEDS
        if (path := home / f"{sampler}-{evaluations}-{seed}.json").exists()
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(found)} searches, {OUT.stat().st_size:,} bytes; {len(saved_searches(home))} in the home folder")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--home", type=Path, required=True)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    (write if given.write else measure)(given.home)
