"""The embedded pair's problems: complete, by family and level, and texts of their form are read right."""

import random

import pytest

from mi_explorer.errors import UserError
from mi_explorer.generation.traces import trace_of_text
from mi_explorer.mini import render
from mi_explorer.mini.families import distinct_problems
from mi_explorer.tasks import load_task


def test_every_problem_is_complete_and_accepts_its_own_answer():
    task = load_task("mini")
    assert len(task.questions) >= 400
    assert len({q.family for q in task.questions}) >= 6 and {q.level for q in task.questions} >= {1, 2, 3}
    for q in task.questions:
        assert q.text and q.answer and task.prompt(q) == q.text
        assert task.verify(q, q.answer) and not task.verify(q, q.answer + "1")


def test_parts():
    task = load_task("mini")
    family, level = task.questions[0].family, task.questions[0].level
    assert {q.family for q in load_task(f"mini:{family}").questions} == {family}
    assert {q.level for q in load_task(f"mini:{level}").questions} == {level}
    assert load_task(f"mini:{family}").name == f"mini:{family}"
    with pytest.raises(UserError, match="Unknown part"):
        load_task("mini:astronomy")


@pytest.mark.parametrize("form", ["short", "worked", "thought"])
def test_solutions_in_the_pair_s_own_form(form):
    rng = random.Random(0)
    for problem in distinct_problems(7, "test", 120):
        pieces = render.thought(problem, 2, rng) if form == "thought" else getattr(render, form)(problem)
        trace = trace_of_text("".join(text for text, _ in pieces), gold=str(problem.answer))
        assert trace.answer == str(problem.answer) and trace.first_correct is not None and not trace.looped
        assert trace.think_closed is (form == "thought")
        if form == "thought":
            said = next(i for i, (text, _) in enumerate(pieces) if text.startswith(" So the answer is"))
            after = sum(len(text.split()) for text, _ in pieces[said + 1 :])  # two checks, and the answer once more
            assert trace.tokens - trace.first_correct >= after > 0
            assert trace.running_answers[-1].correct and trace.think_tokens < trace.tokens


def test_a_mended_slip_is_a_flip():
    rng, flips = random.Random(1), 0
    for problem in distinct_problems(8, "test", 60):
        trace = trace_of_text(
            "".join(text for text, _ in render.thought(problem, 0, rng, slip=True)), gold=str(problem.answer)
        )
        stated = [r.answer for r in trace.running_answers if r.sign == "stated"]
        if len(set(stated)) > 1:
            flips += 1
            assert trace.flips >= 1 and trace.stable_from >= trace.first_correct and trace.answer == str(problem.answer)
    assert flips >= 20
