"""Merge methods: a name comes in, a `Method` goes out. An explicit list: adding one is a file and a line here."""

from mi_explorer.errors import unknown
from mi_explorer.merging.methods import (
    breadcrumbs,
    dare,
    karcher,
    linear,
    model_stock,
    slerp,
    submodule,
    task_arithmetic,
    ties,
    topk_override,
)
from mi_explorer.merging.methods.method import Method, Param
from mi_explorer.recipe import RecipeError, number

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        linear.METHOD,
        slerp.METHOD,
        karcher.METHOD,
        task_arithmetic.METHOD,
        ties.METHOD,
        dare.LINEAR,
        dare.TIES,
        breadcrumbs.METHOD,
        model_stock.METHOD,
        topk_override.METHOD,
        submodule.METHOD,
    )
}

__all__ = ["METHODS", "Method", "Param", "get_method", "check_params"]


def get_method(name: str) -> Method:
    """The method of this name, or a `RecipeError` with the nearest known one."""
    if name not in METHODS:
        raise RecipeError(str(unknown("method", name, METHODS)))
    return METHODS[name]


def check_params(method: Method, params: object) -> dict[str, float]:
    """All parameters of a method, defaults filled in. `RecipeError` for an unknown name or a value out of range."""
    given = dict(params)  # type: ignore[call-overload]
    known = {p.name: p for p in method.params}
    own = {name for name in given if method.blocks and submodule.block_of(name)}
    for name in given:
        if name not in known and name not in own:
            if not known:
                raise RecipeError(f"Method {method.name!r} takes no parameters, but {name!r} is given.")
            raise RecipeError(str(unknown(f"parameter of {method.name}", name, known)))
    blocks = {n: number(given[n], f"{method.name} {n}", submodule.LOW, submodule.HIGH) for n in sorted(own)}
    return {n: number(given.get(n, p.default), f"{method.name} {n}", p.low, p.high) for n, p in known.items()} | blocks
