"""The access middleware on a real server: hosts, origins, sizes, files, passwords, floods, and what every answer's headers say."""

import asyncio
import json
import socket
import time
import urllib.parse
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mi_explorer.ui.access.limits import Limits
from mi_explorer.ui.access.middleware import MAX_BODY_BYTES, MAX_PASSWORDS, security_headers
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.ui.fake import QUESTIONS, FakeBench
from tests.visitors import QueuedRun, Run, Site

ROOT = Path(__file__).resolve().parents[2]


def apart(work: Coroutine) -> Any:
    """Run it in a loop of its own thread: the browser tests leave a running one in this."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Start pages on the scripted workbench: `serve(rate=…, setting=…)` gives (site, explore)."""
    import os

    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    open_apps = []

    def start(rate=0, **more):
        settings = Settings(port=free_port(), **more)
        limits = Limits(settings.runs, settings.address_runs, settings.tokens)
        bench = FakeBench(rate=rate)
        explore = Explore(bench, QUESTIONS, limits)
        app = build(
            PagePairs(OpenPair(explore, page_setup(bench, QUESTIONS, "mini", None)), lambda *a: None, "fixed"), settings
        )
        launch(app, settings.host, settings.port, settings, limits, quiet=True)
        open_apps.append(app)
        return f"http://127.0.0.1:{settings.port}", explore

    start.apps = open_apps
    yield start
    for app in open_apps:
        app.close()


@pytest.fixture(scope="module")
def plain(serve):
    return Site(serve()[0])


def ask(token="a", **view):
    return {
        "token": (token * 16)[:16],
        "kind": "here",
        "view": {"q": "What is 3 + 4?", "gold": "7", "lam": 0.5, **view},
    }


# -- headers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/config", "/gradio_api/info", "/theme.css", "/no/such/path", "/gradio_api/file=/etc/passwd"]
)
def test_every_answer_carries_the_headers(plain, path):
    _, _, got = plain.ask("GET", path)
    assert got["x-content-type-options"] == "nosniff" and got["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'self'" in got["content-security-policy"] and got["x-frame-options"] == "SAMEORIGIN"


def test_who_may_frame_is_the_operators_choice():
    assert "X-Frame-Options" not in security_headers(Settings(frames="https://a.example https://*.b.example"))
    assert security_headers(Settings(frames="https://a.example https://*.b.example"))[
        "Content-Security-Policy"
    ].endswith("frame-ancestors https://a.example https://*.b.example")
    assert security_headers(Settings(frames="none"))["X-Frame-Options"] == "DENY"


# -- hosts and origins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::2]"]
)
def test_a_page_on_the_web_cannot_point_its_own_name_here(plain, host):
    status, body, _ = plain.ask("GET", "/config", Host=host)
    assert status == 421 and b"--hosts" in body and b"components" not in body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1:9", "[::1]:7860"])
def test_the_loopback_names_are_answered(plain, host):
    assert plain.ask("GET", "/config", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"])
def test_a_foreign_origin_may_neither_post_nor_read(plain, origin):
    for path, body in (
        ("/gradio_api/queue/join", {"data": [], "fn_index": 0, "session_hash": "x"}),
        ("/mi/run", ask()),
    ):
        assert plain.ask("POST", path, body, Origin=origin)[0] == 403
    assert (
        plain.ask(
            "POST", "/gradio_api/upload", b"--x--", Origin=origin, **{"Content-Type": "multipart/form-data; boundary=x"}
        )[0]
        == 403
    )
    assert plain.ask("GET", "/config", Origin=origin)[2].get("access-control-allow-origin") != origin


def test_the_operator_may_add_names_and_an_open_page_asks_for_none(serve):
    site = Site(serve(hosts=("lab.example",))[0])
    assert (
        site.ask("GET", "/config", Host="lab.example")[0] == 200
        and site.ask("GET", "/config", Host="other.example")[0] == 421
    )
    theirs = {"Host": "127.0.0.1:7860", "Origin": "https://lab.example"}  # a proxy that asks under its own address
    assert site.ask("POST", "/mi/run", ask("p"), **theirs)[0] == 200
    assert site.ask("POST", "/mi/run", ask("q"), **{**theirs, "Origin": "https://other.example"})[0] == 403
    opened = Site(serve(host="0.0.0.0")[0])
    assert opened.ask("GET", "/config", Host="anything.example")[0] == 200


# -- sizes --------------------------------------------------------------------------------------------------------------


def test_bodies_have_a_limit_before_they_are_read(plain):
    for length in (str(MAX_BODY_BYTES + 1), "9" * 18):
        assert plain.ask("POST", "/gradio_api/queue/join", b"x", **{"Content-Length": length})[0] == 413
    for length in (
        "-1",
        "1e9",
        "٣".encode().decode("latin-1"),
        "9" * 30,
    ):  # no body: what is unread at the end resets the connection
        assert plain.ask("POST", "/gradio_api/queue/join", None, **{"Content-Length": length})[0] in (400, 413)


def test_who_is_still_sending_is_told_why_it_is_refused(plain):
    """The whole body goes out before the answer is read, as a browser does it."""
    for _ in range(5):
        status, words, _ = plain.ask("POST", "/gradio_api/queue/join", b"x" * (3 * MAX_BODY_BYTES))
        assert status == 413 and b"larger than" in words


def test_a_body_that_does_not_say_its_length_is_counted(plain):
    link = plain.connect()
    link.putrequest("POST", "/gradio_api/queue/join")
    link.putheader("Transfer-Encoding", "chunked")
    link.putheader("Content-Type", "application/json")
    link.endheaders()
    sent = 0
    try:
        for _ in range(40):
            link.send(b"40000\r\n" + b"[" * 0x40000 + b"\r\n")
            sent += 0x40000
        link.send(b"0\r\n\r\n")
    except OSError:
        pass  # the server has hung up, which is as good
    try:
        assert link.getresponse().status in (400, 413)
    except OSError:
        assert sent > MAX_BODY_BYTES // 2
    assert plain.ask("GET", "/config")[0] == 200


def form(size):
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="../../x.parquet"\r\nContent-Type: application/octet-stream\r\n\r\n'
    return head + b"0" * size + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def test_uploads_have_the_operators_limit_and_keep_no_path_of_the_visitor(serve, tmp_path):
    small, none = Site(serve(upload=1)[0]), Site(serve(upload=0)[0])
    body, kind = form(2_000_000)
    assert small.ask("POST", "/gradio_api/upload", body, **kind)[0] == 413
    assert none.ask("POST", "/gradio_api/upload", form(10)[0], **kind)[0] == 403
    status, answer, _ = small.ask("POST", "/gradio_api/upload", form(1000)[0], **kind)
    (path,) = json.loads(answer)
    assert status == 200 and ".." not in path and Path(path).resolve().is_relative_to(Path(path).parents[1].resolve())
    assert Path(path).name == "x.parquet"


def test_the_state_of_sessions_is_bounded(serve, monkeypatch):
    """Whoever asks with ever new sessions makes the oldest forgotten, not the memory full."""
    monkeypatch.setattr("mi_explorer.ui.server.MAX_SESSIONS", 5)
    site = Site(serve()[0])
    kept = serve.apps[-1].app.state_holder.session_data
    for i in range(12):
        last = list(QueuedRun(site, f"tab{i}", ask(f"n{i}")).states())[-1]
        assert last["state"] == "done" and len(kept) <= 5
    assert "tab11" in kept and "tab0" not in kept


# -- files --------------------------------------------------------------------------------------------------------------

ROUTES = ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/", "/gradio_api/proxy=", "/custom_component/",
          "/gradio_api/stream/")  # fmt: skip
TARGETS = ("/etc/passwd", "../../../../../../../../etc/passwd", "....//....//etc/passwd", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
           "..%5c..%5c..%5cetc%5cpasswd", "%00/etc/passwd", "file:///etc/passwd", "C:\\Windows\\win.ini")  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_hands_out_files_of_this_machine(plain, route):
    mine = (
        str(ROOT / "app.py"),
        str(ROOT / "mi_explorer" / "ui" / "access" / "access_policy.py"),
        "app.py",
        "../app.py",
        str(ROOT / "assets" / "pairs.yaml"),
    )
    for target in (*TARGETS, *mine):
        status, body, _ = plain.ask("GET", route + urllib.parse.quote(target, safe="/%:\\"))
        assert (
            b"root:" not in body and b"def main" not in body and b"AccessError" not in body and b"instruct:" not in body
        ), (route, target)
        assert status >= 400 or body == b"" or b"<html" in body.lower(), (route, target, status)


@pytest.mark.parametrize("name", ["run", "load", "strip"])
def test_nothing_goes_around_the_queue(plain, name):
    for way in ("run", "api"):
        assert plain.ask("POST", f"/gradio_api/{way}/{name}", {"data": []})[0] >= 400


def test_events_that_are_none_are_said_to_be_none(plain):
    for name in ("predict", "stop", "__init__", "../config"):
        assert plain.ask("POST", f"/gradio_api/call/{name}", {"data": []})[0] in (404, 405), name


@pytest.mark.parametrize(
    "name", ["__class__", "load_event", "render", "get_config", "preprocess", "postprocess", "api_info", "../stop"]
)
def test_only_server_functions_can_be_called_on_the_component(plain, name):
    assert plain.server(name, "x")[0] >= 400


# -- passwords ----------------------------------------------------------------------------------------------------------


def test_nothing_is_served_without_the_password(serve):
    url, _ = serve(auth=(("ann", "se:cret"), ("bob", "pässword")))
    link = Site.__new__(Site)
    link.host, link.headers = urllib.parse.urlsplit(url).netloc, {}
    for method, path, body in (("GET", "/config", None), ("POST", "/mi/run", ask()),
                               ("POST", "/gradio_api/queue/join", {"data": [], "fn_index": 0, "session_hash": "x"}),
                               ("GET", "/gradio_api/queue/data?session_hash=x", None), ("GET", "/gradio_api/info", None),
                               ("POST", "/gradio_api/component_server", {"data": 1, "component_id": 4, "fn_name": "draw", "session_hash": "x"}),
                               ("POST", "/gradio_api/call/strip", {"data": ["x"]}), ("POST", "/gradio_api/upload", b"--b--"),
                               ("GET", "/gradio_api/file=/etc/passwd", None)):  # fmt: skip
        assert link.ask(method, path, body)[0] in (401, 403), path
    assert b"MI Explorer" not in link.ask("GET", "/")[1] or b'"auth_required"' in link.ask("GET", "/")[1]

    def login(name, word):
        body = urllib.parse.urlencode({"username": name, "password": word}).encode()
        return link.ask("POST", "/login", body, **{"Content-Type": "application/x-www-form-urlencoded"})

    for name, word in (
        ("ann", "wrong"),
        ("ann", ""),
        ("nobody", "se:cret"),
        ("", ""),
        ("ann", "pässword"),
        ("nobody", ""),
    ):
        assert login(name, word)[0] >= 400
    status, _, got = login("bob", "pässword")
    assert status == 200
    cookie, link.headers = {"Cookie": got["set-cookie"].split(";")[0]}, {}
    tried = [login("ann", f"guess {i}")[0] for i in range(MAX_PASSWORDS)]
    assert tried == [400] * (MAX_PASSWORDS - 7) + [429] * 7, "seven came before"
    status, words, _ = login("ann", "se:cret")  # not even the right one: a guess that is never answered says nothing
    assert status == 429 and b"Try again in a minute" in words
    link.headers = cookie
    assert link.ask("GET", "/config")[0] == 200, "whoever is in stays in"
    assert list(Run(link, "bob's", ask()).states())[-1]["state"] == "done"


# -- floods -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_one_visitor_is_held_back_and_another_one_is_served(serve):
    url, explore = serve(rate=25, runs=2)
    site = Site(url)
    flood = [Run(site, "flood", ask(chr(97 + i % 26) + str(i), cap=64)) for i in range(8)]
    assert {run.status for run in flood} == {200}
    before = time.monotonic()
    run = Run(site, "friend", ask("z", cap=64))
    first = next(run.states())
    assert first["state"] == "running" and time.monotonic() - before < 10
    run.drop()
    ends = []
    for one in flood[2:]:
        *_, last = one.states()
        ends.append(last)
    assert all(last["state"] == "failed" and "2 runs of yours" in last["message"] for last in ends)
    assert next(flood[0].states())["state"] == "running"
    for one in flood[:2]:
        one.drop()
    end = time.monotonic() + 10
    while explore.is_busy() and time.monotonic() < end:
        time.sleep(0.05)
    assert not explore.is_busy(), "whoever hangs up ends the run"


def test_a_flood_of_gradios_own_events_is_held_back_too(serve):
    site = Site(serve(rate=25, runs=2)[0])
    answers = [
        site.join("flood", ask(chr(97 + i % 26) + str(i), q="words: 1000")) for i in range(60)
    ]  # 40 s each, if they run
    assert {status for status, _ in answers} <= {200, 400}
    flood = QueuedRun.__new__(QueuedRun)
    flood.site, flood.session, (flood.status, flood.answer) = site, "flood", [a for a in answers if a[0] == 200][-1]
    *_, last = flood.states()
    assert last["state"] == "failed" and "2 runs of yours" in last["message"]


def test_calls_of_one_address_have_a_limit_where_addresses_are_limited():
    from mi_explorer.ui.access.middleware import MAX_CALLS_PER_ADDRESS, AccessMiddleware

    async def crowd(settings, host):
        going, most, release = 0, 0, asyncio.Event()

        async def app(scope, receive, send):
            nonlocal going, most
            going, most = going + 1, max(most, going + 1)
            await release.wait()
            going -= 1
            if scope["path"].endswith("broken/component_server"):
                raise RuntimeError("fault")
            await send({"type": "http.response.start", "status": 200, "headers": []})

        gate, statuses = AccessMiddleware(app, settings), []

        async def send(message):
            statuses.append(message["status"]) if message["type"] == "http.response.start" else None

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        def call(path, who):
            return gate(
                {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"x")], "client": (who, 1)},
                receive,
                send,
            )

        tasks = [
            asyncio.create_task(call("/gradio_api/broken/component_server", host))
            for _ in range(MAX_CALLS_PER_ADDRESS + 5)
        ]
        tasks.append(asyncio.create_task(call("/gradio_api/component_server", "10.9.9.9")))
        await asyncio.sleep(0.01)
        release.set()
        await asyncio.gather(*tasks)
        return most, sorted(statuses), dict(gate.calls)

    most, statuses, left = apart(crowd(Settings(host="0.0.0.0", address_runs=64), "10.0.0.1"))
    assert (
        most == MAX_CALLS_PER_ADDRESS + 1
        and statuses == [200] + [429] * 5 + [500] * MAX_CALLS_PER_ADDRESS
        and left == {}
    )
    most, statuses, left = apart(crowd(Settings(host="0.0.0.0", address_runs=0), "10.0.0.1"))
    assert most == MAX_CALLS_PER_ADDRESS + 6 and 429 not in statuses and left == {}


# -- hostile requests ---------------------------------------------------------------------------------------------------

DEEP = b'{"data": [], "fn_index": 0, "session_hash": "x", "event_data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", DEEP, b'{"data": NaN}', b'{"session_hash": {}}', b'{"data": 1e999}'],
)
def test_bodies_that_are_none_are_refused_and_the_page_lives(plain, body):
    for path in (
        "/mi/run",
        "/gradio_api/queue/join",
        "/gradio_api/component_server",
        "/gradio_api/call/strip",
        "/gradio_api/cancel",
    ):
        status, answer, _ = plain.ask("POST", path, body, **{"Content-Type": "application/json"})
        assert status != 200 or body == DEEP
        assert b"Traceback" not in answer and str(ROOT).encode() not in answer
    assert plain.ask("GET", "/config")[0] == 200


@pytest.mark.parametrize(
    "request_",
    [None, [], "x", 1, {}, {"token": "a" * 16}, {"token": {"a": 1}, "view": {}}, {"token": "a" * 16, "view": []}, {"token": "../../etc", "view": {}},
     ask(lam="NaN"), ask(lam=1e308), ask(cap=10**30), ask(seed="0x10"), ask(q="x" * 30_000), ask(q=["a"]), ask(layers="9" * 4000), ask(modules=[{}]),
     ask(params={"density": "1e400"}), ask(method="__import__('os')"), ask(template="/etc/passwd"), ask(pins=[0] * 1000), ask(pair="/etc|/etc"),
     {**ask(), "kept": [{"lam": "x"}, None, 1, {"lam": 1e300}]}],
)  # fmt: skip
@pytest.mark.parametrize("way", [Run, QueuedRun])
def test_a_hostile_run_ends_in_words_or_runs_as_if_it_were_none(plain, request_, way):
    run = way(plain, "hostile", request_)
    if run.status == 400 and way is Run:
        assert run.words() == b"This request is not a run." and not (
            isinstance(request_, dict) and request_.get("token") == "a" * 16
        )
        return
    assert run.status == 200
    *_, last = run.states()
    assert (
        last["state"] == "failed" and last["message"] and "Traceback" not in last["message"] or last["state"] == "done"
    )
    assert "Something broke" not in last["message"]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"token": "x", "id": []}, "x" * 100_000, {"token": {}, "id": {}}, [[[]]], 1e300]
)
@pytest.mark.parametrize("name", ["stop", "alive", "draw", "score", "judge"])
def test_hostile_calls_of_server_functions_end_in_words(plain, name, data):
    status, answer = plain.server(name, data)
    assert status == 200 or b"Traceback" not in answer
    if status == 200 and isinstance(answer, dict):
        assert "Something broke" not in json.dumps(answer)
