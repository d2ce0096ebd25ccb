"""A stored sample as Explore shows it: the strip that its study holds of that question, on the sample's own λ.

Samples of one question and number share their seed across a study's cells, so those whose recipe differs in λ alone are
what Explore itself would have run: same question, same decoding, same seed. All of them are opened together.
"""

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.recipe import Recipe
from mi_explorer.studies.plan import Item
from mi_explorer.studies.store.sample import Sample, trace_from
from mi_explorer.studies.store.store import CellRow, Store, StudyInfo
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from mi_explorer.untyped import JsonObject
from mi_explorer.workbench import Workbench


class SampleError(UserError):
    """A stored sample that cannot be shown: unknown, of another study, or kept without its text."""


def stored_strip(
    store: Store, info: StudyInfo, key: str, bench: Workbench | None = None
) -> tuple[JsonObject, dict[str, Snapshot]]:
    """The strip around the sample `key` of a study, for `showInExplore`, and its traces for the lenses.

    `{"token", "label", "view", "frames": {id: frame}, "sentence", "bands"}`; `view` looks at the sample's own λ. The traces
    are empty where `bench` (a workbench) has another pair or other weights loaded: those cannot score them.
    Raises `UserError`.
    """
    sample = store.sample(str(key))
    rows = {row.key: row for row in store.cells(info.id)}
    item = next((i for i in store.items(info.id) if sample is not None and i.key == sample.item), None)
    if sample is None or item is None or sample.cell not in rows:
        raise SampleError(f"The study “{info.name}” has no such sample (any more). Open the study again.")
    row = rows[sample.cell]
    frames: dict[str, Snapshot] = {}
    for other, its in _strip(store, info, sample, rows):
        body = store.body(other.key)
        if body is None and other.key == sample.key:
            raise SampleError(
                f"The study “{info.name}” keeps the figures of this sample but not its text (a slim export)."
            )
        if body is not None:
            frames[board.frame_id(its.cell.recipe.lam)] = _snapshot(other, its, item, body, bench)
    shown = [f | {"tps": 0} for f in board.strip_frames(sorted(frames.values(), key=lambda s: s.recipe.lam))]
    recipe, decoding = row.cell.recipe, row.cell.decoding.with_seed(sample.seed)
    view = views.View(
        recipe.pair,
        recipe.lam,
        recipe.method,
        recipe.params,
        recipe.scope,
        recipe.template,
        recipe.answer_lam,
        decoding,
        item.prompt,
        item.answer,
    )
    where = "the study" if info.origin == "live" else f"the study ({info.origin})"
    which = f"sample {sample.number + 1} of this question"
    made = {
        "token": f"study{sample.key}",
        "label": f"From {where} “{info.name}” · {which} · T {decoding.temperature:g} · seed {sample.seed}",
        "view": views.view_dict(view),
        "frames": {f["id"]: f for f in shown},
        "sentence": strip_sentence(shown),
        "bands": strip_bands(shown),
    }
    ours = bench is not None and bench.pair.name == recipe.pair and bench.fingerprint == row.fingerprint
    return made, {k: s for k, s in frames.items() if s.prompt_ids} if ours else {}


def _strip(store: Store, info: StudyInfo, sample: Sample, rows: dict[str, CellRow]) -> list[tuple[Sample, CellRow]]:
    """The samples of this question and number whose recipe differs in λ alone, the asked one first, then by distance in λ."""
    at = rows[sample.cell]

    def kin(row: CellRow) -> bool:
        same = row.cell.recipe.at(at.cell.recipe.lam) == at.cell.recipe and row.cell.decoding == at.cell.decoding
        return same and (row.fingerprint, row.dtype) == (at.fingerprint, at.dtype)

    found = [
        (s, rows[s.cell])
        for s in store.samples(info.id, item=sample.item)
        if s.number == sample.number and s.cell in rows and kin(rows[s.cell])
    ]
    found.sort(key=lambda x: (x[0].key != sample.key, abs(x[1].cell.recipe.lam - at.cell.recipe.lam)))
    return found[: board.MAX_FRAMES]


def _snapshot(sample: Sample, row: CellRow, item: Item, body: JsonObject, bench: Workbench | None) -> Snapshot:
    recipe = row.cell.recipe
    return Snapshot(
        board.frame_id(recipe.lam),
        recipe,
        row.cell.decoding.with_seed(sample.seed),
        "done",
        trace_from(sample, body, item.answer),
        sample.verdict,  # type: ignore[arg-type]  # the store's text
        seconds=sample.seconds,
        prompt_ids=_prompt(bench, item, recipe),
    )


def _prompt(bench: Workbench | None, item: Item, recipe: Recipe) -> tuple[int, ...]:
    """The prompt's token ids under this recipe; none where no workbench of this pair is at hand."""
    if bench is None or bench.pair.name != recipe.pair:
        return ()
    try:
        return tuple(bench.prompts.render(item.prompt, recipe).ids)
    except UserError:
        return ()
