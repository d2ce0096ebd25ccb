"""Commands that are written are read back as the same recipe and decoding, by the very parser of the command line."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.cli.main import parser
from mi_explorer.cli.options import decoding_of, recipe_of
from mi_explorer.command_line import command_line, decoding_options, lambda_option, recipe_options, run_command
from mi_explorer.generation.schedule import ScheduleStep, schedule_text
from mi_explorer.recipe import MODULES, TEMPLATES, Decoding, Recipe, Scope
from mi_explorer.studies.plan import parse_lambdas

lams = st.floats(-1, 2).map(lambda x: round(x, 6)) | st.floats(-1, 2, allow_subnormal=False)
scopes = st.builds(
    Scope,
    st.sampled_from(["all", "0-1", "2-5,7", "3"]),
    st.sets(st.sampled_from(MODULES), min_size=1).map(lambda s: tuple(m for m in MODULES if m in s)),
)
recipes = st.builds(
    Recipe,
    st.just("mini"),
    st.sampled_from(["linear", "ties", "slerp"]),
    lams,
    scopes,
    st.dictionaries(st.sampled_from(["density", "eps"]), st.floats(1e-6, 1), max_size=2).map(
        lambda d: tuple(sorted(d.items()))
    ),
    st.sampled_from(TEMPLATES),
)
decodings = st.builds(
    Decoding,
    temperature=st.floats(0, 2),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 100),
    cap=st.integers(1, 50_000),
    seed=st.integers(0, 2**31),
)
prompts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


steps = st.one_of(
    st.builds(ScheduleStep, st.integers(0, 99), lam=st.floats(-1, 2).map(lambda x: round(x, 6))),
    st.builds(ScheduleStep, st.integers(0, 99), hint=prompts),
    st.builds(ScheduleStep, st.integers(0, 99), close=st.just(True)),
)
schedules = st.lists(steps, max_size=4).map(lambda found: tuple(sorted(found, key=lambda step: step.at)))


@given(recipes, decodings, prompts, prompts, schedules)
def test_run_command_is_read_back(recipe, decoding, prompt, gold, schedule):
    words = shlex.split(run_command(recipe, decoding, prompt, gold, schedule_text(schedule)))
    assert words[:3] == ["python", "-m", "mi_explorer"]
    args = parser().parse_args(words[3:])
    assert [recipe_of(args, args.pair, lam) for text in args.lams for lam in parse_lambdas(text)] == [recipe]
    assert (decoding_of(args), args.prompt, args.gold) == (decoding, prompt, gold)
    assert args.schedule == schedule


@given(recipes, decodings, st.lists(lams, min_size=1, max_size=5, unique=True))
def test_options_serve_every_command(recipe, decoding, grid):
    words = ["sweep", lambda_option(grid), *recipe_options(recipe), *decoding_options(decoding)]
    args = parser().parse_args(shlex.split(command_line(*words))[3:])
    assert [lam for text in args.lams for lam in parse_lambdas(text)] == list(grid)
    assert recipe_of(args, "mini", recipe.lam) == recipe and decoding_of(args) == decoding
