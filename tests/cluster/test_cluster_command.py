"""`sweep --workers` and `ablate --workers` on the embedded pair: equal to the same command without workers, sample for sample."""

import json

import pytest

from mi_explorer.studies.store.store import Store
from tests.cli.commands import call

SIZE = ("--questions", 3, "--samples", 1, "--cap", 24, "--name", "s")


def content(home):
    with Store.open(home) as store:
        (info,) = store.studies()
        samples = store.samples(info.id)
        bodies = dict(store.bodies(s.key for s in samples))
        return {s.key: (s.seed, s.reason, s.verdict, s.tokens, bodies[s.key]) for s in samples}


@pytest.mark.parametrize(
    "words", [("sweep", "--lambda", "0,0.5,1", "--refine", 1), ("ablate", "layers")], ids=lambda words: words[0]
)
def test_workers_change_no_sample(words, tmp_path, capsys):
    homes = [tmp_path / "one", tmp_path / "two"]
    for home, more in zip(homes, ((), ("--workers", 2))):
        code, out, err = call(capsys, *words, *SIZE, "--home", home, "--json", *more)
        assert code == 0, err
    assert content(homes[0]) == content(homes[1]) and len(content(homes[0])) >= 9
    assert "workers" in err and json.loads(out)["cells"]


def test_a_cluster_that_is_not_there_is_told_in_a_sentence(tmp_path, capsys):
    code, _, err = call(capsys, "sweep", *SIZE, "--home", tmp_path, "--ray", "127.0.0.1:1")
    assert code == 2 and "ray" in err.lower() and "Traceback" not in err
