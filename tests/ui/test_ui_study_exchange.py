"""Take away, as a study: out as files and back in; what is no study is refused."""

import json

import pytest

import mi_explorer as mi
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.takeaway.takeaway_handlers import TakeawayHandlers
from tests.ui.taking import OnePair, wait


@pytest.fixture(scope="module")
def studied(bench):
    home = bench.store.path.parent
    mi.sweep(
        "mini",
        Recipe(),
        lams="0,0.5,1",
        questions=4,
        samples=2,
        decoding=Decoding(cap=48),
        name="a study",
        home=home,
        bench=bench,
    )
    return "a study"


@pytest.mark.parametrize("form", [".parquet", ".csv", ".jsonl", ".json"])
def test_a_study_as_files_and_back(take, bench, studied, tmp_path, form):
    assert studied in [row[0] for row in take.studies(None)["rows"]]
    token = take.make({"what": form, "study": studied})["token"]
    end = wait(take.file_jobs, token)
    assert end["state"] == "done" and end["name"] == "a-study" + form, end
    path = take.file_jobs.file(token, end["name"])
    if form == ".json":
        told = json.loads(path.read_text(encoding="utf-8"))
        assert [c["lambda"] for c in told["cells"]] == [0, 0.5, 1] and told["cells"][0]["total"] == 8
        return
    if form != ".parquet":
        assert len(path.read_text(encoding="utf-8").splitlines()) >= 24
        return
    with Store.open(tmp_path) as empty:
        other = type("Bench", (), {"store": empty, "pair": bench.pair})()
        back = TakeawayHandlers(OnePair(other)).take_in(str(path))
        assert "24 samples" in back["words"] and empty.study(back["study"]).origin == "imported"
        again = TakeawayHandlers(OnePair(other)).take_in(str(path))  # never grows a study that is there
        assert again["study"] == back["study"] + " (2)" and "24 of them" in again["words"]


def test_what_is_no_study_is_refused(take, tmp_path, bench):
    wrong = [
        ("a.txt", b"x", ".parquet"),
        ("a.parquet", b"PAR1junk", ""),
        ("a.csv", b"\x00\xff", ".parquet"),
        ("a.parquet", b"", ""),
    ]
    for name, content, said in wrong:
        (tmp_path / name).write_bytes(content)
        told = take.take_in(str(tmp_path / name))
        assert told["error"] and said in told["error"]
    assert (
        "takes no files"
        in TakeawayHandlers(OnePair(bench), Settings(upload=0)).take_in(str(tmp_path / "a.parquet"))["error"]
    )
    (tmp_path / "big.parquet").write_bytes(b"x" * 1_000_001)
    assert (
        "larger than 1 MB"
        in TakeawayHandlers(OnePair(bench), Settings(upload=1)).take_in(str(tmp_path / "big.parquet"))["error"]
    )
    end = wait(take.file_jobs, take.make({"what": ".csv", "study": "no such study"})["token"])
    assert end["state"] == "failed" and "no such study" in end["text"]
