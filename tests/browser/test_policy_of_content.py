"""What the page's headers mean in a real browser: nothing goes to another host, no foreign page may frame this one, the page works."""

import http.server
import threading

import pytest

TRY = """async (foreign) => {
  const told = [];
  document.addEventListener("securitypolicyviolation", (e) => told.push(e.effectiveDirective));
  const failed = await fetch(foreign + "fetch").then(() => false, () => true);
  for (const [tag, key] of [["img", "src"], ["script", "src"], ["iframe", "src"], ["object", "data"]]) {
    const node = document.createElement(tag);
    node[key] = foreign + tag;
    document.body.append(node);
  }
  const style = document.createElement("style");
  style.textContent = `body { background: url(${foreign}css) }`;
  document.head.append(style);
  await new Promise((done) => setTimeout(done, 700));
  return [failed, [...new Set(told)].sort()];
}"""


@pytest.fixture
def foreign():
    """Another host (another port is one): its address, and the paths that were asked of it."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(
                b"<iframe id=f src='" + self.path[1:].encode() + b"'></iframe>"
                if self.path.startswith("/http")
                else b""
            )

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()


def test_nothing_leaves_for_another_host_even_if_something_got_in(scripted, visit, foreign):
    address, asked = foreign
    page = visit(scripted)
    failed, told = page.evaluate(TRY, address)
    assert failed and asked == []
    assert {"connect-src", "img-src", "object-src"} <= set(told) and any(t.startswith("script-src") for t in told)


def test_the_page_itself_breaks_no_rule(scripted, visit):
    page = visit(scripted)
    told = []
    page.on("console", lambda m: told.append(m.text) if "Content Security Policy" in m.text else None)
    page.reload()
    page.wait_for_selector("[data-opened]")
    page.click(".mi-primary")
    page.wait_for_function(
        "() => document.querySelector('.mi-stop').hidden && !document.querySelector('.mi-primary').disabled"
    )
    assert told == []


def test_a_foreign_page_cannot_frame_this_one(scripted, chromium, foreign):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(foreign[0] + scripted)
    page.wait_for_timeout(1500)
    frames = [f for f in page.frames if f.url.startswith(scripted)]
    assert not frames or frames[0].query_selector(".mi") is None
    context.close()
