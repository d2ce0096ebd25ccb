"""What went wrong, why, and what to do: the one error type that reaches users as a message instead of a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Bad input from outside (a person, a file, a URL, a hub): the message says what, why and what to do.

    The command line prints it and exits with 2; the page shows it as text. Rooms subclass it, one type per kind
    of fault; anything that is not a `UserError` is a bug of ours.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in `known`, with the nearest known name as a suggestion."""
    known = sorted(map(str, known))
    near = get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UserError(f"Unknown {kind} {str(name)[:80]!r}.{hint} Known: {', '.join(known)}.")
