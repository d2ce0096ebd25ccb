"""Responses that run: steered, paused, cancelled, slowed down, and what is put into them."""

import time

from mi_explorer.engine import Engine
from mi_explorer.engine.events import Change, Changed, Finished, Paused, Request, Resumed, Token
from mi_explorer.engine.thoughts import TagIds
from mi_explorer.recipe import Decoding
from tests.engine.asking import SLOW_ROWS
from tests.engine.intervened import CLOSE, OPEN, PROMPT, follow, responses
from tests.engine.lab import CHEAP_ROWS, greedy


def test_steering_a_running_response_and_its_replay(labs):
    """λ moved, a hint put in, paused and resumed, the thought stopped, all while it runs; the recorded changes give the same tokens."""
    lab = labs("qwen3")
    decoding = Decoding(temperature=1.0, top_k=0, top_p=1.0, cap=60, seed=2)
    tags = TagIds((OPEN,), (CLOSE,), opened=True)
    with Engine(lab.resident, max_rows=4, max_context=128, costs=CHEAP_ROWS) as engine:
        # with a pace, so that a slow reader acts before the response is over
        stream = engine.submit([Request("live", PROMPT, lab.recipe(0.5), decoding, thought=tags, pace=100)])
        company = engine.submit([Request(str(i), PROMPT, lab.recipe(0.5), greedy(60)) for i in range(2)])
        out, seen = {"live": []}, []
        todo = [
            (3, lambda: stream.change("live", lab.recipe(1.0))),
            (9, lambda: stream.pause("live")),
            (20, lambda: stream.change("live", lab.recipe(0.0))),
            (30, lambda: stream.change("live", close=True)),
        ]
        for event in stream:
            follow(event, out)
            seen.append(event)
            if isinstance(event, Paused):
                assert stream.get(timeout=0.1) is None, "a paused response goes on"
                stream.change("live", insert=(3, 4, 5))
                stream.change("live", lab.recipe(0.3))
                stream.resume("live")
            if todo and len(out["live"]) >= todo[0][0]:
                todo.pop(0)[1]()
        beside = [e for e in company if isinstance(e, Token) and e.id == "0"]
        changed = [e for e in seen if isinstance(e, Changed)]
        assert [e.cause for e in changed] == ["lam", "hint", "lam", "lam", "stop"]
        assert sum(isinstance(e, Resumed) for e in seen) == 1
        schedule = tuple(
            Change(e.at, e.recipe, e.tokens if e.cause == "hint" else (), e.cause == "stop") for e in changed
        )
        replay = Request("live", PROMPT, lab.recipe(0.5), decoding, thought=tags, schedule=schedule)
        assert responses(engine, [replay]) == out
    assert [e.token for e in beside] == lab.generate(0.5, PROMPT, 60), "its companions noticed"
    place = [e.at for e in changed]
    assert out["live"][place[1] : place[1] + 3] == [3, 4, 5] and out["live"][place[4]] == CLOSE


def test_whoever_is_paused_holds_no_slot_and_can_be_cancelled(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=1, max_context=64, costs=CHEAP_ROWS) as engine:
        stream = engine.submit([Request("a", PROMPT, lab.recipe(0.5), greedy(50))])
        stream.pause("a")
        kept = 0
        while not isinstance(event := stream.get(5), Paused):
            kept += isinstance(event, Token)
        assert engine.status().slots == 0
        assert responses(engine, [Request("b", PROMPT, lab.recipe(1.0), greedy(5))])["b"] == lab.generate(
            1.0, PROMPT, 5
        )
        stream.resume("a")
        rest = [e.token for e in stream if isinstance(e, Token)]
        assert kept + len(rest) == 50 and rest == lab.generate(0.5, PROMPT, 50)[kept:]
        stream = engine.submit([Request("a", PROMPT, lab.recipe(0.5), greedy(50))])
        stream.pause("a")
        while not isinstance(stream.get(5), Paused):
            pass
        stream.cancel()
        assert [type(e) for e in stream] == [Finished]
        held = engine.submit([Request("a", PROMPT, lab.recipe(0.5), greedy(50))])
        held.pause("a")
        while not isinstance(held.get(5), Paused):
            pass
    assert [e.reason for e in held if isinstance(e, Finished)] == ["cancelled"], "closing leaves nobody waiting"


def test_what_is_put_in_keeps_to_cap_and_context(labs):
    lab = labs("qwen3")
    with Engine(lab.resident, max_rows=2, max_context=32, costs=CHEAP_ROWS) as engine:
        hint = (Change(6, insert=tuple(range(1, 9))),)
        ends = {}
        for name, cap in (("cap", 10), ("context", 100)):
            schedule = hint if name == "cap" else (Change(6, insert=tuple(range(1, 60))),)
            *_, ends[name] = engine.submit([Request(name, PROMPT, lab.recipe(0.5), greedy(cap), schedule=schedule)])
    assert ends["cap"] == Finished("cap", "cap", 10)
    assert ends["context"] == Finished("context", "context", 32 - len(PROMPT))


def test_a_pace_changes_the_time_and_no_token_and_holds_up_nobody(labs):
    """Beside a response that somebody reads along, others run at their own speed, in either mode."""
    lab = labs("qwen3")
    for costs in (CHEAP_ROWS, SLOW_ROWS):
        with Engine(lab.resident, max_rows=4, max_context=64, costs=costs) as engine:
            free = responses(engine, [Request("a", PROMPT, lab.recipe(0.5), greedy(16))])["a"]
            began = time.monotonic()
            paced = engine.submit([Request("a", PROMPT, lab.recipe(0.5), greedy(16), pace=20)])
            beside = engine.submit([Request(str(i), PROMPT, lab.recipe(i / 2), greedy(16)) for i in range(3)])
            others = {str(i): [] for i in range(3)}
            for event in beside:
                follow(event, others)
            first = time.monotonic() - began
            got = {"a": []}
            for event in paced:
                follow(event, got)
            taken = time.monotonic() - began
        assert got["a"] == free == others["1"]
        assert taken >= 14 / 20 and first < taken, "sixteen tokens at twenty a second; the others came before"
