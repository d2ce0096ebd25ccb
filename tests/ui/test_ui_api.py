"""The endpoints, called directly."""

import time

import pytest

from mi_explorer import recipe_io
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe, Scope
from mi_explorer.ui.api.endpoints import Api
from mi_explorer.ui.api.registration import endpoint
from tests.ui.api_site import Site, script
from tests.ui.fake import QUESTIONS


def ended(api, study):
    for _ in range(600):
        found = api.sweep_status(study)
        if found["state"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("the sweep did not end")


def test_generate_streams_and_ends_with_the_verdict(site):
    states = list(site.api.generate("What is 3 + 4?", lam=1, gold="7"))
    last = states[-1]
    said = script(site.engine.asked[0])
    assert all(last["text"].startswith(s["text"]) for s in states) and last["state"] == "done" and last["text"] == said
    assert last["verdict"] == ("correct" if said.endswith("is 7.") else "wrong") and last["think_closed"] == (
        "</think>" in said
    )
    assert last["thought"] + last["answer_text"] == said.replace("<think>", "").replace("</think>", "")
    assert last["tokens"] >= last["think_tokens"]


def test_strip_answers_at_every_lambda_in_one_call(site):
    last = list(site.api.strip("What is 3 + 4?", "0:1:0.25", temperature=0, cap=9, layers="1-3", modules="mlp,norm"))[
        -1
    ]
    assert [f["lam"] for f in last] == [0, 0.25, 0.5, 0.75, 1] and {f["state"] for f in last} == {"done"}
    assert {f["verdict"] for f in last} == {None} and all(f["truncated"] and f["tokens"] == 9 for f in last)
    asked = site.engine.asked[0]
    assert asked.recipe.scope == Scope("1-3", ("mlp", "norm")) and (asked.decoding.temperature, asked.decoding.cap) == (
        0,
        9,
    )


def test_a_reader_that_goes_away_stops_its_run(tmp_path):
    site = Site(tmp_path, delay=0.005)
    stream = site.api.generate("slow", lam=1)
    while next(stream)["state"] != "running":
        assert not site.engine.streams[0].all
    stream.close()
    assert site.engine.streams[0].all  # cancelled
    site.close()


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda a: list(a.generate(" ")), "prompt is empty"),
        (lambda a: list(a.generate("x" * 20_001)), "at most 20,000"),
        (lambda a: list(a.generate("Go", lam="abc")), "λ must be a number"),
        (lambda a: list(a.generate("Go", lam=float("nan"))), "λ must lie between"),
        (lambda a: list(a.generate("Go", cap=99_999)), "at most 32,768 tokens"),
        (lambda a: list(a.generate("Go", layers="7-9")), "layers 0-5"),
        (lambda a: list(a.generate("Go", modules="mlpp")), "Unknown module 'mlpp'"),
        (lambda a: list(a.generate("Go", template="mine")), "emplate policy"),
        (lambda a: list(a.generate("Go", pair="other")), "not loaded here. Loaded: 'mini'"),
        (lambda a: list(a.strip("Go", "0:1:0.01")), "at most 24"),
        (lambda a: list(a.strip("Go", "0:1")), "first:last:step"),
        (lambda a: a.questions(0), "from 1 to 1000"),
        (lambda a: a.questions(family="storys"), "Did you mean 'stories'"),
        (lambda a: a.sweep("0:1:0.1", 1000, 8), "5,000"),
        (lambda a: a.sweep("0,1", -4, -4), "1 or more"),
        (lambda a: a.sweep_status("nothing"), "nothing"),
    ],
)
def test_what_is_wrong_is_said(site, call, words):
    with pytest.raises(UserError, match=words.replace("(", "\\(")):
        call(site.api)
    assert not site.engine.asked


def test_pairs_and_questions(site):
    (pair,) = site.api.pairs()
    assert (
        pair == {**pair, "name": "mini", "title": "Scripted pair", "loaded": True, "layers": 6}
        and "linear" in pair["methods"]
    )
    assert {q["q"]: q["gold"] for q in site.api.questions()} == {q.text: q.answer for q in QUESTIONS}
    assert [q["family"] for q in site.api.questions(family="stories")] == ["stories"]
    assert site.api.questions(2, seed=5) == site.api.questions(3, seed=5)[:2]


def test_a_recipe_in_every_form_reads_back(site):
    wanted = Recipe("mini", "linear", 0.3, Scope("2-5", ("mlp",)))
    forms = site.api.recipe(0.3, layers="2-5", modules="mlp")
    assert forms["hash"] == wanted.hash
    assert (
        recipe_io.from_yaml(forms["yaml"])
        == recipe_io.from_json(forms["json"])
        == recipe_io.from_query(forms["query"])
        == wanted
    )
    assert "--lambda=0.3" in forms["command"]
    assert (
        "merge_method: linear" in site.api.recipe(0.3)["mergekit"]
        and site.api.recipe(0.3, "topk_override")["mergekit"] is None
    )


def test_a_sweep_runs_in_the_background_and_is_measured(site):
    begun = site.api.sweep("0,1", questions=4, samples=3)
    assert begun["token"] and begun["total"] in (0, 24)
    found = ended(site.api, begun["study"])
    assert (found["state"], found["done"], found["total"], found["token"]) == ("done", 24, 24, "")
    for cell in found["cells"]:
        at = [r for r in site.engine.asked if r.recipe.lam == cell["lambda"]]
        assert len(at) == 12 and cell["think_ratio"] == pytest.approx(sum("<think>" in script(r) for r in at) / 12)
    again = ended(site.api, site.api.sweep("0,1", questions=4, samples=3)["study"])
    assert again["done"] == 24 and len(site.engine.asked) == 24  # nothing is made twice
    assert Api(site.pairs).sweep_status(begun["study"])["state"] == "saved"


def test_a_sweep_is_stopped_by_its_token_alone(tmp_path):
    site = Site(tmp_path, delay=0.01)
    begun = site.api.sweep("0:1:0.1", questions=20, samples=10)
    assert not site.api.sweep_stop("") and not site.api.sweep_stop(begun["study"])
    with pytest.raises(UserError, match="running already"):
        site.api.sweep("0:1:0.1", questions=20, samples=10)
    assert site.api.sweep_stop(begun["token"])
    assert ended(site.api, begun["study"])["state"] == "stopped"
    assert not site.api.sweep_stop(begun["token"])
    site.close()


def test_a_fault_of_ours_does_not_show_its_inside():
    def broken(n: int = 1) -> int:
        raise RuntimeError("the password is 123")

    with pytest.raises(Exception, match="RuntimeError") as error:
        endpoint(broken)(1)
    assert "password" not in str(error.value)
