"""λ by a router for a question of the page's: the router's name and the question, checked, in; the λ, its score and why out."""

from typing import TYPE_CHECKING

from mi_explorer.errors import UserError, unknown
from mi_explorer.search.line_samples import NO_WEIGHTS, route_question
from mi_explorer.search.router import RoutedLambda, load_router
from mi_explorer.ui.explore.view import PROMPT_LIMIT
from mi_explorer.ui.spaces.space_bench import SpaceBench

if TYPE_CHECKING:
    from mi_explorer.workbench import Workbench

ROUTERS = ("auto", "confidence")  # what a visitor may name: never a file


class RouteError(UserError):
    """A question that no router can be asked about here."""


def route_for_page(bench: "Workbench", prompt: str, router: str = "auto") -> RoutedLambda:
    """The λ of a question; `router` "auto" is the pair's own, else the one by confidence. Raises `UserError`."""
    if router not in ROUTERS:
        raise unknown("router", router, ROUTERS)
    if not prompt.strip():
        raise RouteError("There is no question yet. Write one, or take an example: a router reads it to choose λ.")
    if len(prompt) > PROMPT_LIMIT:
        raise RouteError(f"The question has {len(prompt):,} characters; at most {PROMPT_LIMIT:,} are read here.")
    if isinstance(bench, SpaceBench):
        raise RouteError(
            "A router reads the question with both parents, and this page has a GPU only for the time of an answer. "
            "Use run --lambda auto on the command line."
        )
    if getattr(bench, "resident", None) is None:
        raise RouteError(NO_WEIGHTS)
    return route_question(load_router(router, bench.pair.name), bench, prompt)
