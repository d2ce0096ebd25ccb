"""Requests over a model that holds one blend at a time, scripted: what runs together, when it folds, budgets, answers, stops."""

from dataclasses import replace

import pytest

from mi_explorer.cluster.folded_requests import Drawn, FoldedRequests
from mi_explorer.engine.events import Admitted, Changed, Failed, Finished, Request, Token
from mi_explorer.engine.thoughts import TagIds
from mi_explorer.recipe import Decoding, Recipe

OPEN, CLOSE, STOP = 90, 91, 92
TAGS = TagIds((OPEN,), (CLOSE,))


class CountingModel:
    """Draws the position of each token (so prompt length first), a few rows at a time; `script` maps positions to other tokens."""

    context, vocab = 60, 100

    def __init__(self, script=None, room=2):
        self.script, self.room = script or {}, room
        self.folds, self.seeds, self.rows, self.held = [], [], {}, None
        self.broken = False

    def fold(self, recipe):
        assert not self.rows, "a fold under open rows"
        if self.broken:
            raise ValueError("no")
        self.held = recipe
        self.folds.append(recipe.lam)

    def add(self, row, ids, decoding, most, stop_ids):
        self.seeds.append(decoding.seed)
        self.rows[row] = [list(ids), most, set(stop_ids)]

    def abort(self, rows):
        for row in rows:
            del self.rows[row]

    def step(self):
        out = []
        for name, (ids, most, stops) in list(self.rows.items())[: self.room]:
            token = self.script.get(len(ids), len(ids))
            ids.append(token)
            self.rows[name][1] -= 1
            ended = token in stops or most == 1 or len(ids) >= self.context
            out.append(Drawn(name, ((token, -1.0),), ended))
            if ended:
                del self.rows[name]
        return out

    def close(self):
        self.rows.clear()


def request(name="a", lam=0.5, cap=5, **more):
    decoding = more.pop("decoding", Decoding(cap=cap, seed=7))
    return Request(name, (1, 2, 3), Recipe(lam=lam), decoding, stop_ids=(STOP,), **more)


def events(stream):
    """All events, by request."""
    found = {}
    while (event := stream.get()) is not None:
        found.setdefault(event.id, []).append(event)
    return found


def tokens(found):
    """The response as a reader puts it together: what was drawn, and what was put in."""
    out = []
    for event in found:
        out += [event.token] if isinstance(event, Token) else event.tokens if isinstance(event, Changed) else ()
    return out


def test_rows_of_a_blend_run_together_and_folds_are_rare():
    model = CountingModel()
    engine = FoldedRequests(model)
    stream = engine.submit([request(f"{lam}-{i}", lam) for i in range(3) for lam in (0.0, 1.0)])
    found = events(stream)
    assert model.folds == [0.0, 1.0] and len(found) == 6
    for mine in found.values():
        assert isinstance(mine[0], Admitted) and tokens(mine) == [3, 4, 5, 6, 7]
        assert mine[-1] == Finished(mine[0].id, "cap", 5)
        assert [e.index for e in mine if isinstance(e, Token)] == [0, 1, 2, 3, 4]
    engine.submit([request("again", 1.0)], stream)
    assert events(stream)["again"][-1].reason == "cap" and model.folds == [0.0, 1.0]  # it holds this blend


@pytest.mark.parametrize(
    "script,cap,reason,count", [({6: STOP}, 9, "stop", 3), ({}, 90, "context", 57)], ids=["stop", "context"]
)
def test_how_a_response_ends(script, cap, reason, count):
    found = events(FoldedRequests(CountingModel(script)).submit([request(cap=cap)]))["a"]
    assert found[-1] == Finished("a", reason, count) and STOP not in tokens(found)


def test_a_thought_is_closed_at_its_budget_and_the_response_goes_on_with_other_noise():
    model = CountingModel({3: OPEN})
    asked = request(decoding=Decoding(cap=8, seed=7, think_budget=4), thought=TAGS)
    found = events(FoldedRequests(model).submit([asked]))["a"]
    assert tokens(found) == [OPEN, 4, 5, 6, CLOSE, 8, 9, 10]
    assert Changed("a", 4, "budget", None, (CLOSE,)) in found and found[-1] == Finished("a", "cap", 8)
    assert model.seeds[0] == 7 and len(set(model.seeds)) == 2 and model.folds == [0.5]


def test_a_budget_that_the_cap_ends():
    asked = request(decoding=Decoding(cap=4, seed=7, think_budget=3), thought=TAGS)
    found = events(FoldedRequests(CountingModel({3: OPEN})).submit([asked]))["a"]
    assert tokens(found) == [OPEN, 4, 5, CLOSE] and found[-1] == Finished("a", "cap", 4)


def test_the_answer_is_another_blends():
    model = CountingModel({3: OPEN, 6: CLOSE})
    asked = [
        replace(request(name, cap=6, thought=TAGS), recipe=Recipe(lam=0.5, answer_lam=answer))
        for name, answer in (("a", 1.0), ("b", 0.5))
    ]
    found = events(FoldedRequests(model).submit(asked))
    assert tokens(found["a"]) == tokens(found["b"]) == [OPEN, 4, 5, CLOSE, 7, 8]
    assert model.folds == [0.5, 1.0]
    assert [e for e in found["a"] if isinstance(e, Changed)] == [Changed("a", 4, "answer", Recipe(lam=1.0))]
    assert not [e for e in found["b"] if isinstance(e, Changed)]  # the same blend is no change


def test_cancelling_what_waits_lets_the_rest_finish():
    model = CountingModel(room=1)
    engine = FoldedRequests(model)
    stream = engine.submit([request("a"), request("b"), request("c", lam=1.0)])
    assert isinstance(stream.get(), Admitted)
    stream.cancel(["b", "c"])
    found = events(stream)
    assert [e.reason for e in found["b"] + found["c"]] == ["cancelled"] * 2
    assert found["a"][-1].reason == "cap" and not engine.busy and model.folds == [0.5]
    stream.cancel()
    assert stream.get() is None


def test_a_fold_that_is_refused_is_told_and_tried_again():
    model = CountingModel()
    engine = FoldedRequests(model)
    stream = engine.submit([request()])
    model.broken = True
    with pytest.raises(ValueError):
        stream.get()
    model.broken = False
    assert events(stream)["a"][-1].reason == "cap" and model.folds == [0.5]


@pytest.mark.parametrize(
    "asked,word",
    [
        (replace(request(), prompt=(200,)), "id"),
        (replace(request(), prompt=tuple(range(60))), "prompt"),
        (request(decoding=Decoding(think_budget=4)), "tags"),
    ],
    ids=["vocabulary", "length", "tags"],
)
def test_what_cannot_run_is_refused(asked, word):
    stream = FoldedRequests(CountingModel()).submit([asked])
    (event,) = events(stream)["a"]
    assert isinstance(event, Failed) and word in event.message
