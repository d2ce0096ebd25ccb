"""`preflight`, `weights`, `export` on the command line: text, JSON, exit codes, messages of one paragraph."""

import json

import pytest
import torch
from safetensors.torch import load_file

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.cli.main import main
from mi_explorer.merging.blend import bind
from mi_explorer.recipe import Recipe, Scope
from mi_explorer.recipe_io import from_json, from_query, from_yaml
from mi_explorer.ui.explore.view import view_of_query
from tests.fixtures import make, make_pair, make_tokenizer


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = make_pair("qwen3", tmp_path_factory.mktemp("pair"), dtype=torch.bfloat16)
    for folder in (pair.instruct, pair.thinking, pair.base):
        make_tokenizer(folder)
    return pair


def run(capsys, *words):
    code = main([str(w) for w in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_preflight(pair, capsys, tmp_path):
    code, out, err = run(capsys, "preflight", pair.instruct, pair.thinking, "--base", pair.base)
    assert code == 0 and out.startswith("OK: ") and "qwen3, 3 layers" in out and "memory: fold" in out and err == ""
    code, out, _ = run(capsys, "preflight", pair.spec, "--json")
    result = json.loads(out)
    assert code == 0 and result["verdict"] == "ok" and result["facts"]["layers"] == 3
    other = make("llama", tmp_path / "other")
    capsys.readouterr()  # the library's own progress bar
    code, out, err = run(capsys, "preflight", pair.instruct, other)
    assert code == 2 and "REFUSED (architecture)" in out and err.count("\n") == 1
    code, out, err = run(capsys, "preflight", pair.instruct, "./nowhere", "--json")
    assert code == 2 and json.loads(out)["verdict"] == "refused"
    code, out, err = run(capsys, "preflight", "a", "b", "c")
    assert code == 2 and "two parents" in err and out == ""
    assert "\x1b" not in run(capsys, "preflight", pair.instruct, "evil\x1b[2Jname")[1]


def test_weights(pair, capsys):
    code, out, err = run(capsys, "weights", pair.spec)
    assert (
        code == 0
        and "layer 2 mlp" in out
        and "overall" in out
        and "kinship cosine" in out
        and "Kinship: task vectors from" in out
    )
    assert out.count("\n") == 3 + 11 + 1 + 3
    code, out, _ = run(capsys, "weights", pair.instruct, pair.thinking, "--tensors")
    assert "model.layers.0.mlp.up_proj.weight" in out and "kinship" not in out
    code, out, _ = run(capsys, "weights", pair.spec, "--json")
    found = json.loads(out)
    assert (
        len(found["tensors"]) == 35
        and found["overall"]["tensors"] == 35
        and found["gauge"] in ("green", "amber", "orange", "red")
    )


def test_export(pair, capsys, tmp_path):
    words = ["--lambda", 0.4, "--layers", "0-1", "--modules", "all-mlp", "--json"]
    code, out, _ = run(capsys, "export", "--pair", pair.spec, *words, "--out", tmp_path / "out")
    done = json.loads(out)
    assert code == 0 and done["tensors"] == 35 and done["path"] == str(tmp_path / "out")
    blend = bind(
        Recipe(lam=0.4, scope=Scope("0-1", ("attention", "norm", "embedding", "lm_head", "other"))), Parents.open(pair)
    )
    written = load_file(tmp_path / "out/model.safetensors")
    assert all(torch.equal(written[n], blend.tensor(n)) for n in written)
    code, _, err = run(capsys, "export", "--pair", pair.spec, "--out", tmp_path / "out")
    assert code == 2 and "not empty" in err and err.count("\n") == 1


def test_export_from_files_and_in_other_forms(pair, capsys, tmp_path):
    recipe = Recipe(pair.spec, "ties", 0.6, Scope("1"), (("density", 0.3),))
    words = [
        "export",
        "--pair",
        pair.spec,
        "--method",
        "ties",
        "--lambda",
        0.6,
        "--layers",
        1,
        "--param",
        "density=0.3",
        "--show",
    ]
    shown = {form: run(capsys, *words, form)[1] for form in ("yaml", "json", "url", "mergekit", "command")}
    assert from_yaml(shown["yaml"]) == from_json(shown["json"]) == from_query(shown["url"].strip()) == recipe
    view, messages = view_of_query(shown["url"].strip())
    assert view.recipe() == recipe and messages == ()  # the page opens on it
    assert shown["command"].startswith("python -m mi_explorer export --pair")
    for form in ("yaml", "json", "mergekit"):
        (tmp_path / form).write_text(shown[form])
        more = ["--pair", pair.spec] if form == "mergekit" else []
        code, out, err = run(capsys, "export", "--recipe", tmp_path / form, *more, "--show", "json")
        assert code == 0, err
        assert from_json(out) == recipe
    assert from_json(
        run(capsys, "export", "--recipe", tmp_path / "yaml", "--lambda", 0.2, "--show", "json")[1]
    ) == recipe.at(0.2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--lambda", "abc", "--out", "x"], "λ must be a number, not 'abc'"),
        (["--lambda", "nan", "--out", "x"], "λ must lie between"),
        (["--lambda", "0.5"], "Say where to write"),
        (["--method", "liner", "--out", "x"], "Did you mean 'linear'"),
        (["--layers", "0-99", "--out", "x"], "names layer 99"),
        (["--method", "ties", "--param", "densty=1", "--out", "x"], "Did you mean 'density'"),
        (["--recipe", "nowhere.yaml"], "cannot be read"),
        (["--adapter", "--out", "x"], "Neither parent is a LoRA adapter"),
        (["--method", "topk_override", "--show", "mergekit"], "mergekit has no method"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(words, says, pair, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "export", "--pair", pair.spec, *words)
    assert code == 2 and says in err and err.count("\n") == 1 and out == "" and list(tmp_path.iterdir()) == []
