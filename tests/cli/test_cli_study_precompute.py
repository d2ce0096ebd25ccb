"""The command that makes the studies of the checkout: its plan, and a toy run with the embedded pair in real processes."""

from dataclasses import replace

import pytest

from mi_explorer.cli import main, study_precompute
from mi_explorer.cli.study_precompute import STUDIES, Wanted
from mi_explorer.studies.stats.kept_summary import kept_summary
from mi_explorer.studies.store.exchange import import_study
from mi_explorer.studies.store.store import Store


def parsed(*words):
    return main.parser().parse_args([str(w) for w in words])


def test_the_plan_covers_the_sweep_and_every_ablation_in_commands_that_anyone_may_type():
    args = parsed("study", "precompute")
    kinds = []
    for w in STUDIES:
        command = parsed(*study_precompute.study_words(args, w, f"mini-{w.name}"))
        kinds.append(command.command if command.command == "sweep" else command.what)
        assert (int(command.questions), int(command.samples), command.name, command.shard) == (
            w.questions,
            w.samples,
            f"mini-{w.name}",
            (1, 1),
        )
        for before in w.before:
            assert parsed(*study_precompute.study_words(args, replace(w, command=before), "x")).command == "sweep"
    assert set(kinds) == {"sweep", "layers", "modules", "decoding", "backbone", "methods"}
    sweep = next(w for w in STUDIES if w.name == "sweep")
    assert sweep.questions >= 400 and sweep.samples >= 8 and "--refine" in sweep.command


def test_a_study_is_probed_by_a_command_of_its_own():
    args = parsed("study", "precompute", "--pair", "a|b", "--device", "cuda")
    for w in (w for w in STUDIES if w.probe):
        words = study_precompute.probe_words(args, w, "x")
        asked = parsed(*words)
        assert (asked.action, asked.name, asked.pair, asked.device) == ("probe", "x", "a|b", "cuda")
    probed = {w.name: parsed(*study_precompute.probe_words(args, w, "x")) for w in STUDIES if w.probe}
    assert {name: (a.points, a.free) for name, a in probed.items()} == {"probes": (12, 1)}


def test_shards_leave_out_what_a_shard_cannot_do():
    args = parsed("study", "precompute", "--pair", "a|b", "--device", "cuda", "--cap", 99)
    words = study_precompute.study_words(
        args, Wanted("x", "sweep --lambda 0:1:0.5 --refine 2 --template own", 7, 3), "x", "2/4"
    )
    assert words == ["sweep", "--lambda", "0:1:0.5", "--template", "own", "--questions", "7", "--samples", "3", "--name", "x",
                     "--pair", "a|b", "--device", "cuda", "--cap", "99", "--shard", "2/4"]  # fmt: skip


@pytest.mark.parametrize(
    "words, says",
    [
        (["--only", "layer"], "Did you mean 'layers'"),
        (["--pair", "nosuch"], "nosuch"),
        (["--pair", "qwen3-4b"], "--device cuda"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(capsys, tmp_path, words, says):
    assert main.main(["study", "precompute", "--out", str(tmp_path / "o"), "--home", str(tmp_path / "h"), *words]) == 2
    assert says in capsys.readouterr().err


def test_a_command_that_fails_is_shown_with_its_words(capsys, tmp_path):
    code = main.main(
        [
            "study",
            "precompute",
            "--only",
            "layers",
            "--cap",
            "0",
            "--out",
            str(tmp_path / "o"),
            "--home",
            str(tmp_path / "h"),
            "--quiet",
        ]
    )
    err = capsys.readouterr().err
    assert (
        code == 2
        and "python -m mi_explorer ablate layers" in err
        and "cap must lie" in err
        and not list((tmp_path / "o").iterdir())
    )
    assert err.splitlines()[-1].startswith("Not made")


@pytest.mark.timeout(600)
def test_a_toy_run_is_sealed_and_a_second_one_makes_nothing_again(capsys, tmp_path):
    words = ["study", "precompute", "--only", "layers,backbone", "--questions", "2", "--samples", "1", "--cap", "60"]
    words += ["--out", str(tmp_path / "o"), "--home", str(tmp_path / "h"), "--quiet"]
    assert main.main(words) == 0
    out = capsys.readouterr().out
    files = {p.name: p.read_bytes() for p in (tmp_path / "o").iterdir()}
    kinds = (".parquet", ".summary.json")
    assert set(files) == {f"mini-{name}{kind}" for name in ("layers", "backbone") for kind in kinds} and "MB in" in out
    assert len(kept_summary("mini-layers", tmp_path / "o").cells) == 18 // 2
    with Store(tmp_path / "o" / "mini-layers.parquet", readonly=True) as store:
        info = store.study("mini-layers")
        assert (info.samples, info.units, info.plan.kind) == (18, 18, "layers")
        assert all(store.body(s.key)["text"] for s in store.samples(info.id))
        assert (
            info.plan.command
            == "python -m mi_explorer ablate layers --questions 2 --samples 1 --name mini-layers --cap 60"
        )
        assert {run["host"] for run in store.runs(info.id)} == {
            ""
        }  # the other command may have made a cell that both have
    words[words.index("layers,backbone")] = "backbone"  # it has cells of the other one's too
    assert main.main(words) == 0
    assert {p.name for p in (tmp_path / "o").iterdir()} == set(files)
    with Store(tmp_path / "own.db") as own:
        first = tmp_path / "first.parquet"
        first.write_bytes(files["mini-backbone.parquet"])
        assert import_study(own, first)[1] > 0
        assert import_study(own, tmp_path / "o" / "mini-backbone.parquet")[1] == 0  # the very same samples
