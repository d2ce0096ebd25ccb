"""Behind a proxy that asks the server under its own address, as nginx does by default, the page works all the same."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect


def handler_to(upstream):
    class Proxy(BaseHTTPRequestHandler):
        def forward(self):
            link = http.client.HTTPConnection(upstream, timeout=60)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            link.request(self.command, self.path, body, {**headers, "Host": upstream, "Connection": "close"})
            answer = link.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                while piece := answer.read1():
                    self.wfile.write(piece)
            except OSError:  # the browser has left
                pass
            link.close()
            self.close_connection = True

        do_GET = do_POST = do_HEAD = forward

        def log_message(self, *_):
            pass

    return Proxy


@pytest.fixture
def behind(scripted):
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler_to(urlsplit(scripted).netloc))
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_port}/"
    proxy.shutdown()


def test_a_run_behind_a_proxy_that_changes_the_host(behind, scripted, visit):
    page = visit(behind)
    straight = []
    page.on("request", lambda request: straight.append(request.url) if request.url.startswith(scripted) else None)
    page.fill(".mi-prompt", "echo: behind a proxy")
    page.click(".mi-primary")
    expect(page.locator(".mi-status")).to_contain_text("11 traces in")
    page.click("button[role=tab]:has-text('Take away')")
    expect(page.locator("#takeaway")).to_contain_text("pair")
    assert straight == []
