"""`sweep` and `ablate`: the object they end with, tables, resuming, refining, shards. With a scripted pair."""

import json
import re

import pytest

from mi_explorer.studies.store.store import Store
from tests.cli.commands import call, sweep
from tests.expected import CELL_KEYS


def test_sweep_ends_with_the_agreed_object(scripted, capsys):
    code, out, err = sweep(capsys, "--lambda", "0:1:0.1", "--json")
    found = json.loads(out.splitlines()[-1])
    cells = found["cells"]
    assert code == 0 and len(out.splitlines()) == 1 and [c["lambda"] for c in cells] == [i / 10 for i in range(11)]
    assert all(set(c) >= CELL_KEYS and (c["questions"], c["samples"], c["total"]) == (40, 2, 80) for c in cells)
    assert (
        all(c["mean_ci"][0] <= c["mean"] <= c["mean_ci"][1] for c in cells)
        and cells[-1]["mean"] > cells[0]["mean"] + 0.2
    )
    # the scripted blend thinks with σ((λ − 0.5)/0.05), and the same seeds at every λ
    assert abs(found["stages"]["lambda50"] - 0.5) < 0.03 and 0.02 < found["stages"]["s"] < 0.08
    assert (found["pairs"], found["fingerprints"], found["decoding"]["seed"]) == (["mini"], ["scripted"], 0)
    low, high = found["stages"]["stage2"]
    assert (
        low == pytest.approx(found["stages"]["lambda50"] - 4.595 * found["stages"]["s"], abs=1e-3) and 0.6 < high < 0.9
    )
    assert "880/880 samples" in err
    samples = Store.open().samples(1)
    by_lam = {c["lambda"]: [s for s in samples if s.cell == c["key"]] for c in cells}
    for c in cells:
        mine = by_lam[c["lambda"]]
        assert c["mean"] == pytest.approx(sum(s.correct for s in mine) / 80) and c["tokens"] == pytest.approx(
            sum(s.tokens for s in mine) / 80
        )
        assert c["think_ratio"] == pytest.approx(sum(s.think_closed for s in mine) / 80)


def test_tables_and_figures_for_a_readme(scripted, capsys, tmp_path):
    sweep(capsys, "--lambda", "0,0.5,1", "--quiet")
    code, out, _ = call(capsys, "study", "table", "s", "--markdown")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "| λ | Mean@2 | Pass@2 | Vote@2 | Tokens | Think % | Truncated % | n |"
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| 0", "| 0.5", "| 1"] and lines[2].endswith("40 × 2 |")
    assert (
        "40 questions × 2 samples, T 0.6" in out
        and "`python -m mi_explorer" in out
        and "thought appears at a transition" in out.lower()
    )
    assert "Mean@2" in call(capsys, "study", "table", "s")[1]
    out = call(capsys, "study", "table", "s", "--by", "level", "--lambda", "0,1")[1]
    assert re.search(r"questions +λ 0 +λ 1\n", out) and re.search(r"^0 +40 ", out, re.M)
    code, _, err = call(capsys, "study", "table", "s", "--by", "level", "--lambda", "0.3")
    assert code == 2 and "λ 0.3 was not measured" in err
    assert "Anywhere %" in call(capsys, "study", "table", "s", "--mentions")[1]
    assert call(capsys, "study", "figure", "s", "f.svg")[0] == 0 and (tmp_path / "f.svg").read_text().startswith("<svg")
    for words, says in (
        (["f.svg"], "left as it was"),
        (["f.png"], "written as .svg"),
        (["no/f.svg"], "cannot be written"),
    ):
        code, _, err = call(capsys, "study", "figure", "s", *words)
        assert code == 2 and says in err
    assert call(capsys, "study", "figure", "s", "f.svg", "--overwrite")[0] == 0


def test_exports_keep_the_texts_of_some_questions(scripted, capsys, tmp_path):
    sweep(capsys, "--lambda", "0", "--quiet")
    assert call(capsys, "study", "export", "s", "slim.parquet", "--texts", 1, "--text-questions", 3)[0] == 0
    with Store(tmp_path / "slim.parquet", readonly=True) as store:
        samples = store.samples(1)
        assert len(samples) == 80 and sum(store.body(s.key) is not None for s in samples) == 3


def test_sweep_again_resumes_and_extends(scripted, capsys):
    sweep(capsys, "--lambda", "0,1", "--quiet")
    _, out, err = sweep(capsys, "--lambda", "0,0.5,1")
    assert sum(len(e.asked) for e in scripted) == 240 and "160 from the store" in err
    rows = [line.split()[0] for line in out.splitlines() if re.match(r"\s*[\d.]+ .*×", line)]
    assert (
        rows == ["0", "0.5", "1"]
        and "Brackets: 95 % intervals" in out
        and "T 0.6, top-p 0.95, top-k 20, cap 200, seed 0" in out
    )
    _, out, _ = sweep(capsys, "--lambda", "0,1", "--json", "--quiet")
    assert [c["lambda"] for c in json.loads(out)["cells"]] == [0, 1]  # a smaller question gets a smaller answer
    assert len(Store.open().study("s").plan.cells) == 3


def test_sweep_refines_at_the_transition(scripted, capsys):
    code, out, err = sweep(capsys, "--lambda", "0:1:0.25", "--refine", 1, "--json")
    lams = [c["lambda"] for c in json.loads(out)["cells"]]
    new = sorted(set(lams) - {0, 0.25, 0.5, 0.75, 1})
    assert code == 0 and "Adding λ" in err and new and all(0.25 < x < 0.75 for x in new)


def test_sweep_compares_methods_curve_by_curve(scripted, capsys):
    code, out, _ = sweep(capsys, "--lambda", "0:1:0.25", "--method", "linear,slerp", "--json", "--quiet")
    found = json.loads(out)
    assert code == 0 and {(c["group"], c["method"]) for c in found["cells"]} == {
        ("linear", "linear"),
        ("slerp", "slerp"),
    }
    assert set(found["curves"]) == {"linear", "slerp"} and len(found["cells"]) == 10


def test_shards_merge_on_the_command_line(scripted, capsys, tmp_path):
    whole = json.loads(sweep(capsys, "--lambda", "0,0.5,1", "--json", "--quiet")[1])
    for i in (1, 2):
        assert (
            sweep(capsys, "--lambda", "0,0.5,1", "--shard", f"{i}/2", "--quiet", "--home", tmp_path / f"h{i}")[0] == 0
        )
    assert call(capsys, "study", "export", "s", "two.parquet", "--home", tmp_path / "h2")[0] == 0
    code, out, _ = call(
        capsys, "study", "merge", "s", tmp_path / "h1" / "studies.db", "two.parquet", "--home", tmp_path / "h3"
    )
    assert (code, out) == (0, "study s: 240 new samples\n")
    merged = json.loads(call(capsys, "study", "show", "s", "--json", "--home", tmp_path / "h3")[1])
    assert merged["cells"] == whole["cells"] and merged["stages"] == whole["stages"]


@pytest.mark.parametrize(
    "what, labels",
    [
        ("layers", ["Instruct", "Thinking", "layers 0-5 and all else", "layers 0-1", "layers 2-3", "layers 4-5", "layers 0-3", "layers 2-5",
                    "layers 0-1,4-5"]),
        ("modules", ["Instruct", "Thinking", "all modules", "without attention", "without mlp", "without norm", "attention alone", "mlp alone"]),
        ("backbone", ["into Instruct", "into base"]),
        ("decoding", [f"T {t}, top-p {p}" for p in ("0.95", "0.9", "0.85", "0.8") for t in ("0.6", "0.65", "0.7")]),
    ],
)  # fmt: skip
def test_ablations_have_the_papers_rows(scripted, capsys, what, labels):
    code, out, _ = call(
        capsys, "ablate", what, "--task", "sums.jsonl", "--questions", 4, "--samples", 1, "--json", "--quiet"
    )
    found = json.loads(out)
    assert code == 0 and [c["label"] for c in found["cells"]] == labels and found["kind"] == what
    blends = [c for c in found["cells"] if c["label"] not in ("Instruct", "Thinking")]
    assert {c["lambda"] for c in blends} == {0.4 if what == "decoding" else 0.8}
    asked = {r.recipe.pair for e in scripted for r in e.asked}
    assert asked == ({"mini", "mini@base"} if what == "backbone" else {"mini"})


def test_method_ablation_takes_published_settings_or_a_grid(scripted, capsys):
    code, out, _ = call(
        capsys, "ablate", "methods", "--task", "sums.jsonl", "--questions", 2, "--samples", 1, "--json", "--quiet"
    )
    found = {c["group"]: c["lambda"] for c in json.loads(out)["cells"]}
    assert (
        code == 0 and {"linear": 0.8, "task_arithmetic": 0.7, "ties": 0.5}.items() <= found.items() and len(found) >= 10
    )
    out = call(capsys, "ablate", "methods", "--task", "sums.jsonl", "--questions", 2, "--samples", 1, "--methods", "ties,linear",
               "--lambda", "0.2:0.6:0.2", "--param", "ties.density=0.4", "--json", "--quiet")[1]  # fmt: skip
    assert [(c["group"], c["lambda"]) for c in json.loads(out)["cells"]][2:] == [
        (m, x) for m in ("ties", "linear") for x in (0.2, 0.4, 0.6)
    ]
    assert {tuple(r.recipe.params) for r in scripted[-1].asked if r.recipe.method == "ties"} == {(("density", 0.4),)}
