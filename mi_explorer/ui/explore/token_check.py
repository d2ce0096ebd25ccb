"""How many tokens a response has and what they are, as a short text: so a replay can be told to be the same, also from a link."""

import hashlib
import re
from collections.abc import Sequence

from mi_explorer.untyped import JsonObject

TOKEN_CHECK = re.compile(r"(\d{1,7})-([0-9a-f]{12})")


def token_check(ids: Sequence[int]) -> str:
    """How many tokens and what they are, as a short text that another run can be compared with: "225-1f0c…"."""
    digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
    return f"{len(ids)}-{digest[:12]}"


def replay_result(expected: str, ids: Sequence[int]) -> JsonObject | None:
    """Whether a replay begins with the tokens that were expected: `{"tokens": how many were, "equal"}`; None where nothing was."""
    match = TOKEN_CHECK.fullmatch(expected)
    if not match:
        return None
    tokens = int(match[1])
    return {"tokens": tokens, "equal": token_check(ids[:tokens]) == expected}
