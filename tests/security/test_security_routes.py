"""Every route with what nobody meant: bodies, headers and names drawn at random end in a status below 500, and the page lives."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer.studies.store.store import Store
from mi_explorer.ui.access.settings import Settings
from mi_explorer.ui.explore.explore_handlers import Explore
from mi_explorer.ui.explore.page_setup import page_setup
from mi_explorer.ui.open_pairs import OpenPair, PagePairs
from mi_explorer.ui.page import build
from mi_explorer.ui.server import launch
from tests.servers import free_port
from tests.ui.fake import QUESTIONS, FakeBench
from tests.visitors import QueuedRun, Site

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["mini", "\ud800", "../x", "0:1:0.1", "9" * 5000, "a" * 16, "stop", "\0", "{{x}}"]
)
NUMBERS = st.integers() | st.integers(min_value=10**30) | st.floats() | st.booleans()
KEYS = st.sampled_from(
    ["token", "view", "kind", "kept", "study", "owner", "key", "cell", "pair", "lam", "q", "seed", "text", "what", "frames", "id",
     "page", "filter", "sort", "search", "modules", "params", "pins", "folder", "spec"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=5),
    max_leaves=12,
)
HEADERS = (
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")).filter(lambda text: not set(text) & set("\r\n\0"))
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("routes")
    with Store.open(folder / "home") as store:
        bench = FakeBench()
        bench.store = store
        explore = Explore(bench, QUESTIONS)
        pairs = PagePairs(OpenPair(explore, page_setup(bench, QUESTIONS, "mini", None)), lambda *a: None, "fixed")
        page_settings = Settings(port=free_port(), pairs="fixed", hub=False, folders=(str(folder),))
        app = build(pairs, page_settings)
        launch(app, page_settings.host, page_settings.port, page_settings, quiet=True)
        yield Site(f"http://127.0.0.1:{page_settings.port}")
        app.close()


def functions(site):
    """(component, name) of every server function of the page."""
    return [
        (component["id"], name)
        for component in site.config["components"]
        for name in component["props"].get("server_fns") or component["props"].get("server_functions") or []
    ]


def judge(site, status, answer):
    assert status < 500, answer[:500]
    assert b"Traceback" not in answer


@FUZZ
@given(data=st.data(), body=JSON)
def test_server_functions(site, data, body):
    known = functions(site)
    assert len(known) > 15
    component, name = data.draw(st.sampled_from(known))
    asked = {"data": body, "component_id": component, "fn_name": name, "session_hash": "s"}
    status, answer, _ = site.ask("POST", "/gradio_api/component_server", asked)
    judge(site, status, answer)
    assert b"Something broke" not in answer, (name, body)


@FUZZ
@given(component=JSON, name=JSON, session=JSON, more=st.dictionaries(TEXTS, JSON, max_size=2))
def test_calls_of_what_is_no_component(site, component, name, session, more):
    asked = {"data": 1, "component_id": component, "fn_name": name, "session_hash": session, **more}
    judge(site, *site.ask("POST", "/gradio_api/component_server", asked)[:2])


@FUZZ
@given(body=JSON, token=st.sampled_from(["a" * 16, "", "\ud800" * 8, 5]))
def test_runs(site, body, token):
    asked = {"token": token, "kind": "here", **(body if isinstance(body, dict) else {"view": body}), "tab": body}
    status, answer, _ = site.ask("POST", "/mi/run", asked)
    judge(site, status, answer)
    assert b"Something broke" not in answer, body


@FUZZ
@given(body=JSON, index=st.integers(-2, 60) | JSON, session=JSON)
def test_gradios_queue(site, body, index, session):
    asked = {"data": body, "event_data": body, "fn_index": index, "session_hash": session}
    judge(site, *site.ask("POST", "/gradio_api/queue/join", asked)[:2])


@FUZZ
@given(
    name=st.sampled_from(["Host", "Origin", "Content-Length", "Content-Type", "Cookie", "X-Forwarded-Host", "Range", "Accept-Encoding"]),
    value=HEADERS | st.sampled_from(["http://[", "[", "http://[::1", "-1", "a=b; c", "bytes=-", "multipart/form-data"]),
    path=st.sampled_from(["/", "/config", "/mi/run", "/gradio_api/queue/join", "/gradio_api/upload", "/mi/plotly.min.js"]),
    method=st.sampled_from(["GET", "POST"]),
)  # fmt: skip
def test_headers(site, name, value, path, method):
    link = site.connect(10)
    link.putrequest(method, path, skip_host=name == "Host")
    for header, text in {"Content-Length": "2", "Connection": "close", name: value}.items():
        link.putheader(header, text.encode("latin-1"))
    link.endheaders()
    try:
        link.send(b"{}")
        answer = link.getresponse()
        judge(site, answer.status, answer.read())
    except (OSError, EOFError):  # a length that never comes: the server closes or waits
        assert name in ("Content-Length", "Host")
    finally:
        link.close()


@FUZZ
@given(first=TEXTS, second=TEXTS)
def test_names_in_paths(site, first, second):
    for path in ("/mi/take/{}/{}", "/gradio_api/file={}/{}", "/gradio_api/call/{}/{}", "/{}/{}"):
        part = [quote(x.encode("utf-8", "surrogatepass"), safe="") for x in (first, second)]
        judge(site, *site.look(path.format(*part)))


@FUZZ
@given(name=HEADERS, field=HEADERS, content=st.binary(max_size=30))
def test_uploads(site, name, field, content):
    form = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode("latin-1")
    body = b"--x\r\n" + form + content + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    judge(site, *site.ask("POST", "/gradio_api/upload", body, **kind)[:2])


def test_the_faults_that_were_found(site):
    event = {"data": [], "event_data": {}, "fn_index": site.event["id"], "session_hash": ""}
    assert site.ask("POST", "/gradio_api/queue/join", event)[0] < 500
    component = functions(site)[0][0]
    call = {"data": 1, "fn_name": "stop", "session_hash": "s"}
    for asked in ({**call, "component_id": 10**6}, {**call, "component_id": component, "fn_name": "nothing"}):
        assert 400 <= site.ask("POST", "/gradio_api/component_server", asked)[0] < 500
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for name in ("", ".", "..", "/", "%2F", "a/", "\\", " ", "x" * 5000):
        head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = f"--x\r\n{head}x\r\n--x--\r\n".encode()
        judge(site, *site.ask("POST", "/gradio_api/upload", body, **kind)[:2])
    assert site.ask("POST", "/mi/run", {}, Origin="http://[")[0] == 403
    for component, name in functions(site):
        if name in ("stop_sweep", "resume_sweep"):
            asked = {"data": "x", "component_id": component, "fn_name": name, "session_hash": "s"}
            status, answer, _ = site.ask("POST", "/gradio_api/component_server", asked)
            assert status == 200 and json.loads(answer) != {}
    # not a token of `TEXTS`: a run whose stop was drawn before it is stopped from the start
    asked = {"token": "b" * 16, "kind": "here", "view": {"q": "What is 3 + 4?", "lam": 0.5}}
    assert list(QueuedRun(site, "later", asked).states())[-1]["state"] == "done"
