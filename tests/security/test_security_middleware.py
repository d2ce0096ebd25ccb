"""The access middleware on a real server: headers, hosts, origins, files and the password."""

import urllib.parse

import pytest

from mi_explorer.ui.access.middleware import MAX_PASSWORDS, security_headers
from mi_explorer.ui.access.settings import Settings
from tests.security.asking import ask
from tests.servers import ROOT
from tests.visitors import Run, Site


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
