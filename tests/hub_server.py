"""A stand-in for the hub, over folders: the routes that listing, reading by ranges and downloading use. `HubServer` can be out of order."""

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

SHA = "0123456789abcdef0123456789abcdef01234567"  # the one commit of every repository


class HubServer:
    """Serves `root`/OWNER/NAME at `endpoint` until it is closed. `asked` holds every request, `spans` every (file, first, stop) served.

    `fault`: "" works, "broken" answers 503, "silent" answers after `silence_s`, "portal" answers every question with a page of HTML.
    """

    def __init__(self, root: Path):
        self.root, self.fault, self.silence_s = root, "", 30.0
        self.asked: list[str] = []
        self.spans: list[tuple[str, int, int]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": self}))
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """From now on nobody listens at `endpoint`."""
        self.server.shutdown()
        self.server.server_close()


class HubHandler(BaseHTTPRequestHandler):
    """One request."""

    hub: HubServer

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.hub.asked.append(f"{self.command} {self.path}")
        if self.hub.fault == "silent":
            time.sleep(self.hub.silence_s)
        if self.hub.fault == "broken":
            return self.answer(503, b'{"error": "Service unavailable"}')
        if self.hub.fault == "portal":
            return self.answer(200, b"<html>Welcome aboard. Please accept the terms.</html>")
        path = urlparse(self.path).path
        if match := re.fullmatch(rf"/api/models/([^/]+/[^/]+)/(tree|revision)/(?:main|{SHA})", path):
            return self.listing(match[1], match[2])
        match = re.fullmatch(rf"/([^/]+/[^/]+)/resolve/(?:main|{SHA})/(.+)", path)
        file = match and self.hub.root / match[1] / match[2]
        if not file or not file.is_file():
            return self.answer(404, b'{"error": "Entry not found"}', **{"X-Error-Code": "EntryNotFound"})
        return self.content(file)

    def listing(self, repo: str, kind: str):
        folder = self.hub.root / repo
        if not folder.is_dir():
            return self.answer(404, b'{"error": "Repository not found"}', **{"X-Error-Code": "RepoNotFound"})
        files = sorted(f for f in folder.iterdir() if f.is_file())
        if kind == "revision":
            return self.answer(200, json.dumps({"id": repo, "sha": SHA, "siblings": []}).encode())
        content = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag(f)} for f in files]
        return self.answer(200, json.dumps(content).encode())

    def content(self, file: Path):
        data, about = file.read_bytes(), {"ETag": f'"{etag(file)}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if span is None:
            return self.answer(200, data, **about)
        first, stop = int(span[1]), int(span[2]) + 1
        self.hub.spans.append((file.name, first, stop))
        return self.answer(206, data[first:stop], **about)

    def answer(self, status: int, data: bytes, **headers: str):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args):
        """Quiet."""


def etag(file: Path) -> str:
    """What the hub calls this content."""
    return hashlib.sha1(file.read_bytes()).hexdigest()


def point_to(monkeypatch, endpoint: str, cache: Path) -> None:
    """Make this the hub, and `cache` its cache, as HF_ENDPOINT and HF_HUB_CACHE do for a new process."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
