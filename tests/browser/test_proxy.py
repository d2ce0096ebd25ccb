"""The page behind a proxy that serves it under another host name, port and prefix, and tells the server nothing of that."""

import contextlib
import http.client
import http.server
import threading
from urllib.parse import urlsplit

import pytest
from conftest import pane
from playwright.sync_api import expect

PASSED_ON = ("content-type", "content-length", "accept", "accept-encoding", "cookie")


def proxy_to(address: str, prefix: str) -> http.server.ThreadingHTTPServer:
    """A proxy that strips `prefix` and passes a request on to `address`, whose own name becomes the Host."""
    host = urlsplit(address).netloc

    class Pass(http.server.BaseHTTPRequestHandler):
        def pass_on(self):
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length) if length else None
            sent = {k: v for k, v in self.headers.items() if k.lower() in PASSED_ON}
            upstream = http.client.HTTPConnection(host, timeout=60)
            upstream.request(self.command, self.path.removeprefix(prefix) or "/", body, sent)
            answer = upstream.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the browser has left
                while piece := answer.read1(65536):
                    self.wfile.write(piece)
                    self.wfile.flush()

        do_GET = do_POST = do_HEAD = pass_on

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pass)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize("prefix", ["", "/lab"])
def test_a_run_works_behind_a_proxy_that_changes_the_host(scripted, visit, prefix):
    server = proxy_to(scripted, prefix)
    page = visit(f"http://127.0.0.1:{server.server_port}{prefix}/")
    page.fill(".mi-prompt", "echo: through the proxy")
    page.click(".mi-primary")
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    expect(pane(page, "thinking").locator(".mi-shown .mi-thought-text")).to_have_text("through the proxy")
    page.click("text=random question")  # a function of the server, asked for by Gradio's own script
    expect(page.locator(".mi-prompt")).not_to_have_value("echo: through the proxy")
    server.shutdown()
