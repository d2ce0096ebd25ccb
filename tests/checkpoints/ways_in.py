"""Every way in for a pair: preflight, a run, the engine's own loading, export, distances; and which of them end well."""

import shutil
from pathlib import Path

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.engine import ResidentPair
from mi_explorer.errors import UserError
from mi_explorer.library import export, strip
from mi_explorer.merging.distances import distances
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.workbench import Workbench


def succeeds(action) -> bool:
    """Whether it ends well; False for a `UserError`. Anything else is a fault and goes on."""
    try:
        action()
    except UserError as error:
        assert str(error).strip() and len(str(error)) < 4000
        return False
    return True


def run(pair: Pair) -> None:
    with Workbench.open(pair, max_rows=2, max_context=48) as bench:
        strip("Hi", Recipe(pair.name), lams=(0.0, 0.5), decoding=Decoding(temperature=0, cap=2), bench=bench)


def outcomes(pair: Pair) -> dict[str, bool]:
    """What each way in says of a pair: verdict, run, the engine's own loading, export, distances."""
    out = Path(pair.instruct).parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    judged = preflight(pair)
    ran = succeeds(lambda: run(pair))
    assert not (ran and judged.obstacles), judged.findings
    found = {
        "preflight": judged.ok,
        "run": ran or judged.verdict == "export only",
        "load": succeeds(lambda: ResidentPair.load(pair)),
        "export": succeeds(lambda: export(Recipe(pair.name, lam=0.5), out, pair)),
        "distances": succeeds(lambda: distances(Parents.open(pair))),
    }
    assert out.exists() == found["export"] and not list(out.parent.glob(".out*"))
    return found
