"""Summaries: where a refinement measures, what the figures depend on, and the sentence that the terminal prints."""

from dataclasses import asdict, replace

import pytest

from mi_explorer.cli.terminal import study_table
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.refine import next_cells, worth_measuring
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.stages import Transition
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench

TENTHS = [i / 10 for i in range(11)]
ITEMS = tuple(Item("sums", f"q{i}", f"What is {i} + 4?", str(i + 4)) for i in range(12))


@pytest.mark.parametrize(
    ("centre", "s", "want"),
    [
        (0.52, 0.03, (0.474, 0.566)),  # D-optimal: λ50 ± 1.54 s, each well inside its gap
        (0.50, 0.065, (0.45, 0.55)),  # 0.4 and 0.6 are measured: their twins move to the middle, towards the transition
        (0.52, 0.05, (0.443, 0.55)),  # 0.597 is as good as measured, 0.443 is not
        (0.05, 0.30, (0.45,)),  # one λ would lie below what was measured, the other (0.512) is a twin of 0.5
    ],
)
def test_a_refinement_measures_between_the_measured(centre, s, want):
    got = worth_measuring(Transition("logistic", "", centre, s=s), TENTHS)
    assert got == pytest.approx(want, abs=1e-9)


def test_no_transition_asks_for_nothing_and_a_jump_for_its_gap():
    assert worth_measuring(Transition("none", ""), TENTHS) == ()
    assert worth_measuring(Transition("isotonic", "", 0.45, next=(0.433, 0.467)), TENTHS) == (0.433, 0.467)


def thinks(request):
    """Thinks from λ 0.45 on, in every second sample at 0.4 and 0.5; always right."""
    lam = request.recipe.lam
    thought = lam > 0.55 or (lam > 0.35 and request.decoding.seed % 2)
    return ("<think>Wait, let me see.</think>" if thought else "") + "The answer is 7."


def drive(store, name="s", **plan):
    bench = scripted_bench(ScriptedEngine(thinks))
    plan = Plan("sums", grid(Recipe(), TENTHS, Decoding(cap=200, seed=5)), len(ITEMS), 2, command="sweep …", **plan)
    list(Runner(store, plan, ITEMS, lambda pair: bench, name=name, refine=1, next_cells=next_cells).run())
    return store


def test_refining_again_asks_for_the_same_cells(tmp_path):
    store = drive(Store(tmp_path / "s.db"))
    first = store.study("s")
    assert first.samples > 11 * 24
    assert replace(drive(store).study("s"), updated=0) == replace(first, updated=0)


def test_settings_say_what_the_figures_depend_on(tmp_path):
    store = drive(Store(tmp_path / "s.db"))
    data = summarise(store, "s").json()
    settings = data["settings"]
    assert settings["decoding"] == asdict(Decoding(cap=200, seed=5)) == data["decoding"]
    assert (settings["task"], settings["split"], settings["questions"], settings["samples"], settings["seed"]) == (
        "sums",
        None,
        12,
        2,
        5,
    )
    assert settings["versions"]["torch"] and settings["command"] == "sweep …"
    store.put_study("mixed", replace(store.study("s").plan, task="mini"), store.cells(1), ITEMS)
    assert summarise(store, "mixed").settings["split"] == "test"


def test_the_terminal_says_what_agrees_with_the_paper(tmp_path):
    store = drive(Store(tmp_path / "s.db"))
    summary = summarise(store, "s")
    text = " ".join(study_table(summary).split())
    assert summary.sentence and " ".join(summary.sentence.split()) in text
    data = summary.json()
    assert data["claims"][0]["text"] == summary.claims[0].text and data["sentence"] == summary.sentence
    few = summarise(store, "s", [row.key for row in store.cells(1) if row.cell.recipe.lam in (0.1, 0.3)])
    assert "No transition observed" in study_table(few) and [c.holds for c in few.claims] == [
        None
    ]  # half a range decides nothing
