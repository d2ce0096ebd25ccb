# ruff: noqa: E501 (the corpus)
"""The tabs' own doors: a study that is brought in comes from an upload and from nowhere else; files are their holder's alone."""

import json
import time
from pathlib import Path

import pytest

from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.servers import free_port
from tests.studies.filled_store import filled
from tests.ui.fake import HOSTILE, QUESTIONS, FakeBench
from tests.visitors import Site


@pytest.fixture
def page(tmp_path, monkeypatch):
    """(site, store) of a page that is open to the network and keeps studies."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    settings = Settings(host="0.0.0.0", port=free_port(), pairs="fixed", hub=False, folders=(), upload=2)
    with Store.open(tmp_path / "home") as store:
        bench = FakeBench()
        bench.store = store
        pairs = PagePairs(
            OpenPair(Explore(bench, QUESTIONS), page_setup(bench, QUESTIONS, "mini", None)),
            lambda *a: None,
            AccessPolicy("fixed", False, ()),
        )
        app = build(pairs, settings)
        launch(app, settings.host, settings.port, settings, quiet=True)
        yield Site(f"http://127.0.0.1:{settings.port}"), store
        app.close()


@pytest.fixture
def study(tmp_path):
    """A study file somewhere on this machine that no visitor may have read."""
    with filled(tmp_path / "theirs.db") as source:
        export_study(source, "s", tmp_path / "secret.parquet")
    return tmp_path / "secret.parquet"


def bring(site, data):
    """Fire the event of the upload button with this value; the messages of its stream."""
    event = next(d for d in site.config["dependencies"] if any(t[1] == "upload" for t in d["targets"]))
    body = {"data": [data], "fn_index": event["id"], "trigger_id": event["targets"][0][0], "session_hash": "v"}
    status, text, _ = site.ask("POST", "/gradio_api/queue/join", body)
    if status != 200:
        return text.decode()
    return site.ask("GET", "/gradio_api/queue/data?session_hash=v")[1].decode()


def uploaded(site, content, name="mine.parquet"):
    head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    status, text, _ = site.ask(
        "POST",
        "/gradio_api/upload",
        head.encode() + content + b"\r\n--b--\r\n",
        **{"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert status == 200
    return {"path": json.loads(text)[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}


def test_a_study_is_brought_in_by_upload(page, study):
    site, store = page
    said = bring(site, uploaded(site, study.read_bytes()))
    assert "is here" in said and sum(s.samples for s in store.studies()) > 0


def test_a_forged_path_brings_nothing_in(page, study, tmp_path):
    site, store = page
    link = tmp_path / "gradio"
    forged = [
        str(study),
        f"file://{study}",
        f"{link}/../secret.parquet",
        "/etc/passwd",
        str(tmp_path / "home" / "studies.db"),
        "secret.parquet",
    ]
    for path in forged:
        for value in ({"path": path, "meta": {"_type": "gradio.FileData"}},
            {"path": path, "url": path, "orig_name": "x.parquet", "meta": {"_type": "gradio.FileData"}},
                      path, [path], {"url": f"file://{path}", "meta": {"_type": "gradio.FileData"}}):  # fmt: skip
            said = bring(site, value)
            assert "is here" not in said and "root:" not in said and store.studies() == [], value


def test_a_hostile_study_is_refused_in_words_over_the_wire(page):
    site, store = page
    for content in (b"", b"{}", b"\xff" * 100, json.dumps({"study": HOSTILE[0]}).encode()):
        said = bring(site, uploaded(site, content, "x.parquet"))
        assert "Traceback" not in said and "error" in said and store.studies() == []


def test_files_are_found_by_their_token_alone(page):
    site, _ = page
    for path in (
        "/mi/take/" + "0" * 32 + "/x.zip",
        "/mi/take/../../etc/passwd",
        "/mi/take/%2e%2e/x",
        "/mi/take//x",
        "/mi/take/" + "a" * 5000 + "/x",
    ):
        status, body, _ = site.ask("GET", path)
        assert status in (400, 404, 414) and b"root:" not in body


def test_an_open_page_writes_no_folder_and_hands_out_no_weights(page):
    site, _ = page
    board = next(c["id"] for c in site.config["components"] if c["props"].get("elem_id") == "takeaway")

    def call(name, data):
        status, text, _ = site.ask(
            "POST",
            "/gradio_api/component_server",
            {"data": data, "component_id": board, "fn_name": name, "session_hash": "v"},
        )
        return json.loads(text) if status == 200 else {"error": text.decode()}

    for request in ({"what": "folder", "folder": "/etc/cron.d/x", "view": {}}, {"what": "folder", "folder": "~/x", "view": {}},
        {"what": "zip", "view": {}},
                    {"what": "../../x", "study": "s"}, {"what": "report", "study": "../../../etc/passwd"},
                    {"what": ".csv", "study": HOSTILE[0]}, None, [], "x"):  # fmt: skip
        made = call("make", request)
        if "token" in made:
            for _ in range(100):
                if (state := call("look", made["token"]))["state"] not in ("waiting", "running"):
                    break
                time.sleep(0.1)
            assert state["state"] == "failed" and state["url"] == "" and "Something broke" not in state["text"]
        else:
            assert made["error"] and "Something broke" not in made["error"]
    assert not Path("/etc/cron.d/x").exists()
