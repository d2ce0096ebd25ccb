"""The paper's ablations as plans: which cells each one compares, in the order of its table.

layers: table 3 · modules: figure 5 · decoding: figure 4 · backbone: table 4 · methods: table 2 (2510.10977). Each plan also
holds Instruct (λ = 0) and Thinking (λ = 1) where a reader needs them as the two ends.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mi_explorer.errors import UserError, unknown
from mi_explorer.pair_names import short_names
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope
from mi_explorer.studies.plan import Cell

KINDS = ("layers", "modules", "decoding", "backbone", "methods")
TEMPERATURES = (0.6, 0.65, 0.7)
TOP_PS = (0.95, 0.9, 0.85, 0.8)
IN_LAYERS = ("attention", "mlp", "norm", "other")


def ends(recipe: Recipe, decoding: Decoding) -> tuple[Cell, Cell]:
    """Both parents as cells, whatever scope and method the recipe has."""
    plain = Recipe(recipe.pair, template=recipe.template)
    return Cell(plain.at(0), decoding, "Instruct", "ends"), Cell(plain.at(1), decoding, "Thinking", "ends")


def layers(recipe: Recipe, decoding: Decoding, count: int) -> tuple[Cell, ...]:
    """Everything, each third of the layers, and each two thirds; outside them Instruct stays (embeddings too)."""
    if count < 3:
        raise UserError(f"A model of {count} layers has no thirds to compare.")
    a, b = round(count / 3), round(2 * count / 3)
    spans = (
        f"0-{a - 1}",
        f"{a}-{b - 1}",
        f"{b}-{count - 1}",
        f"0-{b - 1}",
        f"{a}-{count - 1}",
        f"0-{a - 1},{b}-{count - 1}",
    )
    cells = [Cell(replace(recipe, scope=Scope()), decoding, f"layers 0-{count - 1} and all else", "layers")]
    for text in spans:
        scope = Scope(text, IN_LAYERS)
        cells.append(Cell(replace(recipe, scope=scope), decoding, f"layers {scope.layers}", "layers"))
    return *ends(recipe, decoding), *cells


def modules(recipe: Recipe, decoding: Decoding) -> tuple[Cell, ...]:
    """Everything; all but attention, mlp or norm; attention or mlp alone."""
    cells = [Cell(replace(recipe, scope=Scope()), decoding, "all modules", "modules")]
    for name in ("attention", "mlp", "norm"):
        cells.append(
            Cell(
                replace(recipe, scope=Scope("all", tuple(m for m in MODULES if m != name))),
                decoding,
                f"without {name}",
                "modules",
            )
        )
    for name in ("attention", "mlp"):
        cells.append(Cell(replace(recipe, scope=Scope("all", (name,))), decoding, f"{name} alone", "modules"))
    return *ends(recipe, decoding), *cells


def decoding_grid(
    recipe: Recipe, decoding: Decoding, temperatures: Sequence[float] = TEMPERATURES, top_ps: Sequence[float] = TOP_PS
) -> tuple[Cell, ...]:
    """One recipe under every temperature × top-p."""
    return tuple(
        Cell(recipe, replace(decoding, temperature=t, top_p=p), f"T {t:g}, top-p {p:g}", "decoding")
        for p in top_ps
        for t in temperatures
    )


def backbone(recipe: Recipe, decoding: Decoding, backbones: Sequence[str] = ()) -> tuple[Cell, ...]:
    """Thinking blended into Instruct, into the pair's base, and into further backbones, each given as a pair."""
    pairs = (recipe.pair, f"{recipe.pair}@base", *backbones)
    return tuple(
        Cell(replace(recipe, pair=pair), decoding, f"into {name}", "backbone")
        for pair, name in zip(pairs, ("Instruct", "base", *short_names(backbones).values()), strict=True)
    )


def methods(
    recipe_of: Callable[[str], Recipe],
    decoding: Decoding,
    names: Sequence[str],
    lams: Sequence[float] | None,
    has_base: bool,
) -> tuple[Cell, ...]:
    """Merge methods at their published settings (`lams` None) or over a λ grid each; `names` empty: all that can run (but no
    submodule profile, which has to be made first).

    `recipe_of(method)` gives a method's recipe with its parameters; its λ is set here.
    """
    from mi_explorer.engine.logit_blends import LOGIT_METHODS
    from mi_explorer.merging.methods import METHODS

    for name in names:
        if name not in METHODS and name not in LOGIT_METHODS:
            raise unknown("method", name, (*METHODS, *LOGIT_METHODS))
    cells = []
    for name in names or [*(n for n, m in METHODS.items() if (has_base or not m.needs_base) and not m.blocks), "logit"]:
        for lam in lams or (PUBLISHED[name] if name in PUBLISHED else METHODS[name].lam_default,):
            cells.append(Cell(recipe_of(name).at(lam), decoding, f"{name} at λ {lam:g}", name))
    return *ends(cells[0].recipe, decoding), *cells


# Table 2 of the paper; METHODS has the rest. Logit blends stand beside the weight blend of the same λ.
PUBLISHED = {
    "linear": 0.8,
    "slerp": 0.8,
    "karcher": 0.8,
    "task_arithmetic": 0.7,
    "ties": 0.5,
    "logit": 0.8,
    "logit_proxy": 0.8,
}
