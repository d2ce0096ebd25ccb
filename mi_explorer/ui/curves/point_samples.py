"""The samples behind a point: filtered, sorted, searched, a page at a time. No gradio; JSON types out.

Texts of questions whose licence keeps them private are not given out, neither in rows nor to the search.
"""

from collections.abc import Callable, Mapping

from mi_explorer.errors import UserError, unknown
from mi_explorer.studies.plan import Item
from mi_explorer.studies.store.sample import Sample
from mi_explorer.studies.store.store import Store, StudyInfo
from mi_explorer.untyped import JsonMapping, JsonObject

ROWS_PER_PAGE = 50
MAX_SEARCHED_TRACES = 20_000  # traces whose text is read for one search
QUESTION_CHARACTERS = 140  # characters of a question that a row shows

FILTERS: dict[str, Callable[[Sample], bool]] = {
    "all": lambda s: True,
    "correct": lambda s: s.verdict == "correct",
    "wrong": lambda s: s.verdict == "wrong",
    "no answer": lambda s: s.verdict == "no_answer",
    "truncated": lambda s: s.truncated,
    "looped": lambda s: s.looped,
    "overthinking": lambda s: (overthinking_share(s) or 0.0) >= 0.5,
}
ORDERS: dict[str, Callable[[Sample], float]] = {
    "question": lambda s: 0,
    "fewest tokens": lambda s: s.tokens,
    "most tokens": lambda s: -s.tokens,
    "most overthinking": lambda s: -(overthinking_share(s) or 0.0),
}


def overthinking_share(sample: Sample) -> float | None:
    """The share of tokens after the first right answer; None where the sample is not right."""
    if not sample.correct or sample.first_correct is None or not sample.tokens:
        return None
    return 1 - sample.first_correct / sample.tokens


def sample_listing(store: Store, info: StudyInfo, asked: JsonMapping) -> JsonObject:
    """One page of the samples of a cell.

    `asked`: `cell` (key), `filter` (of `FILTERS`; overthinking: half of the tokens or more come after the first right answer),
    `sort` (of `ORDERS`), `search` (in question, answer and response; case does not matter), `page` from 0. Gives `{"title",
    "rows", "counts", "found", "page", "pages"}`; a row has `key, question, number, verdict, answer, gold, tokens, think, over,
    truncated, looped`. Raises `UserError`.
    """
    row = next((r for r in store.cells(info.id) if r.key == str(asked.get("cell"))), None)
    if row is None:
        raise UserError(f"The study “{info.name}” has no such point (any more). Choose the study again.")
    keep, order = str(asked.get("filter") or "all"), str(asked.get("sort") or "question")
    for name, known in ((keep, FILTERS), (order, ORDERS)):
        if name not in known:
            raise unknown("filter or order", name, known)
    items = {item.key: item for item in store.items(info.id)}
    samples = store.samples(info.id, cell=row.key)
    counts = {name: sum(map(test, samples)) for name, test in FILTERS.items()}
    found = [s for s in samples if FILTERS[keep](s)]
    words = " ".join(str(asked.get("search") or "").lower().split())[:200]
    if words:
        found = _searched(store, found, items, words)
    found.sort(key=ORDERS[order])  # stable: questions keep their order
    pages = max(1, -(-len(found) // ROWS_PER_PAGE))
    at = asked.get("page")
    page = min(max(at if isinstance(at, int) else 0, 0), pages - 1)
    recipe = row.cell.recipe
    return {
        "title": f"λ {recipe.lam:g} · {recipe.method} · {info.name}",
        "study": info.name,
        "cell": row.key,
        "rows": [_row(s, items[s.item]) for s in found[page * ROWS_PER_PAGE : (page + 1) * ROWS_PER_PAGE]],
        "counts": counts,
        "found": len(found),
        "page": page,
        "pages": pages,
    }


def _searched(store: Store, samples: list[Sample], items: Mapping[str, Item], words: str) -> list[Sample]:
    def inside(text: str | None) -> bool:
        return words in " ".join((text or "").lower().split())

    out = []
    for place, s in enumerate(samples):
        item = items[s.item]
        if item.private:
            hit = inside(item.id)
        else:
            hit = inside(item.prompt) or inside(s.answer) or inside(item.id)
            if not hit and place < MAX_SEARCHED_TRACES:
                hit = inside((store.body(s.key) or {}).get("text"))
        if hit:
            out.append(s)
    return out


def _row(s: Sample, item: Item) -> JsonObject:
    text = " ".join(item.prompt.split())
    cut = text if len(text) <= QUESTION_CHARACTERS else text[: QUESTION_CHARACTERS - 1] + "…"
    past = overthinking_share(s)
    return {
        "key": s.key,
        "question": f"(question {item.id}, not republished)" if item.private else cut,
        "number": s.number + 1,
        "verdict": s.verdict,
        "answer": None if item.private else (s.answer or "")[:60] or None,
        "gold": None if item.private else item.answer[:60],
        "tokens": s.tokens,
        "think": s.think_tokens,
        "over": None if past is None else round(past, 3),
        "truncated": s.truncated,
        "looped": s.looped,
    }
