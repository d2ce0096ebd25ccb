"""What went wrong, why, and what to do: the one error type that reaches users as a message instead of a traceback."""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches

TRACEBACK = "MI_EXPLORER_TRACEBACK"  # a variable: where it is set, a fault of the program shows where it happened


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


def explain(error: BaseException) -> str | None:
    """The sentence for what a person, a disk or a machine did wrong, wherever it was noticed; None for a fault of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, UnicodeEncodeError) and not error.object.isascii():
        return "A text holds half of a character (a lone surrogate), which nothing can store or read. Write or copy it again."
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        where = name.encode("utf-8", "backslashreplace").decode()[-80:]
        return f"{f'{where!r}: ' if where else ''}{error.strerror}. Nothing more was done."
    if isinstance(error, ValueError) and str(error).startswith("embedded null"):
        return "A name holds a NUL character, which no file has."
    if isinstance(error, MemoryError):
        return "There is too little memory for this. Use a smaller input or model, or a larger machine."
    return None


def end_with_sentence(error: Exception, program: str) -> int:
    """Say on standard error why a program ends; returns its exit code: 2 for bad input, 1 for everything else."""
    if os.environ.get(TRACEBACK):
        raise error
    words = explain(error)
    if words is None:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200].encode("utf-8", "backslashreplace").decode()
        words = f"This is a fault of the program ({text}). Please report it, with what {TRACEBACK}=1 shows of the same command."
    print(f"{program}: {words}", file=sys.stderr)
    return 2 if isinstance(error, UserError) else 1
