"""The runner: each unit once, resuming, extending, sharing, order, shards, refinement. A scripted engine and a real store."""

import json
from dataclasses import replace

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding
from mi_explorer.studies.plan import Plan
from mi_explorer.studies.progress import CellDone, Progress, RunMeter, SampleDone
from mi_explorer.studies.refine import Refined
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, blend_script, scripted_bench
from tests.studies.runs import ITEMS, drive, of, plan


def test_every_unit_once_and_second_run_makes_nothing(tmp_path):
    store = Store(tmp_path / "s.db")
    runner, events, engine = drive(store, plan())
    assert len(engine.asked) == 45 == len({(r.recipe, r.prompt, r.decoding.seed) for r in engine.asked})
    assert len(of(SampleDone, events)) == 45 and len(of(CellDone, events)) == 3
    end = events[-1]
    assert isinstance(end, Progress) and (end.state, end.total, end.done, end.reused, end.left) == (
        "done",
        45,
        45,
        0,
        0,
    )
    samples = store.samples(store.study(runner.name).id)
    assert len(samples) == 45 and {s.verdict for s in samples} <= {"correct", "wrong"}
    _, again, engine2 = drive(store, plan())
    assert engine2.asked == [] and (again[-1].reused, again[-1].done) == (45, 0)


def test_what_is_saved_is_what_the_engine_said(tmp_path):
    store = Store(tmp_path / "s.db")
    runner, _, engine = drive(store, plan())
    study = store.study(runner.name)
    cells = {c.key: c.cell for c in store.cells(study.id)}
    said = {(r.recipe.lam, r.decoding.seed): blend_script(r) for r in engine.asked}
    for sample in store.samples(study.id):
        text = said[cells[sample.cell].recipe.lam, sample.seed]
        body = store.body(sample.key)
        assert body["text"] == text and sample.think_closed == ("</think>" in text) and sample.reason == "stop"
        item = next(i for i in ITEMS if i.key == sample.item)
        assert sample.correct == text.endswith(f"The answer is {item.answer}.")
        assert len(body["ids"]) == len(body["logprobs"]) == sample.tokens == sample.think_tokens + sample.answer_tokens


def test_seeds_are_shared_by_cells_and_differ_between_samples(tmp_path):
    _, _, engine = drive(Store(tmp_path / "s.db"), plan())
    by_lam = {lam: {(r.prompt, r.decoding.seed) for r in engine.asked if r.recipe.lam == lam} for lam in (0, 0.5, 1)}
    assert by_lam[0] == by_lam[0.5] == by_lam[1] and len({seed for _, seed in by_lam[0]}) == 15


def test_extending_by_lambda_samples_and_questions_makes_only_what_is_missing(tmp_path):
    store = Store(tmp_path / "s.db")
    first, *_ = drive(store, plan(questions=3, samples=2))
    runner, _, engine = drive(store, plan(lams=(0, 0.25, 0.5, 1), questions=3, samples=2))
    assert runner.name == first.name and {r.recipe.lam for r in engine.asked} == {0.25} and len(engine.asked) == 6
    _, _, engine = drive(store, plan(lams=(0, 0.25, 0.5, 1), questions=3, samples=3))
    assert len(engine.asked) == 4 * 3
    _, _, engine = drive(store, plan(lams=(0, 0.25, 0.5, 1), questions=5, samples=3))
    assert len(engine.asked) == 4 * 2 * 3
    study = store.study(runner.name)
    assert study.samples == 4 * 5 * 3 and (study.plan.questions, study.plan.samples) == (5, 3)


def test_studies_share_samples(tmp_path):
    store = Store(tmp_path / "s.db")
    drive(store, plan(), name="one")
    _, events, engine = drive(store, plan(lams=(0, 1)), name="two")
    assert engine.asked == [] and events[-1].reused == 30
    assert store.delete("one") == 15  # λ 0.5 only; "two" still needs the rest
    assert store.study("two").samples == 30 and store.delete("two") == 30 and store.studies() == []


def test_a_finished_sample_is_in_the_store_before_its_event(tmp_path):
    store, other = Store(tmp_path / "s.db"), Store(tmp_path / "s.db")
    bench = scripted_bench()
    for event in Runner(store, plan(), ITEMS, lambda pair: bench).run():
        if isinstance(event, SampleDone):
            assert other.sample(event.sample.key) is not None


def test_preferred_lambda_comes_first(tmp_path):
    engine = ScriptedEngine(rows=2)
    bench = scripted_bench(engine)
    runner = Runner(
        Store(tmp_path / "s.db"), plan(lams=(0, 0.2, 0.4, 0.6, 0.8, 1)), ITEMS, lambda pair: bench, window=4
    )
    runner.prefer(0.6)
    list(runner.run())
    assert [r.recipe.lam for r in engine.asked[:15]] == [0.6] * 15


def test_both_ends_come_first_then_the_middle(tmp_path):
    _, _, engine = drive(Store(tmp_path / "s.db"), plan(lams=(0, 0.25, 0.5, 0.75, 1)))
    assert list(dict.fromkeys(r.recipe.lam for r in engine.asked)) == [0, 1, 0.5, 0.25, 0.75]


def test_shards_are_disjoint_and_complete_and_keep_questions_together(tmp_path):
    parts = []
    for i in (1, 2, 3):
        _, _, engine = drive(Store(tmp_path / f"{i}.db"), plan(), shard=(i, 3))
        parts.append({r.id for r in engine.asked})
        groups = {(r.recipe.lam, r.prompt) for r in engine.asked}
        assert len(parts[-1]) == 3 * len(groups)
    _, _, engine = drive(Store(tmp_path / "all.db"), plan())
    assert set.union(*parts) == {r.id for r in engine.asked} and sum(map(len, parts)) == 45
    with pytest.raises(UserError, match="cannot refine"):
        drive(Store(tmp_path / "x.db"), plan(), shard=(1, 3), refine=2)


def test_refinement_adds_lambdas_to_the_study(tmp_path):
    store, asked = Store(tmp_path / "s.db"), []

    def next_cells(store, study, rows):
        asked.append(sorted(c.cell.recipe.lam for c in rows))
        return (plan((0.45, 0.55)).cells, "because") if len(asked) == 1 else (plan((0.45,)).cells, "again")

    runner, events, engine = drive(store, plan(), refine=3, next_cells=next_cells)
    assert [(e.lams, e.why) for e in of(Refined, events)] == [((0.45, 0.55), "because")]
    assert asked == [[0, 0.5, 1], [0, 0.45, 0.5, 0.55, 1]]  # the third round had nothing new
    assert len(engine.asked) == 75 and store.study(runner.name).samples == 75
    assert (events[-1].total, events[-1].done, events[-1].state) == (75, 75, "done")


def test_every_sample_tells_which_command_made_it(tmp_path):
    """Also those of a refinement with nothing else to make, and of two studies that run side by side in one store."""
    store = Store(tmp_path / "s.db")
    noted = [
        replace(plan(), command="sweep one"),
        replace(plan((0, 0.5, 1), decoding=Decoding(cap=99)), command="sweep two"),
    ]
    runs = [
        Runner(store, what, ITEMS, lambda pair: scripted_bench(ScriptedEngine()), name=what.command).run()
        for what in noted
    ]
    for _ in zip(*runs):  # a step of each in turn
        pass
    for rest in runs:
        list(rest)
    again = replace(noted[0], command="sweep one --refine 1")
    drive(store, again, name="sweep one", refine=1, next_cells=lambda *_: (plan((0.45,)).cells, "because"))
    told = {
        name: [(run["command"], run["samples"]) for run in store.runs(store.study(name).id)]
        for name in ("sweep one", "sweep two")
    }
    assert told == {"sweep one": [("sweep one", 45), ("sweep one --refine 1", 15)], "sweep two": [("sweep two", 45)]}


def test_greedy_needs_one_sample(tmp_path):
    _, _, engine = drive(Store(tmp_path / "s.db"), plan(samples=8, decoding=Decoding(temperature=0)))
    assert len(engine.asked) == 15


def test_eta_is_expected_tokens_over_rate():
    meter = RunMeter([0.0, 0.5, 1.0], [4, 4, 4], {}, now=0.0)
    assert meter.eta(0.0) is None
    for _ in range(2):
        meter.token(10)
        meter.finished(0, 10)
    meter.token(300)
    meter.finished(2, 300)
    # cell 0: 2 × 10; cell 2: 3 × 300; cell 1, nearest of λ 0 and 1 (a tie goes to the first): 4 × 10; at 320 tokens in 8 s
    assert meter.expected() == 20 + 900 + 40 and meter.rate(8.0) == 40 and meter.eta(8.0) == pytest.approx(24)
    meter.left = [0, 0, 0]
    assert meter.eta(9.0) == 0


def test_plan_survives_json():
    what = plan()
    assert Plan.of(what.json()) == what and json.loads(what.json())["task"] == "sums"
    with pytest.raises(UserError, match="stored plan"):
        Plan.of("{}")
