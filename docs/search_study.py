"""Searches the embedded pair as docs/search.md says, and writes what came out to assets/searches/mini.json and its table there. Resumable.

PYTHONPATH=. python docs/search_study.py --home FOLDER           # measures (about an hour on one core)
PYTHONPATH=. python docs/search_study.py --home FOLDER --write   # writes both from what is there

Both samplers begin cold and see the same questions; the λ grid's samples come from the bundled sweep.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.search.proposals import quiet_optuna, storage_url
from mi_explorer.search.saved import saved_searches
from mi_explorer.search.search import Search
from mi_explorer.search.search_events import SearchDone
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from mi_explorer.workbench import Workbench

PAGE = Path(__file__).with_name("search.md")
OUT = ASSETS / "searches" / "mini.json"
SEEDS = (0, 1, 2)
# sampler, evaluations, samples of each of the held-out questions: the later ones extend the earlier ones
OPENED = "tpe-48-0"
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


def result_table(found: dict[str, Any]) -> str:
    """A row for each search, in Markdown."""
    rows = []
    for name, result in found.items():
        sampler, evaluations, seed = name.split("-")
        volumes = result["heldout_hypervolume"]
        best = max(result["frontier"], key=lambda f: f["heldout"]["difference_ci"][0])
        h = best["heldout"]
        low, high = (100 * x for x in h["difference_ci"])
        rows.append(
            [
                sampler,
                evaluations,
                seed,
                f"{result['tokens_used']:,}",
                f"{result['hypervolume'][-1]['value']:.3f}",
                f"{volumes['search']:.3f} ({volumes['line']:.3f})",
                f"{sum(f['heldout']['better'] for f in result['frontier'])} of {len(result['frontier'])}",
                f"{100 * h['difference']:+.1f} [{low:+.1f}, {high:+.1f}] at {h['tokens']:.0f}",
                best["label"],
            ]
        )
    titles = ["sampler", "evaluations", "seed", "tokens of candidates", "search area", "held-out area (line's)"]
    return Table.of(
        [*titles, "better than the line", "best difference, points, at tokens", "its recipe"], rows
    ).markdown()


def candidates(home: Path, name: str, evaluations: int) -> list[Any]:
    """The first candidates of a search: the numbers that proposed each, and its score."""
    study = quiet_optuna().load_study(study_name=name, storage=storage_url(home))
    scored = [(t.user_attrs["score"], t.params) for t in study.trials if "score" in t.user_attrs]
    kept = ("right", "tokens", "questions", "spent", "stopped")
    scored.sort(key=lambda one: one[0]["number"])
    return [[params, {key: score[key] for key in kept}] for score, params in scored[:evaluations]]


def write(home: Path) -> None:
    """All results as one compact file; the search that the page opens on has its candidates, too."""
    found = {
        f"{sampler}-{evaluations}-{seed}": json.loads(path.read_text())
        for sampler, evaluations, _ in ROUNDS
        for seed in SEEDS
        if (path := home / f"{sampler}-{evaluations}-{seed}.json").exists()
    }
    if OPENED in found:
        found[OPENED]["candidates"] = candidates(home, "tpe-0", 48)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- searches -->")
    after = rest.partition("<!-- /searches -->")[2]
    table = f"<!-- searches -->\n\n{result_table(found)}\n\n<!-- /searches -->"
    PAGE.write_text(before + table + after, encoding="utf-8")
    print(f"{len(found)} searches, {OUT.stat().st_size:,} bytes; {len(saved_searches(home))} in the home folder")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--home", type=Path, required=True)
    words.add_argument("--write", action="store_true")
    given = words.parse_args()
    (write if given.write else measure)(given.home)
