"""Responses that are intervened in, as their events tell them, and ids that stand for the think tags."""

from mi_explorer.engine import Engine
from mi_explorer.engine.events import Changed, Failed, Finished, Refused, Token
from mi_explorer.engine.thoughts import TagIds
from tests.engine.lab import prompt

PROMPT = prompt(11)
OPEN, CLOSE = 7, 9  # ids that stand for the think tags


TAGS, OPENED = TagIds((OPEN,), (CLOSE,)), TagIds((OPEN,), (CLOSE,), opened=True)


def responses(engine: Engine, requests) -> dict[str, list[int]]:
    """Whole responses, with what was given or put in."""
    out = {r.id: [] for r in requests}
    for event in engine.submit(requests):
        follow(event, out)
    return out


def follow(event, out) -> None:
    assert not isinstance(event, (Failed, Refused)), event
    if isinstance(event, Token):
        assert event.index == len(out[event.id])
        out[event.id].append(event.token)
    elif isinstance(event, Changed):
        assert event.at == len(out[event.id])
        out[event.id] += event.tokens
    elif isinstance(event, Finished):
        assert event.tokens == len(out[event.id])
