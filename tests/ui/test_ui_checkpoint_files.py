"""Take away, as a checkpoint: an exported blend opens again; it is made whole or not at all."""

import time
import zipfile

import pytest
from safetensors.torch import load_file

import mi_explorer as mi
from mi_explorer.pairs import get_pair
from mi_explorer.recipe import Recipe
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.file_jobs import FileJobs
from mi_explorer.ui.takeaway.checkpoint_files import export_name, slug
from mi_explorer.ui.takeaway.takeaway_handlers import TakeawayHandlers
from mi_explorer.workbench import Workbench
from tests.ui.taking import QUESTION, OnePair, wait, wire


@pytest.mark.parametrize("what", ["folder", "zip"])
def test_an_exported_blend_opens_again_and_gives_the_same_greedy_trace(take, bench, tmp_path, what):
    view = wire(lam=0.6, layers="2-5", q=QUESTION, t=0, cap=24)
    began = take.make({"what": what, "view": view, "folder": str(tmp_path / "blend")})
    end = wait(take.file_jobs, began["token"])
    assert end["state"] == "done" and "read back and checked" in end["text"]
    if what == "zip":
        with zipfile.ZipFile(take.file_jobs.file(began["token"], end["name"])) as archive:
            assert archive.testzip() is None
            (top,) = {name.split("/")[0] for name in archive.namelist()}
            archive.extractall(tmp_path)
        (tmp_path / top).rename(tmp_path / "blend")
        assert [p.suffix for p in take.file_jobs.file(began["token"], end["name"]).parent.iterdir()] == [".zip"]
    given = views.view_of_dict(view)
    names = load_file(tmp_path / "blend" / "model.safetensors")
    assert sum(t.numel() * t.element_size() for t in names.values()) == take.recipe(view)["checkpoint"]["bytes"]
    with (
        Workbench.open(f"{tmp_path / 'blend'}|{tmp_path / 'blend'}", dtype="bfloat16") as again,
        Workbench.open("mini", dtype="bfloat16") as first,
    ):
        ours = mi.generate(QUESTION, given.recipe(), decoding=given.decoding, bench=first).trace
        theirs = mi.generate(QUESTION, Recipe(again.pair.name, lam=1), decoding=given.decoding, bench=again).trace
    assert ours.ids == theirs.ids and ours.tokens > 0


def test_a_folder_must_be_new_whole_and_allowed(bench, tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir(), outside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "full").mkdir()
    (inside / "full" / "thesis.txt").write_text("mine")
    take = TakeawayHandlers(OnePair(bench, AccessPolicy("fixed", False, (str(inside),), "mini")))
    assert take.recipe(wire())["checkpoint"]["folder"].startswith(str(inside))
    refused = [
        ("x", "whole path"),
        *((path, "outside") for path in (f"{outside}/x", f"{inside}/link/x", f"{inside}/../out/x")),
    ]
    for folder, said in refused:
        assert said in take.make({"what": "folder", "view": wire(), "folder": folder})["error"]
    end = wait(take.file_jobs, take.make({"what": "folder", "view": wire(), "folder": str(inside / "full")})["token"])
    assert end["state"] == "failed" and "not empty" in end["text"]
    assert sorted(p.name for p in inside.iterdir()) == ["full", "link"] and [
        p.name for p in (inside / "full").iterdir()
    ] == ["thesis.txt"]
    assert list(outside.iterdir()) == []


def test_a_stopped_export_leaves_nothing(take, tmp_path, monkeypatch):
    tokens: list[str] = []

    def start(make):
        def slow(folder, tell):
            def heard(text, done=0, total=0):
                if done and tokens:
                    take.file_jobs.stop(tokens[0])
                elif done:
                    time.sleep(0.2)
                tell(text, done, total)

            return make(folder, heard)

        return FileJobs.start(take.file_jobs, slow)

    monkeypatch.setattr(take.file_jobs, "start", start)
    tokens.append(take.make({"what": "folder", "view": wire(), "folder": str(tmp_path / "blend")})["token"])
    end = wait(take.file_jobs, tokens[0])
    assert (end["state"], end["text"], end["url"]) == ("stopped", "Stopped; nothing was kept.", "")
    assert list(tmp_path.iterdir()) == []


def test_methods_and_views_that_cannot_be_exported_are_told(take):
    assert "no checkpoint" in take.recipe(wire(method="logit"))["checkpoint"]["why"]
    assert "no checkpoint" in take.make({"what": "zip", "view": wire(method="logit")})["error"]
    assert (
        "Unknown" in take.recipe(wire(method="nonsense"))["error"]
        or "nonsense" in take.recipe(wire(method="nonsense"))["error"]
    )
    assert "can be made" in take.make({"what": "shadow"})["error"]
    assert take.make(None)["error"] and take.recipe("x")["hash"] == Recipe().hash


def test_names_of_files_are_plain():
    assert slug("../../etc/passwd\x00") == "etc-passwd" and slug("λ ☃") == "unnamed" and slug("a" * 99) == "a" * 60
    assert export_name(Recipe("mini", lam=0.4), get_pair("mini")).startswith("mini-linear-0.4-")
    named = export_name(Recipe("/x/a|/x/b"), get_pair("/x/a|/x/b"))
    assert named.startswith("a-linear-0.5-") and "/" not in named


def test_a_scripted_page_without_store_and_weights_still_answers():
    from tests.ui.fake import FakeBench

    take = TakeawayHandlers(OnePair(FakeBench()))
    shown = take.recipe(wire(lam=0.4))
    assert shown["mergekit"] and "not at hand" in shown["checkpoint"]["why"] and "error" not in take.studies(None)
    assert take.imports() and "error" in take.take_in("x.csv")
