"""reasoning-gym: the frozen sample needs nothing, fresh items are scored by the task's own scorer with full credit only."""

import json
from collections import Counter

import pytest

from mi_explorer.errors import UserError
from mi_explorer.tasks import TaskError, gym, load_task
from mi_explorer.tasks.task import ASSETS


def test_the_frozen_sample():
    task = load_task("reasoning_gym")
    assert Counter(q.family for q in task.questions) == dict.fromkeys(gym.FROZEN, gym.FROZEN_EACH)
    assert "Apache-2.0" in task.licence and task.prompt(task.questions[0]).endswith("</answer>.")
    for q in task.questions:
        assert task.verify(q, q.answer) and not task.verify(q, q.answer + "7") and not task.verify(q, "")


def test_the_frozen_sample_is_what_the_generator_makes(tmp_path):
    assert gym.freeze(tmp_path / "again.jsonl") == len(gym.FROZEN) * gym.FROZEN_EACH
    assert (tmp_path / "again.jsonl").read_text("utf-8") == (ASSETS / "reasoning_gym.jsonl").read_text("utf-8")


def test_fresh_items_want_full_credit():
    task = load_task("reasoning_gym:countdown", limit=4)
    assert len(task.questions) == 4
    q = task.questions[0]
    right = json.loads(q.gold)["answer"]
    assert task.verify(q, right)
    assert not task.verify(q, "The answer is " + right)  # partial credit by its scorer
    assert not task.verify(q, "9**9**9**9")


def test_items_of_two_seeds_do_not_overlap_and_one_seed_repeats():
    one, two = load_task("reasoning_gym:chain_sum", 50), load_task("reasoning_gym:chain_sum", 50, seed=1)
    assert not {q.text for q in one.questions} & {q.text for q in two.questions}
    assert load_task("reasoning_gym:chain_sum", 50) == one
    assert {q.id for q in load_task("reasoning_gym:chain_sum", 20).questions} <= {q.id for q in one.questions}


def test_unknown_and_unstable_tasks():
    with pytest.raises(UserError, match="Did you mean 'chain_sum'"):
        load_task("reasoning_gym:chain_sun")
    with pytest.raises(TaskError, match="could not be repeated"):
        load_task("reasoning_gym:codeio")


def test_running_answers_know_the_item_s_answer():
    from mi_explorer.generation.traces import trace_of_text

    q = load_task("reasoning_gym:chain_sum", limit=1).questions[0]
    answer = json.loads(q.gold)["answer"]
    trace = trace_of_text(f"Adding up, the sum = {answer}. So <answer>{answer}</answer>", gold=q.gold, kind=q.kind)
    assert trace.answer == answer and trace.first_correct is not None
