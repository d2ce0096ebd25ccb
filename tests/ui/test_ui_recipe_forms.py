"""Take away, as text: every form of a view gives the same blend back, and the code it shows runs."""

import io
import json
import shlex
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mi_explorer as mi
from mi_explorer.cli import main
from mi_explorer.generation.schedule import parse_schedule, schedule_text
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import MODULES, Decoding, Recipe, Scope
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.view import View
from mi_explorer.ui.takeaway import recipe_forms
from mi_explorer.ui.takeaway.takeaway_handlers import TakeawayHandlers
from tests.ui.taking import QUESTION, OnePair, wire

HOSTILE = "a\"b'; rm -rf $HOME `id` \n</script><b>\u202e {{x}} %s \\"
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


def told_by(command: str) -> dict:
    """What a command line tells as JSON."""
    words = shlex.split(command)
    with redirect_stdout(io.StringIO()) as out:
        assert main.main([words[3], "--json", *words[4:]]) == 0
    return json.loads(out.getvalue())


def test_code_and_command_of_a_steered_response_make_it_again(bench):
    schedule = parse_schedule("20:0.3,35:hint=%20Let%20me%20check%20it.,60:close")
    view = View(
        lam=1, prompt="What is 14 + 3 * 6 - 9?", gold="23", decoding=Decoding(cap=200, seed=3),
        schedule=schedule_text(schedule),
    )  # fmt: skip
    asked = mi.GenerationRequest("a", view.prompt, view.recipe(), view.decoding, view.gold, schedule=schedule)
    want = [s for changed in bench.stream([asked]) for s in changed][-1]
    assert len(want.lambdas) == 2 and "check it." in want.trace.text
    scope: dict = {}
    with redirect_stdout(io.StringIO()):
        exec(compile(recipe_forms.python(view), "shown", "exec"), scope)
    assert scope["steered"].ids == want.ids
    assert told_by(recipe_forms.command(view))["text"] == want.trace.text


def test_code_and_commands_of_branches_and_probes_give_what_the_page_shows(bench):
    view = View(
        lam=0.5,
        prompt="What is 14 + 3 * 6 - 9?",
        gold="23",
        decoding=Decoding(temperature=0, cap=200),
        branches=("1~30:0.5,40:0.2",),
        probes=("1/3/0.5", "b1/3"),
    )
    request = {"token": "w" * 16, "kind": "branch", "view": views.view_dict(view), "path": view.branches[0]}
    explore = Explore(bench)
    *_, last = explore.run(request)
    branch = explore.traces.get("w" * 16, "branch")
    assert last["state"] == "done"
    scope: dict = {}
    with redirect_stdout(io.StringIO()) as out:
        exec(compile(recipe_forms.python(view), "shown", "exec"), scope)
    assert scope["branch"].ids == branch.ids and branch.trace.text in out.getvalue()
    run, _, made, _, probe, note = recipe_forms.command(view).splitlines()
    assert told_by(made)["text"] == branch.trace.text
    told = told_by(probe)
    assert (told["lambda"], told["at_lambda"]) == (1, 0.5) and note.startswith("#") and "run" in shlex.split(run)
    assert told["points"] == scope["probed"].json()["points"] and len(told["points"]) == 3


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
    assert shown["mergekit"] == "" and "λ = 0.5" in shown["why"]
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
