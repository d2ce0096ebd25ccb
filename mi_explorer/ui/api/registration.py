"""Puts the endpoints on an app: arguments checked by type, errors as sentences, streams counted for their visitor."""

import logging
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import Parameter, Signature, isgeneratorfunction, signature
from typing import Any, Union, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.context import LocalContext
from gradio.events import api as gradio_api

from mi_explorer.errors import UserError
from mi_explorer.ui.access.limits import Limits, Visitor, visitor_of
from mi_explorer.ui.api.endpoints import Api, ApiError
from mi_explorer.ui.api.values import ResponseFrame
from mi_explorer.ui.context import PageContext
from mi_explorer.ui.explore.explore_tab import MAX_STREAMS
from mi_explorer.ui.handler_errors import broken

log = logging.getLogger(__name__)
WORDS = {str: "text", int: "a whole number", float: "a number", dict: "names with numbers"}


@contextmanager
def shown_errors() -> Iterator[None]:
    """Turn errors into what a client shows: ours with their message, a fault of the server without its inside."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from None
    except (gr.Error, GeneratorExit):
        raise
    except Exception as error:
        log.exception("An endpoint failed")
        raise gr.Error(broken(error), print_exception=False) from None


def current_visitor() -> Visitor:
    """Who the running request comes from; nobody outside of one."""
    return visitor_of(LocalContext.request.get(None))


def checked(name: str, value: Any, expected: Any, default: Any) -> Any:
    """An argument of an endpoint as its annotation says, the default for None. Raises `ApiError` for another type."""
    if value is None and default is not Parameter.empty:
        return default
    kinds = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    kind = get_origin(kinds[0]) or kinds[0]
    if kind in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        if kind is int and value == value and abs(value) < 2**63 and value == int(value):
            return int(value)
        if kind is float:
            return value
    elif kind is str and isinstance(value, str):
        return readable(name, value)
    elif kind is dict and isinstance(value, dict):
        return {readable(name, key): each for key, each in value.items()}
    raise ApiError(f"{name} must be {WORDS[kind]}, not {type(value).__name__}.")


def readable(name: str, text: str) -> str:
    """The text, if it can be written as UTF-8: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(f"{name} holds half of a character (a lone surrogate). Send whole text.") from None
    return text


def endpoint(handler: Callable[..., Any], gives: Any = None, limits: Limits | None = None) -> Callable[..., Any]:
    """The handler as Gradio calls it. `gives`: what one state of a stream is, for the API page; `limits` on streams of one visitor."""
    limits, shown, hints = limits or Limits(), signature(handler), get_type_hints(handler)

    def arguments(args: Any, kwargs: Any) -> dict[str, Any]:
        given = shown.bind(*args, **kwargs).arguments
        return {k: checked(k, v, hints[k], shown.parameters[k].default) for k, v in given.items()}

    if isgeneratorfunction(handler):

        @wraps(handler)
        def call(*args: Any, **kwargs: Any) -> Any:
            with shown_errors(), limits.run(current_visitor()):
                yield from handler(**arguments(args, kwargs))
    else:

        @wraps(handler)
        def call(*args: Any, **kwargs: Any) -> Any:
            with shown_errors():
                return handler(**arguments(args, kwargs))

    if gives is not None:
        del call.__wrapped__
        call.__signature__ = Signature(list(shown.parameters.values()), return_annotation=gives)  # type: ignore[attr-defined]
    return call


def add_endpoints(page: PageContext) -> None:
    """Put the endpoints on the app that is being built (within its `gr.Blocks`)."""
    api = Api(page.pairs, page.settings, page.jobs, page.workers)
    limits = page.pairs.at(page.pairs.first).explore.limits
    for handler, gives, at_once, group in (
        (api.pairs, None, 8, "api"),
        (api.questions, None, 8, "api"),
        (api.recipe, None, 8, "api"),
        (api.route, None, 4, "api"),
        (api.generate, ResponseFrame, MAX_STREAMS, "api runs"),
        (api.strip, list[ResponseFrame], MAX_STREAMS, "api runs"),
        (api.sweep, None, 2, "api sweeps"),
        (api.sweep_status, None, 4, "api status"),
        (api.sweep_stop, None, 8, "api"),
    ):
        call = endpoint(handler, gives, limits)
        gradio_api(call, api_name=handler.__name__, concurrency_limit=at_once, concurrency_id=group)
