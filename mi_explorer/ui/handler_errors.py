"""How a handler's fault reaches the page: as a sentence in `{"error"}`, never as a traceback."""

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from mi_explorer.errors import UserError
from mi_explorer.untyped import JsonObject

P = ParamSpec("P")
log = logging.getLogger(__name__)


def broken(error: Exception) -> str:
    """The sentence for a fault of the server; its log says more."""
    return f"Something broke on the server ({type(error).__name__}). Its log says more."


def errors_as_dict(handler: Callable[P, JsonObject]) -> Callable[P, JsonObject]:
    """The handler, giving `{"error": sentence}` instead of raising. A fault of ours is logged."""

    @functools.wraps(handler)
    def call(*args: P.args, **kwargs: P.kwargs) -> JsonObject:
        try:
            return handler(*args, **kwargs)
        except UserError as error:
            return {"error": str(error)}
        except UnicodeEncodeError:  # half of a surrogate pair can be neither stored nor read by a tokenizer
            return {"error": "A text of this request holds half of a character. Send whole text."}
        except Exception as error:
            log.exception("%s failed", handler.__qualname__)
            return {"error": broken(error)}

    return call
