"""A recipe in the tests' short form."""

from mi_explorer.recipe import Recipe


def recipe(method, lam, params=(), **more):
    return Recipe(pair="x", method=method, lam=lam, params=tuple(dict(params).items()), **more)
