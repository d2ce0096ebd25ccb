"""What is too much for a real server: large bodies and uploads, many sessions, floods of calls. Each is refused, and the page lives."""

import asyncio
import json
import time
from pathlib import Path

from mi_explorer.ui.access.middleware import MAX_BODY_BYTES
from mi_explorer.ui.access.settings import Settings
from tests.security.asking import ask
from tests.servers import apart
from tests.visitors import QueuedRun, Run, Site


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
    while explore.runs.is_busy() and time.monotonic() < end:
        time.sleep(0.05)
    assert not explore.runs.is_busy(), "whoever hangs up ends the run"


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
