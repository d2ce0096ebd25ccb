"""Probes on the embedded pair and on hand-made points: definitions by hand, forced answers against a thought budget, errors."""

import math
import pickle
from dataclasses import replace

import pytest

from mi_explorer.engine.thoughts import TagIds
from mi_explorer.errors import UserError
from mi_explorer.generation.probe_points import ProbedTrace, ProbeOptions, ProbePoint, probe_point_of
from mi_explorer.generation.probes import ProbeRun, ProbeTarget, answer_confidence, probe_positions, run_probe
from mi_explorer.generation.schedule import ScheduleStep, parse_schedule, schedule_text
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.generation.steering import Steering, SteeringError
from mi_explorer.generation.traces import trace_of_text
from mi_explorer.generation.traces.sentences import spread_ends
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.workbench import Workbench
from tests.fakes import scripted_bench

QUESTION, GOLD = "What is 14 + 3 * 6 - 9?", "23"
GREEDY = Decoding(temperature=0)


@pytest.fixture(scope="module")
def bench():
    with Workbench.open("mini") as open_bench:
        yield open_bench


def answer(bench, recipe, decoding=GREEDY, steering=None, **more):
    *_, (last,) = bench.stream([GenerationRequest("a", QUESTION, recipe, decoding, GOLD, **more)], steering=steering)
    return last


def points(*answers, gold="1"):
    return tuple(ProbePoint(10 * i, a, a == gold, 0.5) for i, a in enumerate(answers, 1))


@pytest.mark.parametrize(
    ("answers", "right", "sufficient", "verbose", "harmful", "switches"),
    [
        (("2", "1", "1", "1"), True, 20, 0.8, False, 1),
        (("1", "2", "1", "1"), True, 30, 0.7, False, 2),
        (("1", "1", "1", "2"), True, None, 0.0, False, 1),
        (("1", "1", "2", "2"), False, None, None, True, 1),
        (("2", "2", "2", "2"), False, None, None, False, 0),
        (("1", None, "1", "1"), True, 30, 0.7, False, 0),
        (("1.0", "1", "1/1", "1"), True, 40, 0.6, False, 0),
    ],
)
def test_measures_by_hand(answers, right, sufficient, verbose, harmful, switches):
    probed = ProbedTrace(points(*answers), 100, 90, right)
    found = probed.sufficient, probed.verbose, probed.harmful, probed.switches
    assert found == (sufficient, verbose if verbose is None else pytest.approx(verbose), harmful, switches)


def test_ends_are_of_sentences_and_spread_evenly():
    text = "So Dr. A. Smith has 3.5 apples. Wait! Is it?\nYes; it is.\n\nNext part. Done."
    assert [text[:end].split()[-1] for end in spread_ends(text, 20)] == [
        "apples.",
        "Wait!",
        "it?",
        "Yes;",
        "is.",
        "part.",
        "Done.",
    ]
    assert spread_ends(text, 2) == [text.index("Next"), len(text)]
    many = "One two. " * 100
    ends = spread_ends(many.strip(), 5)
    assert len(ends) == 5 and ends[-1] == len(many.strip())
    assert max(b - a for a, b in zip(ends, ends[1:])) - min(b - a for a, b in zip(ends, ends[1:])) <= len("One two. ")


def test_a_forced_answer_is_that_of_a_thought_budget_there(bench):
    """At every point, greedy: closing after t tokens and answering is what a run with budget t says."""
    snapshot = answer(bench, Recipe(lam=1.0))
    target = ProbeTarget.of(snapshot, QUESTION, GOLD)
    probed = run_probe(bench.generator, target, ProbeOptions(points=6))
    assert [point.token for point in probed.points] == list(probe_positions(snapshot.trace, 6))
    for point in probed.points:
        budget = answer(bench, Recipe(lam=1.0), Decoding(temperature=0, think_budget=point.token))
        if not point.cut:
            assert (budget.trace.answer, budget.verdict == "correct") == (point.answer, point.right)
        assert budget.trace.think_tokens == min(point.token + 1, snapshot.trace.think_tokens)
    assert any(point.right for point in probed.points) and not all(point.right for point in probed.points)
    assert all(0 < point.confidence <= 1 for point in probed.points)
    assert [probe_point_of(point.plain()).token for point in probed.points] == [point.token for point in probed.points]


def test_a_probe_at_another_lambda_answers_as_that_blend_with_the_prefix(bench):
    snapshot = answer(bench, Recipe(lam=1.0))
    target = ProbeTarget.of(snapshot, QUESTION, GOLD)
    at = probe_positions(snapshot.trace, 3)[:1]
    run = ProbeRun(bench.generator, target, ProbeOptions(at=at, lam=0.0, free=3, samples=2))
    assert [r.id for r in run.requests] == [
        f"probe:{at[0]}:forced:0",
        f"probe:{at[0]}:sample:0",
        f"probe:{at[0]}:free:0",
    ]
    assert {r.recipe for r in run.requests} == {Recipe(lam=0.0, template="thinking")}
    sampled = ProbeTarget.of(answer(bench, Recipe(lam=1.0), Decoding(seed=1)), QUESTION, GOLD)
    run = ProbeRun(bench.generator, sampled, ProbeOptions(points=2, free=3, samples=2))
    for snapshots in bench.stream(run.requests):
        run.add(snapshots)
    assert run.complete and len({r.decoding.seed for r in run.requests}) > 6
    for point in run.result.points:
        assert (len(point.samples), len(point.free), len(point.free_tokens)) == (2, 3, 3)
        assert all(n >= point.token for n in point.free_tokens)


def test_confidence_is_the_mean_probability_of_the_answers_tokens():
    trace = trace_of_text("<think> a </think> The answer is 23 .", gold="23")
    logprobs = [0.0] * len(trace.ids)
    logprobs[-2] = math.log(0.25)
    logprobs[3] = math.log(0.5)
    assert answer_confidence(replace(trace, logprobs=tuple(logprobs)), 3) == pytest.approx(0.25)
    rest = [math.exp(x) for x in logprobs[3:]]
    no_answer = replace(trace, logprobs=tuple(logprobs), answer=None)
    assert answer_confidence(no_answer, 3) == pytest.approx(sum(rest) / len(rest))


def test_what_cannot_be_probed_is_said(bench):
    snapshot = answer(bench, Recipe(lam=1.0))
    target = ProbeTarget.of(snapshot, QUESTION, GOLD)
    with pytest.raises(UserError, match="known answer"):
        ProbeRun(bench.generator, ProbeTarget.of(snapshot, QUESTION, None), ProbeOptions())
    with pytest.raises(UserError, match="Token 9999"):
        ProbeRun(bench.generator, target, ProbeOptions(at=(9999,)))
    with pytest.raises(UserError, match="no thought"):
        ProbeRun(bench.generator, ProbeTarget.of(answer(bench, Recipe(lam=0.0)), QUESTION, GOLD), ProbeOptions())
    running = next(bench.stream([GenerationRequest("a", QUESTION, Recipe(lam=1.0), GREEDY, GOLD)]))[0]
    with pytest.raises(UserError, match="being written"):
        ProbeTarget.of(running, QUESTION, GOLD)
    for wrong in ({"points": 0}, {"free": 1.5}, {"max_answer_tokens": 0}, {"lam": 7}):
        with pytest.raises(UserError):
            ProbeOptions(**wrong)
    with pytest.raises(UserError, match="out of order"):
        bench.stream(
            [GenerationRequest("a", QUESTION, Recipe(), GREEDY, schedule=(ScheduleStep(9, 0.1), ScheduleStep(4, 0.2)))]
        )
    with pytest.raises(UserError, match="budget"):
        Decoding(think_budget=0)


def test_a_pair_whose_tags_nobody_knows_cannot_close_a_thought():
    bench = scripted_bench()
    bench.prompts.tags_known = False
    bench.generator.tags = type(bench.generator.tags)("<x>", "</x>")
    with pytest.raises(UserError, match="think tags"):
        bench.stream([GenerationRequest("a", "What is 3 + 4?", Recipe(), Decoding(think_budget=5))])


def test_tags_of_a_request_can_be_sent_to_another_process(bench):
    """A GPU that is lent for a call gets requests pickled; the tokenizer stays here."""
    prompt = bench.prompts.render(QUESTION, Recipe(lam=1.0))
    tags = bench.generator.thought_tags(prompt)
    sent = pickle.loads(pickle.dumps(tags))
    ids = [*prompt.ids, *bench.prompts.codec(Recipe()).encode("<think> 4 </think> 5")]
    assert sent == TagIds(sent.open, sent.close, False, tags.closing(ids)) and len(pickle.dumps(tags)) < 1000
    assert [sent.tag_at(ids, i, True) for i in range(len(ids))] == [tags.tag_at(ids, i, True) for i in range(len(ids))]
    assert [tags.tag_at(ids, i, True) for i in range(len(ids))].count(False) == 1


def test_spelt_tags_are_found_with_their_last_token():
    """Tags that are no token of their own: a byte tokenizer without them."""
    bench = scripted_bench()
    tags = bench.generator.thought_tags(bench.prompts.render("What is 3 + 4?", Recipe(lam=1.0)))
    ids = list(b"<thinking>a</thinking> <tool_call> x > y")
    found = {i: tags.tag_at(ids, i, True) for i in range(len(ids))}
    assert {i: tag for i, tag in found.items() if tag is not None} == {9: True, 21: False, 33: False}
    assert tags.tag_at(ids, 33, False) is None, "a tool call closes only a thought that is open"


def test_scores_of_a_response_whose_lambda_changed(bench):
    """Each token has the scores of the blend that wrote it."""
    snapshot = answer(bench, Recipe(lam=1.0, answer_lam=0.2))
    at = snapshot.trace.think_tokens
    found = bench.score(snapshot)
    one, two = (bench.score(replace(snapshot, recipe=Recipe(lam=lam), changes=())) for lam in (1.0, 0.2))
    assert found.logprob == one.logprob[:at] + two.logprob[at:] and found.kl_thinking[0] == one.kl_thinking[0]
    assert [round(x, 3) for x in found.logprob] == [round(x, 3) for x in snapshot.trace.logprobs]


def test_steering_is_recorded_and_its_replay_gives_the_same_tokens(bench):
    steering, steps, hint = Steering(), [], " Hmm, the product comes first."
    recipe, decoding = Recipe(lam=1.0), Decoding(seed=3, cap=200)
    request = GenerationRequest("a", QUESTION, recipe, decoding, GOLD)
    for (snapshot,) in bench.stream([request], steering=steering, hz=200):
        if snapshot.live and snapshot.trace.tokens > 0 and not steps:
            steering.pause("a")
            steps.append("pause")
        if snapshot.state == "paused" and len(steps) == 1:
            steering.set_lambda("a", 0.3)
            steering.set_lambda("a", 0.8)
            steering.hint("a", hint)
            steering.set_lambda("a", 0.5)
            steering.stop_thinking("a")
            steering.resume("a")
            steps.append("steered")
    kinds = [(s.lam, s.hint, s.close) for s in snapshot.schedule]
    assert kinds == [
        (0.8, "", False),
        (None, hint, False),
        (0.5, "", False),
        (None, "", True),
    ]
    assert [change.cause for change in snapshot.changes] == ["lam", "hint", "lam", "stop"]
    assert [lam for _, lam in snapshot.lambdas] == [1.0, 0.8, 0.5]
    assert parse_schedule(schedule_text(snapshot.schedule)) == snapshot.schedule
    again = answer(bench, recipe, decoding, schedule=snapshot.schedule)
    assert (again.ids, again.schedule, again.verdict) == (snapshot.ids, snapshot.schedule, snapshot.verdict)
    with pytest.raises(SteeringError):
        steering.pause("a")


def test_a_branch_under_its_own_lambda_is_the_trace_itself(bench):
    """Given its first tokens, a sampled trace comes again; the answer's λ begins where the thought ends."""
    decoding = Decoding(seed=5)
    whole = answer(bench, Recipe(lam=0.7), decoding)
    branch = answer(bench, Recipe(lam=0.7), decoding, given=whole.ids[:20])
    assert branch.ids == whole.ids and branch.given == whole.ids[:20]
    other = answer(bench, Recipe(lam=1.0, answer_lam=0.4), GREEDY)
    thought = other.trace.think_tokens
    assert other.lambdas == ((0, 1.0), (thought, 0.4))
    rest = answer(bench, Recipe(lam=0.4), GREEDY, given=other.ids[:thought])
    assert rest.ids == other.ids
