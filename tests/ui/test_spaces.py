"""Spaces: defaults there, the one door to a GPU under a fake `spaces` that pickles and refuses, and the page's fallback."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
import yaml

from mi_explorer.engine.events import BULK, Admitted, Request, Token
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.ui.access import settings
from mi_explorer.ui.explore import demo_strip
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.spaces import environment, gpu_work
from mi_explorer.ui.spaces.gpu_work import GpuError, GpuJob, gpu
from mi_explorer.ui.spaces.space_bench import SpaceBench
from mi_explorer.workbench import GenerationRequest, Workbench

ROOT = Path(__file__).resolve().parents[2]
ZERO = {"SPACES_ZERO_GPU": "true", "SPACE_ID": "someone/lab"}


class FakeSpaces(types.ModuleType):
    """A `spaces` whose GPU functions see pickled arguments and give pickled yields; `refuse` is raised at the start of a call."""

    def __init__(self, refuse=None):
        super().__init__("spaces")
        self.refuse, self.asked = refuse, []

    def GPU(self, duration):  # noqa: N802 - its name there
        def decorate(function):
            def call(*args):
                args = pickle.loads(pickle.dumps(args))
                self.asked.append(duration(*args))
                if self.refuse is not None:
                    raise self.refuse
                for value in function(*args):
                    yield pickle.loads(pickle.dumps(value))

            return call

        return decorate


def door(monkeypatch, **options):
    """(the fake, the decorated door)."""
    fake = FakeSpaces(**options)
    monkeypatch.setitem(sys.modules, "spaces", fake)
    return fake, gpu(gpu_work.work_in_process, gpu_work.gpu_seconds, ZERO)


@pytest.fixture()
def unloaded():
    yield
    if gpu_work.loaded_pair.cache_info().currsize:
        gpu_work.loaded_pair.cache_clear()


def asks(lams=(0.0, 0.5, 1.0), **decoding):
    return [
        GenerationRequest(f"{lam:g}", "What is 14 + 3 * 6 - 9?", Recipe("mini", lam=lam), Decoding(**decoding), "23")
        for lam in lams
    ]


def last(stream):
    out = {}
    for changed in stream:
        out |= {s.id: s for s in changed}
    return out


# -- where we are ------------------------------------------------------------------------------------------------------


def test_the_door_is_plain_elsewhere():
    assert (
        gpu(gpu_work.work_in_process, gpu_work.gpu_seconds, {}) is gpu_work.work_in_process
        and gpu_work.gpu_work is gpu_work.work_in_process
    )
    assert not environment.on_zero({"SPACES_ZERO_GPU": "false"}) and environment.on_zero({"SPACES_ZERO_GPU": "1"})


def test_a_space_opens_to_its_proxy_and_keeps_its_studies(tmp_path):
    assert environment.space_defaults({}, tmp_path) == {}
    assert environment.space_defaults(ZERO, tmp_path) == {"host": "0.0.0.0", "home": str(tmp_path / "mi-explorer")}
    assert environment.space_defaults(ZERO, tmp_path / "none") == {"host": "0.0.0.0"}
    found = settings.read_page_settings([], ZERO)
    assert (found.host, found.pair, found.device, found.pairs, found.hub, found.folders) == (
        "0.0.0.0",
        "mini",
        "cpu",
        "fixed",
        False,
        (),
    )
    assert (
        settings.read_page_settings([], {**ZERO, "MI_EXPLORER_HOST": "127.0.0.1"}).host == "127.0.0.1"
        and settings.read_page_settings([], {}).host == "127.0.0.1"
    )


def test_only_one_function_is_decorated_for_the_gpu():
    calls = []
    for path in (ROOT / "mi_explorer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "GPU":
                calls.append(path.name)
    assert calls == ["gpu_work.py"]


def test_front_matter_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---")[1])
    assert text.startswith("---\n") and front["sdk"] == "gradio" and front["license"] == "apache-2.0"
    assert (ROOT / front["app_file"]).is_file() and front["python_version"] in ("3.11", "3.12")
    wanted = next(line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio"))
    low, high = (tuple(map(int, x.strip("<>=").split("."))) for x in wanted.removeprefix("gradio").split(","))
    assert low <= tuple(map(int, front["sdk_version"].split("."))) < high


# -- through the door --------------------------------------------------------------------------------------------------


def test_traces_through_the_door_are_the_engines_own(monkeypatch, tmp_path, unloaded):
    fake, work = door(monkeypatch)
    with SpaceBench.open_space("mini", "cpu", "float32", tmp_path, 16, work=work) as bench:
        found = last(bench.stream(asks()))
        scored = bench.score(found["0.5"])
        stop = threading.Event()
        stopped = {}
        for changed in bench.stream(asks(temperature=5, top_p=1, top_k=0, cap=900), stop=stop):
            stopped |= {s.id: s for s in changed}
            if any(s.trace.tokens for s in changed):
                stop.set()
    with Workbench.open("mini", home=tmp_path) as plain:
        wanted = last(plain.stream(asks()))
        rescored = plain.score(wanted["0.5"])
    assert {k: (s.ids, s.verdict, s.state) for k, s in found.items()} == {
        k: (s.ids, s.verdict, s.state) for k, s in wanted.items()
    }
    assert scored.llr == pytest.approx(rescored.llr, abs=1e-4) and scored.argmax == rescored.argmax
    assert "cancelled" in {s.state for s in stopped.values()} and not any(s.live for s in stopped.values())
    assert len(fake.asked) == 3 and all(15 <= seconds <= 120 for seconds in fake.asked)


def test_seconds_grow_with_the_work_and_are_bounded():
    def job(cap, count=1, size=8_000_000_000):
        requests = tuple(Request(str(i), (1,), Recipe(), Decoding(cap=cap)) for i in range(count))
        return GpuJob("stream", Pair("p", "a", "b"), "cuda", "bfloat16", size, 16, requests)

    assert gpu_work.gpu_seconds(job(10, size=1000)) == 15 and gpu_work.gpu_seconds(job(100_000)) == 120
    assert gpu_work.gpu_seconds(job(300)) < gpu_work.gpu_seconds(job(600)) < gpu_work.gpu_seconds(job(600, count=17))


def test_bulk_work_is_refused(tmp_path):
    with SpaceBench.open_space("mini", "cpu", home=tmp_path, work=lambda job: iter(())) as bench:
        with pytest.raises(GpuError, match="Sweeps do not run"):
            bench.engine.submit([Request("a", (1,), Recipe(), priority=BULK)])
        with pytest.raises(GpuError, match="time"):  # a worker that ends without a word
            last(bench.stream(asks()))


QUOTA = RuntimeError("You have exceeded your GPU quota (60s requested vs. 12s left). Try again in 3:20:11")


@pytest.mark.parametrize(
    "options, words",
    [
        ({"refuse": QUOTA}, "GPU quota of this visit is used up .*12s left"),
        ({"refuse": MemoryError("CUDA out of memory. Tried to allocate 2 GiB")}, "too little memory"),
        ({"refuse": RuntimeError("GPU task aborted")}, "time for this run was over"),
        ({"refuse": RuntimeError("No GPU was available after 60 seconds")}, "No GPU could be had"),
    ],
)
def test_the_page_falls_back_to_its_precomputed_strip(monkeypatch, tmp_path, options, words):
    fake, work = door(monkeypatch, **options)
    content = demo_strip.load_demo_strip("mini")
    with SpaceBench.open_space("mini", "cpu", home=tmp_path, work=work) as bench:
        explore = Explore(bench)
        explore.demo = demo_strip.demo_state(content, content["weights"])
        states = list(explore.run({"token": "a" * 16, "kind": "strip", "view": {"q": "What is 2 + 2?"}}))
    end = states[-1]
    assert end["state"] == "failed" and re.search(words, end["message"]) and len(fake.asked) == 1
    assert "a GPU" in end["instead"]["label"] and "recomputed" in end["instead"]["label"]
    assert len(end["instead"]["frames"]) == 11 and all(f["state"] == "done" for f in end["instead"]["frames"].values())


def test_partial_text_is_kept_rather_than_replaced(tmp_path):
    def work(job):
        yield [Admitted(r.id, "folded") for r in job.requests]
        yield [Token(r.id, 0, 40, -0.5) for r in job.requests]
        raise RuntimeError("GPU task aborted")

    with SpaceBench.open_space("mini", "cpu", home=tmp_path, work=work) as bench:
        explore = Explore(bench)
        explore.demo = {"label": "x"}
        end = list(explore.run({"token": "a" * 16, "kind": "strip", "view": {"q": "What is 2 + 2?"}}))[-1]
    assert end["state"] == "failed" and "time" in end["message"] and "instead" not in end
    assert {f["tokens"] for f in end["frames"].values()} == {1} and all(
        f["thought"] + f["answer"] for f in end["frames"].values()
    )


FORKING = '''
"""A `spaces` that runs each call in a forked worker, as ZeroGPU does; arguments, yields and errors cross it pickled."""
import multiprocessing, pickle, sys
early = "torch" not in sys.modules

def GPU(duration):
    def decorate(function):
        def call(*args):
            here, there = multiprocessing.get_context("fork").Pipe()
            sent = pickle.dumps(args)
            def worker():
                try:
                    for value in function(*pickle.loads(sent)):
                        there.send_bytes(pickle.dumps((value, None)))
                    there.send_bytes(pickle.dumps((None, "end")))
                except BaseException as error:
                    there.send_bytes(pickle.dumps((None, repr(error))))
            process = multiprocessing.get_context("fork").Process(target=worker, daemon=True)
            process.start()
            try:
                while (got := pickle.loads(here.recv_bytes()))[1] is None:
                    yield got[0]
                if got[1] != "end":
                    raise RuntimeError(got[1])
            finally:
                process.terminate()
        return call
    return decorate
'''
PAGE = """
import json, sys
import mi_explorer.ui.open_page  # what app.py imports first
import spaces as theirs
from mi_explorer import GenerationRequest, Decoding, Recipe
from mi_explorer.ui.spaces.space_bench import SpaceBench
with SpaceBench.open_space("mini", "cpu", "float32", sys.argv[1]) as bench:
    out = {}
    for changed in bench.stream([GenerationRequest(str(l), "What is 14 + 3 * 6 - 9?", Recipe(lam=l), Decoding(cap=200), "23") for l in (0.0, 1.0)]):
        out |= {s.id: list(s.ids) for s in changed}
print(json.dumps({"early": theirs.early, "ids": out}))
"""


def test_a_forked_worker_gives_the_same_traces(tmp_path):
    (tmp_path / "spaces.py").write_text(FORKING)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "SPACES_ZERO_GPU": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PAGE, str(tmp_path)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    with Workbench.open("mini", home=tmp_path) as plain:
        wanted = last(
            plain.stream(
                [
                    GenerationRequest(str(x), "What is 14 + 3 * 6 - 9?", Recipe(lam=x), Decoding(cap=200), "23")
                    for x in (0.0, 1.0)
                ]
            )
        )
    assert found["ids"] == {k: list(s.ids) for k, s in wanted.items()}
    assert found["early"]  # `spaces` has to come before torch
