"""What must be the same for a search to go on under its name."""

import re

from mi_explorer.pair_names import pair_name
from mi_explorer.recipe import Decoding
from mi_explorer.recipe_io import from_dict, to_dict
from mi_explorer.search.settings import SearchSettings
from mi_explorer.search.space import SearchSpace
from mi_explorer.studies.plan import Cell, digest
from mi_explorer.untyped import JsonMapping, JsonObject

# how much it may spend, and how its finalists are judged
MAY_CHANGE = ("evaluations", "tokens", "heldout_questions", "heldout_samples", "finalists", "batch")


def space_json(space: SearchSpace) -> JsonObject:
    """What varies, as JSON values."""
    return {
        "vary": list(space.vary),
        "groups": space.groups,
        "lams": list(space.lams),
        "step": space.step,
        "methods": list(space.methods),
        "budgets": list(space.budgets) if space.budgets else None,
    }


def plain_space(space: SearchSpace) -> JsonObject:
    """A whole space as JSON values."""
    around = {"recipe": to_dict(space.recipe), "decoding": space.decoding.plain()}
    return {**space_json(space), **around, "layers": space.layers, "has_base": space.has_base}


def space_of_plain(data: JsonMapping) -> SearchSpace:
    """Inverse of `plain_space`; `KeyError` for what an older version wrote, which has no recipe."""
    budgets = data["budgets"]
    return SearchSpace(
        tuple(data["vary"]),
        data["layers"],
        from_dict(data["recipe"]),
        Decoding(**data["decoding"]),
        data["groups"],
        (data["lams"][0], data["lams"][1]),
        data["step"],
        tuple(data["methods"]),
        (budgets[0], budgets[1]) if budgets else None,
        data["has_base"],
    )


def search_identity(space: SearchSpace, settings: SearchSettings, task: str, task_seed: int) -> str:
    """20 hex digits over all but what may change."""
    kept = {k: v for k, v in settings.plain().items() if k not in MAY_CHANGE}
    around = Cell(space.recipe, space.decoding).plain()
    return digest("search", space_json(space), kept, around, task, task_seed)


def search_name(space: SearchSpace, settings: SearchSettings, task: str, task_seed: int) -> str:
    """A name made of what the search is, so that the same command finds it again."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"search-{pair_name(space.recipe.pair)}-{task}-{'-'.join(space.vary)}")[
        :60
    ].strip("-")
    return f"{stem}-{search_identity(space, settings, task, task_seed)[:6]}"
