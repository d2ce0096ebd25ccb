"""Take away: every form of a view gives the same blend back, the code it shows runs, files are made whole or not at all."""

import io
import json
import shlex
import time
import zipfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import mi_explorer as mi
from mi_explorer.cli import main
from mi_explorer.errors import UserError
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.view import View
from mi_explorer.ui.file_jobs import FileJobError, FileJobs, FileResult
from mi_explorer.ui.takeaway import recipe_forms
from mi_explorer.ui.takeaway.checkpoint_files import export_name, slug
from mi_explorer.ui.takeaway.takeaway_handlers import TakeawayHandlers
from mi_explorer.workbench import Workbench

QUESTION = "What is 12 + 30?"
HOSTILE = "a\"b'; rm -rf $HOME `id` \n</script><b>\u202e {{x}} %s \\"


class OnePair:
    """The pairs of a page with one of them; `access` is the operator's."""

    def __init__(self, bench, access=None):
        self.bench, self.access = bench, access or AccessPolicy(first_pair="mini")

    def at(self, name):
        return self  # as an `OpenPair` with this bench


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with Workbench.open("mini", home=tmp_path_factory.mktemp("home")) as bench:
        yield bench


@pytest.fixture
def take(bench):
    made = TakeawayHandlers(OnePair(bench))
    yield made
    made.file_jobs.close()


def wire(**values) -> dict:
    return {**views.view_dict(View()), **values}


def wait(files: FileJobs, token: str, seconds: float = 60) -> dict:
    end = time.monotonic() + seconds
    while (now := files.look(token))["state"] in ("waiting", "running") and time.monotonic() < end:
        time.sleep(0.02)
    return now


VIEWS = [
    View(lam=0.45, prompt=QUESTION, gold="42", decoding=Decoding(cap=24, seed=5)),
    View(
        lam=0.8,
        prompt=QUESTION,
        scope=Scope("2-5", ("attention", "mlp")),
        template="thinking",
        decoding=Decoding(temperature=0, cap=16),
    ),
    View(lam=-0.25, prompt="-3 + 5 is what?", decoding=Decoding(cap=12, top_k=5, min_p=0.01)),
    View(lam=0.5, method="ties", params=(("density", 0.3),), prompt=HOSTILE, decoding=Decoding(cap=8)),
]


def trace(bench, view: View) -> str:
    asked = mi.GenerationRequest("a", view.prompt, view.recipe(), view.decoding, view.gold or None)
    return [s for changed in bench.stream([asked]) for s in changed][-1].trace.text


@pytest.mark.parametrize("view", VIEWS, ids=lambda v: v.method + str(v.lam))
def test_python_and_command_line_run_and_give_the_trace_of_the_page(bench, view):
    expected = trace(bench, view)
    code = recipe_forms.python(view)
    assert len(code.splitlines()) == 5
    scope: dict = {}
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "shown", "exec"), scope)
    assert scope["recipe"] == view.recipe() and scope["decoding"] == view.decoding
    assert scope["found"].trace.text == expected and out.getvalue().startswith(expected)
    words = shlex.split(recipe_forms.command(view))
    assert words[:4] == ["python", "-m", "mi_explorer", "run"]
    with redirect_stdout(io.StringIO()) as out:
        assert main.main([*words[3:4], "--json", *words[4:]]) == 0
    told = json.loads(out.getvalue())
    assert told["text"] == expected and told["lambda"] == view.lam


SCOPES = st.builds(
    Scope,
    st.sampled_from(["all", "none", "0", "0-2,5", "3-5"]),
    st.lists(st.sampled_from(MODULES), unique=True).map(tuple),
)
RECIPES = st.builds(
    Recipe,
    pair=st.just("mini"),
    method=st.sampled_from(["linear", "slerp"]),
    lam=st.floats(-1, 2).map(lambda x: round(x, 4)),
    scope=SCOPES,
    template=st.sampled_from(["own", "instruct", "thinking"]),
)


@settings(max_examples=60, deadline=None)
@given(RECIPES)
def test_yaml_json_and_link_come_back_as_the_same_recipe(recipe):
    from mi_explorer import recipe_io

    pair, view = get_pair("mini"), View("mini", recipe.lam, recipe.method, recipe.params, recipe.scope, recipe.template)
    for text in (recipe_io.to_yaml(recipe), recipe_io.to_json(recipe)):
        part, kind, note = recipe_forms.read_pasted(text, pair, 6)
        assert (views.view_of_dict(part).recipe(), kind, note) == (recipe, "recipe", "")
    shown = recipe_forms.forms(view, pair, ())
    if shown["query"] != "v=1":  # the default view has nothing to say
        part, kind, note = recipe_forms.read_pasted("http://127.0.0.1:7860/?" + shown["query"], pair, 6)
        assert (views.view_of_dict(part).recipe(), kind, note) == (recipe, "link", "")


def test_mergekit_out_and_in(take, bench):
    for layers, modules in (("all", list(MODULES)), ("2-5", ["attention", "mlp", "norm", "other"]), ("0-3", ["mlp"])):
        shown = take.recipe(wire(lam=0.4, layers=layers, modules=modules))
        config = yaml.safe_load(shown["mergekit"])
        assert config["merge_method"] == "linear" and shown["why"] == ""
        back = take.read({"text": shown["mergekit"], "pair": "mini"})
        recipe = views.view_of_dict(back["view"]).recipe()
        assert back["kind"] == "mergekit configuration" and back["note"] == ""
        names = bench.resident.parents.names()
        from mi_explorer.checkpoints.tensor_names import inside

        assert recipe.lam == 0.4 and [inside(recipe.scope, n) for n in names] == [
            inside(Scope(layers, tuple(modules)), n) for n in names
        ]


def test_what_mergekit_cannot_say_is_a_sentence(take):
    shown = take.recipe(wire(method="karcher", lam=0.3))
    assert shown["mergekit"] == "" and "only λ = 0.5 can be written" in shown["why"]
    assert "--method karcher" in shown["export"] and "method: karcher" in shown["yaml"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "nothing here yet"),
        ("{", "not valid JSON"),
        ("lambda: 7", "between -1 and 2"),
        ("lamda: 0.5", "lambda"),
        ("- a\n- b", "key: value"),
        ("layers: 4-9", "layers 0-5"),
        ("method: ties\nparams: {density: 7}", "density"),
        ("pair: &a mini\nmethod: *a", "aliases"),
        ("x" * 70_000, "70,000 characters"),
        ("https://example.org/", "no view"),
        ("https://example.org/?utm=1", "no view"),
        ("merge_method: passthrough", "passthrough"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_what_cannot_be_applied_is_told(take, text, said):
    assert said in take.read({"text": text, "pair": "mini"})["error"]


def test_a_recipe_of_another_pair_is_applied_with_a_note(take):
    back = take.read({"text": "pair: qwen3-4b\nlambda: 0.7\n"})
    assert back["view"]["lam"] == 0.7 and "qwen3-4b" in back["note"] and "pair" not in back["view"]
    assert take.read({"text": "?lam=0.3&pair=mini"})["note"] == ""
    assert "lens" not in take.read({"text": "?lam=0.3"})["view"]


def test_an_open_page_shows_no_paths_and_hands_out_only_shipped_weights(bench):
    closed = TakeawayHandlers(OnePair(bench, AccessPolicy("fixed", False, (), "mini")), Settings(host="0.0.0.0"))
    shown = closed.recipe(wire(lam=0.4))
    root = str(Path(mi.__file__).resolve().parents[1])
    assert root not in json.dumps(shown) and "assets/models/mini/instruct" in shown["mergekit"]
    assert closed.read({"text": shown["mergekit"]})["note"] == ""  # and it still knows its own pair
    assert (
        shown["checkpoint"]["folder"] == ""
        and shown["checkpoint"]["download"]
        and "no folders" in shown["checkpoint"]["why"]
    )
    assert "no folders" in closed.make({"what": "folder", "view": wire(), "folder": "/tmp/x"})["error"]
    theirs = replace(bench.pair, name="theirs", instruct="/models/a", thinking="/models/b")
    own = type(
        "Bench", (), {"pair": theirs, "resident": bench.resident, "layers": 6, "check": lambda self, recipe: None}
    )()
    assert not TakeawayHandlers(OnePair(own), Settings(host="0.0.0.0")).recipe(wire(pair="theirs"))["checkpoint"][
        "download"
    ]
    assert TakeawayHandlers(OnePair(own)).recipe(wire(pair="theirs"))["checkpoint"]["download"]


# -- checkpoints ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["folder", "zip"])
def test_an_exported_blend_opens_again_and_gives_the_same_greedy_trace(take, bench, tmp_path, what):
    view = wire(lam=0.6, layers="2-5", q=QUESTION, t=0, cap=24)
    began = take.make({"what": what, "view": view, "folder": str(tmp_path / "blend")})
    end = wait(take.file_jobs, began["token"])
    assert end["state"] == "done" and "read back and checked" in end["text"]
    if what == "zip":
        with zipfile.ZipFile(take.file_jobs.file(began["token"], end["name"])) as archive:
            assert archive.testzip() is None
            (top,) = {name.split("/")[0] for name in archive.namelist()}
            archive.extractall(tmp_path)
        (tmp_path / top).rename(tmp_path / "blend")
        assert [p.suffix for p in take.file_jobs.file(began["token"], end["name"]).parent.iterdir()] == [".zip"]
    given = views.view_of_dict(view)
    names = load_file(tmp_path / "blend" / "model.safetensors")
    assert sum(t.numel() * t.element_size() for t in names.values()) == take.recipe(view)["checkpoint"]["bytes"]
    with (
        Workbench.open(f"{tmp_path / 'blend'}|{tmp_path / 'blend'}", dtype="bfloat16") as again,
        Workbench.open("mini", dtype="bfloat16") as first,
    ):
        ours = mi.generate(QUESTION, given.recipe(), decoding=given.decoding, bench=first).trace
        theirs = mi.generate(QUESTION, Recipe(again.pair.name, lam=1), decoding=given.decoding, bench=again).trace
    assert ours.ids == theirs.ids and ours.tokens > 0


def test_a_folder_must_be_new_whole_and_allowed(bench, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "full").mkdir()
    (inside / "full" / "thesis.txt").write_text("mine")
    take = TakeawayHandlers(OnePair(bench, AccessPolicy("fixed", False, (str(inside),), "mini")))
    assert take.recipe(wire())["checkpoint"]["folder"].startswith(str(inside))
    refused = [
        ("x", "whole path"),
        *((path, "outside") for path in (f"{outside}/x", f"{inside}/link/x", f"{inside}/../out/x")),
    ]
    for folder, said in refused:
        assert said in take.make({"what": "folder", "view": wire(), "folder": folder})["error"]
    end = wait(take.file_jobs, take.make({"what": "folder", "view": wire(), "folder": str(inside / "full")})["token"])
    assert end["state"] == "failed" and "not empty" in end["text"]
    assert sorted(p.name for p in inside.iterdir()) == ["full", "link"] and [
        p.name for p in (inside / "full").iterdir()
    ] == ["thesis.txt"]
    assert list(outside.iterdir()) == []


def test_a_stopped_export_leaves_nothing(take, tmp_path, monkeypatch):
    tokens: list[str] = []

    def start(make):
        def slow(folder, tell):
            def heard(text, done=0, total=0):
                if done and tokens:
                    take.stop(tokens[0])
                elif done:
                    time.sleep(0.2)
                tell(text, done, total)

            return make(folder, heard)

        return FileJobs.start(take.file_jobs, slow)

    monkeypatch.setattr(take.file_jobs, "start", start)
    tokens.append(take.make({"what": "folder", "view": wire(), "folder": str(tmp_path / "blend")})["token"])
    end = wait(take.file_jobs, tokens[0])
    assert (end["state"], end["text"], end["url"]) == ("stopped", "Stopped; nothing was kept.", "")
    assert list(tmp_path.iterdir()) == []


def test_methods_and_views_that_cannot_be_exported_are_told(take):
    assert "no checkpoint" in take.recipe(wire(method="logit"))["checkpoint"]["why"]
    assert "no checkpoint" in take.make({"what": "zip", "view": wire(method="logit")})["error"]
    assert (
        "Unknown" in take.recipe(wire(method="nonsense"))["error"]
        or "nonsense" in take.recipe(wire(method="nonsense"))["error"]
    )
    assert "nothing that can be made" in take.make({"what": "shadow"})["error"]
    assert take.make(None)["error"] and take.recipe("x")["hash"] == Recipe().hash


def test_names_of_files_are_plain():
    assert slug("../../etc/passwd\x00") == "etc-passwd" and slug("λ ☃") == "unnamed" and slug("a" * 99) == "a" * 60
    assert export_name(Recipe("mini", lam=0.4), get_pair("mini")).startswith("mini-linear-0.4-")
    named = export_name(Recipe("/x/a|/x/b"), get_pair("/x/a|/x/b"))
    assert named.startswith("a-linear-0.5-") and "/" not in named


# -- files --------------------------------------------------------------------------------------------------------------


def test_files_hold_files_for_those_who_know_the_token():
    files = FileJobs()

    def make(folder, tell):
        tell("Working", 1, 2)
        (folder / "a b.txt").write_text("hello")
        return FileResult("There.", folder / "a b.txt")

    token = files.start(make)
    end = wait(files, token)
    assert end["state"] == "done" and end["bytes"] == 5 and end["url"] == f"/mi/take/{token}/a%20b.txt"
    assert files.file(token, "a b.txt").read_text() == "hello"
    for other in ((token, "../a b.txt"), (token, ""), ("0" * 32, "a b.txt"), ("", "a b.txt")):
        with pytest.raises(FileJobError):
            files.file(*other)
    path = files.file(token, "a b.txt")
    files.close()
    assert not path.exists()


def test_files_go_when_they_are_old_or_too_many():
    def make(size):
        def work(folder, tell):
            (folder / "f").write_bytes(b"x" * size)
            return FileResult("", folder / "f")

        return work

    files = FileJobs(max_bytes=250)
    tokens = []
    for _ in range(3):
        tokens.append(files.start(make(100)))
        wait(files, tokens[-1])
    time.sleep(0.05)
    assert [files.look(t)["state"] for t in tokens] == ["gone", "done", "done"]
    files.keep_s = 0
    assert files.start(make(1)) and [files.look(t)["state"] for t in tokens] == ["gone"] * 3
    files.close()


def test_files_that_fail_keep_nothing_and_too_many_are_refused(caplog):
    import threading

    files, gate = FileJobs(), threading.Event()

    def broken(folder, tell):
        (folder / "half").write_text("x")
        raise RuntimeError("secret /path")

    end = wait(files, files.start(broken))
    assert end["state"] == "failed" and "RuntimeError" in end["text"] and "secret" not in end["text"]
    assert list(Path(files._home.name).iterdir()) == []

    def told(folder, tell):
        raise UserError("The moon is full.")

    assert wait(files, files.start(told))["text"] == "The moon is full."
    for _ in range(12):
        files.start(lambda folder, tell: gate.wait(30) and FileResult(""))
    with pytest.raises(FileJobError, match="already"):
        files.start(told)
    gate.set()
    files.close()


# -- studies --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studied(bench):
    home = bench.store.path.parent
    mi.sweep(
        "mini",
        Recipe(),
        lams="0,0.5,1",
        questions=4,
        samples=2,
        decoding=Decoding(cap=48),
        name="a study",
        home=home,
        bench=bench,
    )
    return "a study"


@pytest.mark.parametrize("form", [".parquet", ".csv", ".jsonl", ".json"])
def test_a_study_as_files_and_back(take, bench, studied, tmp_path, form):
    assert studied in [row[0] for row in take.studies(None)["rows"]]
    token = take.make({"what": form, "study": studied})["token"]
    end = wait(take.file_jobs, token)
    assert end["state"] == "done" and end["name"] == "a-study" + form, end
    path = take.file_jobs.file(token, end["name"])
    if form == ".json":
        told = json.loads(path.read_text(encoding="utf-8"))
        assert [c["lambda"] for c in told["cells"]] == [0, 0.5, 1] and told["cells"][0]["total"] == 8
        return
    if form != ".parquet":
        assert len(path.read_text(encoding="utf-8").splitlines()) >= 24
        return
    with Store.open(tmp_path) as empty:
        other = type("Bench", (), {"store": empty, "pair": bench.pair})()
        back = TakeawayHandlers(OnePair(other)).take_in(str(path))
        assert "24 samples" in back["words"] and empty.study(back["study"]).origin == "imported"
        again = TakeawayHandlers(OnePair(other)).take_in(str(path))  # never grows a study that is there
        assert again["study"] == back["study"] + " (2)" and "24 of them were here already" in again["words"]


def test_what_is_no_study_is_refused(take, tmp_path, bench):
    wrong = [
        ("a.txt", b"x", ".parquet"),
        ("a.parquet", b"PAR1junk", ""),
        ("a.csv", b"\x00\xff", ".parquet"),
        ("a.parquet", b"", ""),
    ]
    for name, content, said in wrong:
        (tmp_path / name).write_bytes(content)
        told = take.take_in(str(tmp_path / name))
        assert told["error"] and said in told["error"]
    assert (
        "takes no files"
        in TakeawayHandlers(OnePair(bench), Settings(upload=0)).take_in(str(tmp_path / "a.parquet"))["error"]
    )
    (tmp_path / "big.parquet").write_bytes(b"x" * 1_000_001)
    assert (
        "larger than 1 MB"
        in TakeawayHandlers(OnePair(bench), Settings(upload=1)).take_in(str(tmp_path / "big.parquet"))["error"]
    )
    end = wait(take.file_jobs, take.make({"what": ".csv", "study": "no such study"})["token"])
    assert end["state"] == "failed" and "no such study" in end["text"]


def test_a_scripted_page_without_store_and_weights_still_answers():
    from tests.ui.fake import FakeBench

    take = TakeawayHandlers(OnePair(FakeBench()))
    shown = take.recipe(wire(lam=0.4))
    assert shown["mergekit"] and "not at hand" in shown["checkpoint"]["why"] and "error" not in take.studies(None)
    assert take.imports() and "error" in take.take_in("x.csv")
