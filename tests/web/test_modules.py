"""The page's modules without a browser: `node --test` of what needs no document, and how the files are served."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mi_explorer.ui import static_files
from mi_explorer.ui.script_bundle import bundled, importing_bundle, modules_of

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_modules_compute():
    node = shutil.which("node")
    assert node, "These tests need Node.js 20 or newer on the PATH (Debian: apt-get install nodejs)."
    tests = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests" / "web").glob("*.test.js"))
    done = subprocess.run([node, "--test", *tests], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_import_names_a_file_that_is_served_and_every_style_is_used():
    files = static_files.web_files()
    for name, content in files.items():
        for target in re.findall(r'from "(\.[^"]+)"', content.decode()):
            found = (static_files.WEB / name).parent.joinpath(target).resolve().relative_to(static_files.WEB.resolve())
            assert found.as_posix() in files, f"{name} imports {target}"
    styles = {p.relative_to(static_files.WEB).with_suffix("").as_posix() for p in static_files.WEB.glob("*/*.css")}
    assert styles == set(static_files.STYLES)


@pytest.fixture
def client() -> TestClient:
    def page(request: Request) -> HTMLResponse:
        return HTMLResponse("<head><script>1</script></head>" + "<p>words</p>" * 200)

    app = Starlette(routes=[static_files.web_route(), Route("/", page)])
    return TestClient(static_files.EarlyLinks(app))


def test_a_file_is_kept_for_good_under_the_address_of_its_content(client):
    answer = client.get(static_files.web_address("weights/profile.js")[1:])
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == static_files.web_files()["weights/profile.js"]
    style = client.get(static_files.web_address("style.css")[1:])
    assert style.headers["content-type"].startswith("text/css") and b".mi-rail" in style.content


@pytest.mark.parametrize(
    "name",
    ["report.css", "%2e%2e/pairs.yaml", "..%2fpairs.yaml", "explore", "", "explore/..%2f../pairs.yaml", "x%00.js"],
)
def test_nothing_else_is_handed_out(client, name):
    assert client.get(f"{static_files.WEB_ROUTE}/{static_files.web_version()}/{name}").status_code == 404


def test_another_version_is_not_found_and_not_kept(client):
    answer = client.get(f"{static_files.WEB_ROUTE}/0123456789abcdef/explore/explore.js")
    assert answer.status_code == 404 and answer.headers["cache-control"] == "no-store"


def test_the_page_links_to_what_its_first_visit_needs_by_relative_addresses(client):
    answer = client.get("/")
    links = re.findall(r'href="([^"]+)"', answer.text)
    assert answer.text.index("<link") < answer.text.index("<script>") and len(answer.content) > 1000
    assert all(link.startswith("./mi/web/") and client.get(link[1:]).status_code == 200 for link in links)
    assert [link.rsplit("/", 1)[1] for link in links] == ["style.css", "first.js"]


def test_the_page_is_compressed_where_the_browser_takes_that(client):
    plain, packed = (client.get("/", headers={"Accept-Encoding": way}) for way in ("identity", "gzip"))
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.content == plain.content  # the client unpacks
    assert int(packed.headers["content-length"]) < len(plain.content)


ONE = 'import { two } from "./two.js";\n\nconst hidden = 1;\nexport const one = () => hidden + two;\n'
TWO = "const hidden = 40;\nexport const two = hidden + 1;\nexport async function later() {}\nexport class Kind {}\n"


def test_a_bundle_exports_what_its_modules_export_and_keeps_their_private_names_apart(tmp_path):
    sources = {
        "a/one.js": ONE,
        "a/two.js": TWO,
        "b/three.js": 'import { one } from "../a/one.js";\nexport const x = one();\n',
    }
    names = modules_of("a/one.js", sources)
    assert names == ["a/two.js", "a/one.js"]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "a" / "first.js").write_text(bundled(names, sources))
    (tmp_path / "b" / "three.js").write_text(importing_bundle("b/three.js", sources["b/three.js"], "a/first.js", names))
    asked = "import { x } from './b/three.js'; import * as all from './a/first.js'; console.log(x, Object.keys(all).join());"
    done = subprocess.run(["node", "--input-type=module", "-e", asked], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["42", "Kind,later,one,two"], done.stderr


@pytest.mark.parametrize(
    ("sources", "word"),
    [
        ({"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { a } from "./a.js";\n'}, "circle"),
        ({"a.js": 'import { b } from "./b.js";\nexport const b = 1;\n', "b.js": "export const b = 1;\n"}, "exports"),
        ({"a.js": "export default 1;\n"}, "hold"),
        ({"a.js": 'import "./b.js";\n', "b.js": ""}, "hold"),
    ],
)
def test_what_a_bundle_cannot_hold_is_refused(sources, word):
    with pytest.raises(ValueError, match=word):
        bundled(modules_of("a.js", sources), sources)
