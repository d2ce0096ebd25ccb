"""What a request gives when it runs alone."""

import pytest

from mi_explorer.engine import Engine
from mi_explorer.engine.events import Request
from tests.engine.asking import PROMPTS
from tests.engine.lab import CHEAP_ROWS, run


@pytest.fixture(scope="module")
def solo(labs):
    """(λ, prompt number, decoding) → tokens of the request run alone, by an engine of its own."""
    lab, known = labs("qwen3"), {}

    def tokens(lam, which, decoding):
        key = lam, which, decoding
        if key not in known:
            with Engine(lab.resident, max_rows=2, max_context=128, costs=CHEAP_ROWS) as engine:
                known[key] = run(engine, [Request("x", PROMPTS[which], lab.recipe(lam), decoding)])["x"]
        return known[key]

    return tokens
