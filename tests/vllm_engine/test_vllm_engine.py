"""vLLM as a worker, in its own environment (make test-vllm): right weights and greedy traces against plain `transformers`."""

import os
import signal
import sys
from dataclasses import replace

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.foreign_process import ForeignLauncher, python_path
from mi_explorer.cluster.staffing import Staff, open_crew, vllm_python
from mi_explorer.cluster.vllm_worker import VllmWorkerEngine
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.progress import SampleDone, WorkerNews
from mi_explorer.studies.runner import Runner, items_of
from mi_explorer.studies.store.sample import unpack
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.registry import load_task
from mi_explorer.workbench import Workbench
from tests.checkpoints.test_adapter import make_adapter
from tests.fixtures import make_pair, make_tokenizer
from tests.studies.runs import of
from tests.vllm_engine.plain import Plain
from tests.vllm_engine.workers import StaleLayer, Worker

LAMS = (0.0, 0.5, 1.0)
GREEDY = Decoding(temperature=0, cap=48)
SIZES = {"hidden_size": 128, "head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
QUESTIONS = tuple(Item("letters", f"q{i}", f"{word} {i}", "7") for i, word in enumerate(("What", "Sum of", "aZ")))


def launcher(make):
    return ForeignLauncher(make, 1, vllm_python(Staff()))


@pytest.fixture(scope="module")
def worker():
    """One vLLM worker, which loads one pair after the other."""
    with_vllm = launcher(VllmWorkerEngine)
    yield Worker(with_vllm)
    with_vllm.close()


@pytest.fixture(scope="module")
def mini():
    return Plain(get_pair("mini")), items_of(load_task("mini", 4, 0))


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """kind → a pair of tiny random models with a tokenizer."""
    made = {}

    def pair(kind, **changes):
        key = (kind, *map(str, changes.values()))
        if key not in made:
            folder = tmp_path_factory.mktemp("pair")
            found = make_pair(kind, folder, delta=0.05, **SIZES, **changes)
            for place in (found.instruct, found.thinking, found.base):
                make_tokenizer(place)
            made[key] = get_pair(found.spec)
        return made[key]

    return pair


def own_ids(plan, items, tmp_path):
    """The same by our engine."""
    with Workbench.open("mini") as bench, Store(tmp_path / "own.db") as store:
        done = of(SampleDone, list(Runner(store, plan, items, lambda _: bench).run()))
        bodies = dict(store.bodies(e.sample.key for e in done))
        number = {item.key: i for i, item in enumerate(items)}
        return {
            (e.cell.recipe.lam, number[e.item.key], e.sample.number): unpack(bodies[e.sample.key])["ids"] for e in done
        }


def ids_of(found):
    return {key: body["ids"] for key, (_, body) in found.items()}


def test_greedy_traces_are_those_of_transformers_and_of_our_engine_and_come_again(worker, mini, tmp_path):
    plain, items = mini
    facts = worker.load("mini")
    assert (facts.engine, facts.dtype) == ("vllm", f"float32 by vLLM {facts.version}")
    plan = Plan("mini", grid(Recipe(), LAMS, GREEDY), len(items), 1)
    found = worker.run(plan, items)
    assert ids_of(found) == {
        (lam, i, 0): plain.greedy(Recipe(lam=lam), item.prompt, 48) for lam in LAMS for i, item in enumerate(items)
    }
    assert ids_of(found) == own_ids(plan, items, tmp_path)
    again = worker.run(replace(plan, cells=plan.cells[:1]), items)  # from λ 0.5, the last of the plan, back to 0
    assert again.keys() == {key for key in found if key[0] == 0.0}
    for key, (_, body) in again.items():
        assert (body["ids"], body["logprobs"]) == (found[key][1]["ids"], found[key][1]["logprobs"])


@pytest.mark.parametrize("kind", ["qwen3", "qwen3-untied", "qwen2", "llama", "qwen3-moe"])
def test_tied_untied_and_expert_models(worker, letters, kind):
    pair = letters(kind)
    worker.load(pair)
    plain = Plain(pair)
    found = worker.run(Plan("letters", grid(Recipe(pair.name), LAMS, GREEDY), 3, 1), QUESTIONS)
    assert ids_of(found) == {
        (lam, i, 0): plain.greedy(Recipe(pair.name, lam=lam), item.prompt, 48)
        for lam in LAMS
        for i, item in enumerate(QUESTIONS)
    }


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(method="ties", lam=0.7),
        Recipe(method="slerp", lam=0.4, scope=Scope("1-2", ("attention",))),
        Recipe(method="dare_linear", lam=0.6, params=(("seed", 3.0),)),
    ],
    ids=lambda recipe: recipe.method,
)
def test_methods_and_scopes(worker, letters, recipe, tmp_path):
    pair = letters("qwen3")
    worker.load(pair)
    plain, recipe = Plain(pair), replace(recipe, pair=pair.name)
    found = worker.run(Plan("letters", grid(recipe, (recipe.lam,), GREEDY), 3, 1), QUESTIONS)
    assert ids_of(found) == {
        (recipe.lam, i, 0): plain.exported(recipe, item.prompt, 48, tmp_path / "blend")
        for i, item in enumerate(QUESTIONS)
    }


def test_an_adapter_as_thinking(worker, letters, tmp_path):
    pair = letters("qwen3")
    adapter = make_adapter(pair.instruct, tmp_path / "adapter")
    mixed = get_pair(f"{pair.instruct}|{adapter}")
    worker.load(mixed)
    plain, recipe = Plain(pair), Recipe(mixed.name, lam=0.5)
    found = worker.run(Plan("letters", grid(recipe, (0.5,), GREEDY), 3, 1), QUESTIONS)
    for (_, i, _), ids in ids_of(found).items():
        assert ids == plain.exported(recipe, QUESTIONS[i].prompt, 48, tmp_path / "blend")


def test_half_precision_holds_the_right_weights_too(worker, letters):
    for pair in ("mini", letters("qwen3", dtype=torch.bfloat16), letters("qwen3-moe", dtype=torch.bfloat16)):
        facts = worker.load(pair, dtype="bfloat16")  # which proves the folds at λ 0, 0.5 and 1
        assert facts.dtype.startswith("bfloat16")
        recipe = Recipe(getattr(pair, "name", pair), lam=0.3)
        found = worker.run(Plan("letters", grid(recipe, (0.3,), GREEDY), 3, 1), QUESTIONS)
        assert len(found) == 3


def test_a_seed_gives_its_response_in_any_company(worker, mini):
    _, items = mini
    worker.load("mini")
    plan = Plan("mini", grid(Recipe(), (0.6,), Decoding(temperature=0.8, top_k=0, cap=40)), len(items), 3)
    together = ids_of(worker.run(plan, items))
    assert len(together) == 12 and len({tuple(ids) for ids in together.values()}) > 8
    for key in list(together)[:4]:
        alone = worker.run(plan, items, only=lambda unit, key=key: (unit.item, unit.number) == key[1:])
        assert ids_of(alone) == {key: together[key]}


def test_a_thought_budget_closes_thoughts(worker, mini):
    _, items = mini
    worker.load("mini")
    plan = Plan("mini", grid(Recipe(), (1.0,), Decoding(cap=60, think_budget=8)), len(items), 2)
    samples = [sample for sample, _ in worker.run(plan, items).values()]
    assert all(s.think_closed and s.think_tokens <= 9 for s in samples)


def test_what_vllm_cannot_do_is_refused(worker):
    worker.load("mini")
    reply = worker.reply("check", grid(Recipe(method="logit"), (0.5,), GREEDY))
    assert reply.refused and "logits" in reply.error
    reply = worker.reply("load", EngineSetup("mini", device="cuda"))
    assert reply.refused and "cpu" in reply.error


def test_wrong_weights_are_refused():
    liar = launcher(StaleLayer)
    try:
        reply = Worker(liar).reply("load", EngineSetup("mini"))
        assert reply.refused and "log-probs" in reply.error
    finally:
        liar.close()


def test_a_killed_worker_is_started_anew_and_nothing_is_lost_or_doubled(mini, tmp_path):
    _, items = mini
    store, kills, news = Store(tmp_path / "s.db"), [], []
    crew = open_crew(Staff(1, engine="vllm"), EngineSetup)
    plan, done = Plan("mini", grid(Recipe(), LAMS, Decoding(cap=60)), len(items), 2), 0
    try:
        for event in ClusterRunner(store, plan, items, crew).run():
            done += isinstance(event, SampleDone)
            news += of(WorkerNews, [event])
            if done >= 3 and not kills:
                kills.append(crew.members[0].link.process.pid)
                os.kill(kills[0], signal.SIGKILL)
    finally:
        crew.close()
    samples = store.samples(store.studies()[0].id)
    assert len(samples) == len({s.key for s in samples}) == done == 24 and len(news) == 1
    runs = store.runs(store.studies()[0].id)
    assert {r["versions"]["engine"].split()[0] for r in runs} == {"vllm"} and all("vLLM" in r["dtype"] for r in runs)


def test_vllm_in_its_environment_on_a_ray_cluster(mini, worker, tmp_path, monkeypatch):
    _, items = mini
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", python_path())
    plan = Plan("mini", grid(Recipe(), (0.0, 0.5), GREEDY), len(items), 1)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False},
    )
    store = Store(tmp_path / "s.db")
    try:
        crew = open_crew(Staff(1, ray=cluster.address, engine="vllm"), EngineSetup)
        try:
            assert len(of(SampleDone, list(ClusterRunner(store, plan, items, crew).run()))) == 8
        finally:
            crew.close()
    finally:
        ray.shutdown()
        cluster.shutdown()
    worker.load("mini")
    found = {(s.key): s.tokens for s in store.samples(store.studies()[0].id)}
    again = {s.key: s.tokens for s, _ in worker.run(plan, items).values()}
    assert found == again


def test_an_interpreter_without_vllm_is_told():
    plain = ForeignLauncher(VllmWorkerEngine, 1, sys.executable)
    try:
        reply = Worker(plain).reply("load", EngineSetup("mini"))
        assert reply.refused and "make vllm-env" in reply.error
    finally:
        plain.close()
