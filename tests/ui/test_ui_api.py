"""The endpoints: handlers called directly, and `gradio_client` against a real server on the loopback address."""

import json
import time
import urllib.request

import pytest
from gradio.queueing import Queue
from gradio_client import Client
from gradio_client.exceptions import AppError

from mi_explorer import recipe_io
from mi_explorer.errors import UserError
from mi_explorer.merging.methods import check_params, get_method
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from mi_explorer.studies.jobs import Jobs
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.api.endpoints import Api
from mi_explorer.ui.api.registration import endpoint
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.fakes import ScriptedEngine, blend_script, scripted_bench
from tests.servers import free_port
from tests.ui.fake import QUESTIONS

NAMES = {"pairs", "questions", "recipe", "generate", "strip", "sweep", "sweep_status", "sweep_stop"}
LONG = "<think>" + "Let me see. " * 40 + "</think>The answer is 7."


def script(request):
    """What the scripted blend says; "slow" in the prompt makes it long."""
    return LONG if b"slow" in bytes(i for i in request.prompt if i < 256) else blend_script(request)


class Engine(ScriptedEngine):
    """Remembers its streams."""

    def submit(self, requests, stream=None):
        self.streams = [*getattr(self, "streams", []), super().submit(requests, stream)]
        return self.streams[-1]


class Site:
    """A scripted page: its bench, its endpoints and, where asked, its server."""

    def __init__(self, home, delay=0.0):
        self.engine = Engine(script, delay=delay)
        self.store = Store.open(home)
        self.bench = scripted_bench(self.engine, self.store)
        self.bench.generator.check_recipe = lambda recipe: check_params(get_method(recipe.method), recipe.params)
        self.bench.pair = Pair("mini", "instruct", "thinking", "base", title="Scripted pair")
        explore = Explore(self.bench, QUESTIONS)
        self.pairs = PagePairs(
            OpenPair(explore, page_setup(self.bench, QUESTIONS, "mini", None)), lambda pair: None, "fixed"
        )
        self.jobs = Jobs()
        self.api = Api(self.pairs, None, self.jobs)

    def close(self):
        self.jobs.close()
        self.bench.close()
        self.store.close()


@pytest.fixture()
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(site, client) of a running server."""
    site = Site(tmp_path_factory.mktemp("home"), delay=0.002)
    port = free_port()
    app = build(site.pairs, None, site.jobs)
    launch(app, "127.0.0.1", port, quiet=True)
    yield site, Client(f"http://127.0.0.1:{port}", verbose=False)
    app.close()
    site.close()


def ended(api, study):
    for _ in range(600):
        found = api.sweep_status(study)
        if found["state"] != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("the sweep did not end")


# -- handlers -----------------------------------------------------------------------------------------------------------


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

    with pytest.raises(Exception, match="Something broke on the server \\(RuntimeError\\)") as error:
        endpoint(broken)(1)
    assert "password" not in str(error.value)


# -- through a client ----------------------------------------------------------------------------------------------------


def test_no_table_of_events_is_made_that_nobody_reads(served, monkeypatch):
    tables = []
    monkeypatch.setattr(Queue, "_get_df", staticmethod(lambda records: tables.append(len(records))))
    assert served[1].predict("What is 3 + 4?", api_name="/generate")["state"] == "done"
    assert (
        served[1].predict("What is 3 + 5?", api_name="/generate")["state"] == "done"
    )  # what ends the first one has run by now
    assert not tables


def test_the_api_page_lists_these_endpoints_and_no_other(served):
    _, client = served
    found = client.view_api(return_format="dict")
    assert set(found["named_endpoints"]) == {f"/{name}" for name in NAMES} and not found["unnamed_endpoints"]
    types = {p["parameter_name"]: p["python_type"]["type"] for p in found["named_endpoints"]["/generate"]["parameters"]}
    assert (types["prompt"], types["lam"], types["top_k"], types["params"]) == (
        "str",
        "float",
        "int",
        "None | dict(str, float)",
    )
    gives = found["named_endpoints"]["/strip"]["returns"][0]["python_type"]["type"]
    assert gives.startswith("list[dict(lam: float, state: str, text: str") and "verdict: None | str" in gives
    assert all(p["parameter_has_default"] for p in found["named_endpoints"]["/sweep"]["parameters"])


def test_a_client_iterates_and_predicts(served):
    _, client = served
    states = list(client.submit("slow", lam=0.9, gold="7", api_name="/generate"))
    assert len(states) > 2 and all(LONG.startswith(s["text"]) for s in states)
    assert [len(s["text"]) for s in states] == sorted(len(s["text"]) for s in states)
    assert (states[-1]["state"], states[-1]["verdict"], states[-1]["text"]) == ("done", "correct", LONG)
    assert client.predict("slow", lam=0.9, gold="7", api_name="/generate")["text"] == LONG
    frames = client.predict("What is 3 + 4?", lams="0,1", api_name="/strip")
    assert [f["lam"] for f in frames] == [0, 1] and {f["state"] for f in frames} == {"done"}
    assert client.predict(api_name="/pairs")[0]["name"] == "mini"


def test_a_client_sees_the_message(served):
    _, client = served
    with pytest.raises(AppError, match="The prompt is empty. Write a question first."):
        client.predict("", api_name="/generate")
    with pytest.raises(AppError, match="Unknown .*'linaer'. Did you mean 'linear'"):
        client.predict("Go", method="linaer", api_name="/strip")


def test_two_clients_get_their_own_traces(served):
    _, client = served
    jobs = [client.submit(f"What is {n} + {n}?", lam=n / 10, seed=n, api_name="/generate") for n in range(8)]
    alone = [client.predict(f"What is {n} + {n}?", lam=n / 10, seed=n, api_name="/generate") for n in range(8)]
    assert [job.result(60)["text"] for job in jobs] == [a["text"] for a in alone]


def test_a_cancelled_job_leaves_the_engine(served):
    site, client = served
    before = len(site.engine.streams)
    job = client.submit("slow", lam=1, api_name="/generate")
    next(iter(job))
    job.cancel()
    for _ in range(100):
        if site.engine.streams[before].all:
            break
        time.sleep(0.02)
    assert site.engine.streams[before].all


def test_plain_http_works(served):
    _, client = served
    base = client.src.rstrip("/") + "/gradio_api/call/questions"
    request = urllib.request.Request(
        base, json.dumps({"data": [1, 0, "stories"]}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{base}/{event}", timeout=30) as stream:
        lines = stream.read().decode().splitlines()
    assert lines[0] == "event: complete" and json.loads(lines[1].removeprefix("data: "))[0][0]["gold"] == "7"
