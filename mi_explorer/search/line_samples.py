"""The λ line of a study as arrays, with the features of its questions: what routers are trained and judged on."""

from collections.abc import Sequence

import numpy as np

from mi_explorer.recipe import Recipe
from mi_explorer.search.question_features import FEATURES, question_features
from mi_explorer.search.router import RoutedLambda, Router
from mi_explorer.search.routing import LineSamples
from mi_explorer.search.space import SearchError
from mi_explorer.search.split import is_heldout, split_items
from mi_explorer.studies.plan import Item
from mi_explorer.studies.store.reader import Reader
from mi_explorer.workbench import Workbench

NO_WEIGHTS = "The weights of this pair are not at hand, so no router can read the question."
MIN_SAMPLES = 2  # of each question: the oracle chooses on half of them


def line_samples(store: Reader, name: str, bench: Workbench) -> tuple[LineSamples, LineSamples]:
    """The plain line of a study on its search and its held-out questions. `SearchError` where it has no such line."""
    info = store.study(name)
    plain = Recipe(bench.pair.name)
    rows = [r for r in store.cells(info.id) if r.cell.recipe == plain.at(r.cell.recipe.lam)]
    rows = [r for r in rows if r.cell.decoding == rows[0].cell.decoding]
    rows.sort(key=lambda r: r.cell.recipe.lam)
    if len(rows) < 2:
        raise SearchError(
            f"The study {name!r} holds no λ line of the pair {bench.pair.name!r}: a router needs at least two λs."
        )
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for s in store.samples(info.id):
        found.setdefault((s.cell, s.item), []).append((int(s.correct), s.tokens))
    keys = [r.key for r in rows]
    items = [i for i in store.items(info.id) if all(len(found.get((k, i.key), ())) >= MIN_SAMPLES for k in keys)]
    split_items(items)  # refuses too few
    count = min(len(found[k, i.key]) for k in keys for i in items)
    data = np.array([[found[k, i.key][:count] for i in items] for k in keys], dtype=np.float64)
    features = features_of(bench, items)
    whole = LineSamples(tuple(r.cell.recipe.lam for r in rows), data[..., 0], data[..., 1], features)
    mask = np.array([is_heldout(i) for i in items])
    return whole.of(~mask), whole.of(mask)


def route_question(router: Router, bench: Workbench, question: str) -> RoutedLambda:
    """The λ of one question by a router."""
    if bench.resident is None:
        raise SearchError(f"{NO_WEIGHTS} Name a λ.")
    return router.route(question_features(bench.resident, bench.prompts, bench.pair.name, question))


def features_of(bench: Workbench, items: Sequence[Item]) -> np.ndarray:
    """The features of questions, [questions, features]."""
    if bench.resident is None:
        raise SearchError(NO_WEIGHTS)
    rows = [question_features(bench.resident, bench.prompts, bench.pair.name, item.prompt) for item in items]
    return np.array(rows, dtype=np.float64).reshape(len(items), len(FEATURES))
