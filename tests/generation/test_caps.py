"""A cap that memory cannot keep is refused before the run, with the figures; one that it can keep runs."""

from dataclasses import replace

import pytest

from mi_explorer import Recipe
from mi_explorer.engine import backends
from mi_explorer.generation.generate import CapError
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import Decoding
from mi_explorer.workbench import Workbench


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """The embedded pair where memory leaves 200 of its 1,024 positions."""
    plan = backends.plan_pair
    monkeypatch.setattr(backends, "plan_pair", lambda *args: replace(plan(*args), context=200))
    with Workbench.open("mini", home=tmp_path, max_rows=2) as bench:
        yield bench


def asked(cap):
    return [GenerationRequest("a", "What is 3 + 4?", Recipe("mini", lam=0.5), Decoding(temperature=0, cap=cap))]


def test_a_cap_that_memory_cannot_keep_is_refused_with_the_figures(bench):
    with pytest.raises(CapError, match=r"1,000 tokens.*leaves 200"):
        bench.generator.stream(asked(1000))
    n = len(bench.prompts.render("What is 3 + 4?", Recipe("mini", lam=0.5)).ids)
    with pytest.raises(CapError, match=rf"cap to {201 - n} or less"):
        bench.generator.stream(asked(202 - n))
    (last,) = [snapshots for snapshots in bench.generator.stream(asked(201 - n)) if snapshots][-1]
    assert last.trace.finish in ("stop", "cap")


def test_a_model_that_is_shorter_than_the_cap_is_not_a_matter_of_memory(tmp_path):
    with Workbench.open("mini", home=tmp_path, max_rows=2) as bench:
        assert bench.generator.memory_context is None
        bench.generator.check_cap(10**6)


def test_the_command_line_says_it_before_the_run(bench, monkeypatch, capsys, tmp_path):
    from mi_explorer.cli.main import main

    words = ["--cap", "1000", "--home", str(tmp_path)]
    assert main(["run", "What is 3 + 4?", *words[:2]]) == 2 and "leaves 200" in capsys.readouterr().err
    assert main(["sweep", "--task", "mini", "--questions", "2", "--samples", "1", "--lambda", "0,1", *words]) == 2
    assert "leaves 200" in capsys.readouterr().err
