"""The library's surface: light to import, complete, and its verbs do what the README says. Numbers against closed forms."""

import ast
import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import mi_explorer as mi
from mi_explorer.library import lambdas
from mi_explorer.paths import ASSETS
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks import load_task
from tests.fakes import ScriptedEngine, blend_script, scripted_bench

ROOT = Path(__file__).resolve().parents[1]
MINI = ASSETS / "models" / "mini"


def test_importing_it_loads_nothing_heavy():
    heavy = ("torch", "transformers", "gradio", "numpy", "pandas", "yaml", "datasets")
    code = f"import sys, mi_explorer as mi; print([m for m in {heavy!r} if m in sys.modules]); mi.Recipe; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["[]", "False"], done.stdout + done.stderr


def test_the_verbs_need_neither_gradio_nor_torchs_compiler():
    """Either takes seconds to import."""
    uses = (
        "[getattr(mi, n) for n in mi.__all__]; mi.blend(mi.Recipe()); mi.generate('What is 3 + 4?', mi.Recipe(lam=0.5))"
    )
    code = f"import sys, mi_explorer as mi; {uses}; print([m for m in ('gradio', 'torch._dynamo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_only_the_page_imports_gradio():
    def imports(path: Path) -> set[str]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
        return {n.split(".")[0] for n in names + [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]}

    found = {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / "mi_explorer").rglob("*.py")
        if imports(p) & {"gradio", "gradio_client"}
    }
    assert found and all(name.startswith("mi_explorer/ui/") for name in found)


def test_every_name_of_the_surface_is_there():
    assert set(mi.__all__) <= set(dir(mi))
    assert all(getattr(mi, name).__doc__ for name in mi.__all__)
    with pytest.raises(AttributeError, match="no attribute 'blendd'"):
        _ = mi.blendd
    assert (ROOT / "mi_explorer" / "py.typed").exists()


def test_the_readmes_example_runs():
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## In the terminal and from Python")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    rows = [line.split() for line in out.getvalue().strip().splitlines()[-3:]]
    assert [row[0] for row in rows] == ["0.0", "0.5", "1.0"]
    assert all(int(tokens) > 0 and verdict in ("correct", "wrong", "no_answer") for _, tokens, verdict in rows)


def test_a_strip_is_in_order_and_shares_one_batch():
    engine = ScriptedEngine(lambda r: f"The answer is {round(10 * r.recipe.lam)}.")
    with scripted_bench(engine) as bench:
        frames = mi.strip("How much?", lams="1,0.5,0", gold="5", bench=bench)
        one = mi.generate("How much?", mi.Recipe(lam=0.3), bench=bench)
    assert [(f.recipe.lam, f.trace.answer, f.verdict) for f in frames] == [
        (1, "10", "wrong"),
        (0.5, "5", "correct"),
        (0, "0", "wrong"),
    ]
    assert (one.trace.answer, one.verdict, one.state) == ("3", None, "done") and len(engine.asked) == 4


def test_bad_input_says_what_is_wrong():
    with scripted_bench() as bench:
        for call, words in (
            (lambda: mi.strip("Go", lams="a", bench=bench), "must be a number"),
            (lambda: mi.strip(" ", bench=bench), "prompt is empty"),
            (lambda: mi.generate("Go", mi.Recipe("other"), bench=bench), "is for the pair 'other'"),
            (lambda: mi.generate("Go", mi.Recipe(scope=mi.Scope("9")), bench=bench), "layers 0-5"),
            (lambda: mi.generate("Go", mi.Recipe("nobody")), "Unknown pair"),
            (lambda: mi.sweep("nothing", bench=bench), "Unknown task"),
        ):
            with pytest.raises(mi.UserError, match=re.escape(words)):
                call()
    with (
        scripted_bench(ScriptedEngine(lambda r: None)) as bench,
        pytest.raises(mi.UserError, match="λ 0.5.*scripted failure"),
    ):
        mi.generate("Go", bench=bench)


def test_lambdas_from_text_and_numbers():
    assert lambdas("0:1:0.25") == lambdas([0, 0.25, 0.5, 0.75, 1, 1]) == (0, 0.25, 0.5, 0.75, 1)
    assert lambdas([0.1 + 0.2]) == (0.1 + 0.2,)


def test_a_sweep_measures_saves_and_resumes(tmp_path):
    file = tmp_path / "sums.csv"
    file.write_text("question,answer\n" + "".join(f"What is {i} + {i + 2}?,{2 * i + 2}\n" for i in range(8)))
    engine, seen = ScriptedEngine(), []
    with scripted_bench(engine) as bench:
        found = mi.sweep(
            file, lams=[0, 1], questions=8, samples=3, home=tmp_path, bench=bench, watch=seen.append
        ).json()
        asked = len(engine.asked)
        again = mi.sweep(file, lams=[0, 1], questions=8, samples=3, home=tmp_path, bench=bench).json()
        assert asked == 48 == len(engine.asked) and seen  # the second call makes nothing
        more = mi.sweep(file, lams=[0, 0.5, 1], questions=8, samples=3, home=tmp_path, bench=bench).json()
        assert len(engine.asked) == 72 and [c["lambda"] for c in more["cells"]] == [0, 0.5, 1]
    answers = {q.text: q.answer for q in load_task(file).questions}
    for cell, again_cell in zip(found["cells"], again["cells"]):
        at = [r for r in engine.asked[:48] if r.recipe.lam == cell["lambda"]]
        prompts = [bytes(i for i in r.prompt if i < 256).decode() for r in at]
        right = [
            blend_script(r).endswith(f"is {next(a for q, a in answers.items() if q in p)}.")
            for r, p in zip(at, prompts)
        ]
        assert cell["mean"] == pytest.approx(sum(right) / 24) == again_cell["mean"]
        assert cell["think_ratio"] == pytest.approx(sum("<think>" in blend_script(r) for r in at) / 24)
    with Store.open(tmp_path) as store:
        assert [(s.samples, s.name) for s in store.studies()] == [(72, found["study"])]


def test_blend_and_export_give_the_lerp(tmp_path):
    recipe = mi.Recipe(lam=0.25)
    p, q = (load_file(MINI / role / "model.safetensors") for role in ("instruct", "thinking"))
    name = "model.layers.3.mlp.up_proj.weight"
    expected = ((1 - 0.25) * p[name].double() + 0.25 * q[name].double()).float().bfloat16()
    assert torch.equal(mi.blend(recipe).tensor(name), expected)
    steps = []
    done = mi.export(recipe, tmp_path / "out", progress=lambda n, total: steps.append((n, total)))
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[name], expected)
    assert steps[-1] == (done.bytes, done.bytes) and done.recipe == recipe.hash
    with pytest.raises(mi.UserError, match="not empty"):
        mi.export(recipe, tmp_path / "out")


def test_the_documents_examples_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "programs.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, timeout=240)  # fmt: skip
    lines = done.stdout.strip().splitlines()
    assert len(blocks) == 2 and len(lines) == 3, done.stderr
    assert (
        [line.split()[0] for line in lines[:2]] == ["0-1", "2-5"]
        and lines[2].startswith("[(0.0, ")
        and (tmp_path / "studies").is_dir()
    )
