"""A visitor over plain HTTP: asks for a run as a browser does, reads it as it grows, and may hang up at any moment."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from gradio_client.utils import apply_diff


class Site:
    """A running page at `url`: what a visitor has to know of it."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.host, self.headers = urlsplit(url).netloc, headers or {}
        self.config = json.loads(self.ask("GET", "/config")[1])
        self.event = next(d for d in self.config["dependencies"] if any(t[1] == "run" for t in d["targets"]))
        self.board = self.event["targets"][0][0]

    def connect(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """One request; (status, body, headers in lower case). A dict is sent as JSON, bytes as they are."""
        return self._ask(method, path, body, headers, http.client.HTTPResponse.read)

    def look(self, path: str) -> tuple[int, bytes]:
        """Status and first bytes of what is at a path: a stream of events goes on for ever where a session of that name is known."""
        return self._ask("GET", path, None, {}, http.client.HTTPResponse.read1)[:2]

    def _ask(
        self,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str],
        read: Callable[[http.client.HTTPResponse], bytes],
    ) -> tuple[int, bytes, dict[str, str]]:
        link = self.connect()
        try:
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            more = {"Content-Type": "application/json"} if isinstance(body, (dict, list)) else {}
            try:
                link.request(method, path, data, {**self.headers, **more, **headers})
            except BrokenPipeError:
                pass  # the server did not want all of it; what it says of that can still be read
            answer = link.getresponse()
            return answer.status, read(answer), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            link.close()

    def server(self, name: str, data: Any, session: str = "s") -> tuple[int, Any]:
        """A server function of the page's component, such as `stop`."""
        body = {"data": data, "component_id": self.board, "fn_name": name, "session_hash": session}
        status, text, _ = self.ask("POST", "/gradio_api/component_server", body)
        return status, json.loads(text) if status == 200 else text

    def join(self, session: str, request: Any) -> tuple[int, Any]:
        """Put a run into Gradio's queue: (status, answer)."""
        body = {
            "data": [],
            "event_data": request,
            "fn_index": self.event["id"],
            "trigger_id": self.board,
            "session_hash": session,
        }
        status, text, _ = self.ask("POST", "/gradio_api/queue/join", body)
        return status, json.loads(text) if text[:1] in b"{[" else text.decode()


class Run:
    """One run of one tab: `states()` yields it as it grows; `drop()` closes the connection in the middle of it."""

    def __init__(self, site: Site, session: str, request: Any) -> None:
        self._link = site.connect()
        asked = {**request, "tab": session} if isinstance(request, dict) else request
        self._link.request(
            "POST", "/mi/run", json.dumps(asked).encode(), {**site.headers, "Content-Type": "application/json"}
        )
        self._answer = self._link.getresponse()
        self.status = self._answer.status

    def states(self) -> Iterator[dict[str, Any]]:
        """Whole states, put together as the page does it."""
        if self.status != 200:
            raise RuntimeError(f"the run was turned away: {self.status} {self.words()!r}")
        state: dict[str, Any] = {"frames": {}}
        try:
            while line := self._answer.readline():
                if line.startswith(b"data: "):
                    state = joined(state, json.loads(line[6:]))
                    yield state
        finally:
            self._link.close()

    def words(self) -> bytes:
        """What the server says that turns it away."""
        return self._answer.read()

    def drop(self) -> None:
        """Hang up."""
        self._answer.close()
        if self._link.sock is not None:
            self._link.sock.close()
        self._link.close()


def joined(state: dict[str, Any], piece: dict[str, Any]) -> dict[str, Any]:
    """The state after a piece, as `assets/web/live.js` makes it."""
    frames = {name: dict(frame) for name, frame in state["frames"].items()}
    for name, changed in piece.get("frames", {}).items():
        frames[name] = {**frames.get(name, {}), **changed}
    for name, more in piece.get("more", {}).items():
        for part, text in more.items():
            frames[name][part] += text
    return {**{k: v for k, v in piece.items() if k != "more"}, "frames": frames}


class QueuedRun:
    """The same through Gradio's queue, as on a Space that lends its GPU."""

    def __init__(self, site: Site, session: str, request: Any) -> None:
        self.site, self.session = site, session
        self.status, self.answer = site.join(session, request)

    def states(self) -> Iterator[dict[str, Any]]:
        """Whole states."""
        link = self.site.connect()
        link.request("GET", f"/gradio_api/queue/data?session_hash={self.session}", headers=self.site.headers)
        stream = link.getresponse()
        if stream.status != 200:
            raise RuntimeError(f"no stream: {stream.status}")
        value: Any = None
        try:
            while line := stream.readline():
                if not line.startswith(b"data: "):
                    continue
                message = json.loads(line[6:])
                if message["msg"] == "close_stream":
                    return
                if message.get("event_id") != self.answer["event_id"]:
                    continue
                if message["msg"] in ("process_generating", "process_completed"):
                    if not message["success"]:
                        raise RuntimeError(f"the run failed: {message['output']}")
                    data = message["output"]["data"]
                    if message["msg"] == "process_generating" and value is not None:
                        value = [apply_diff(old, new) if new else old for old, new in zip(value, data, strict=True)]
                    elif data:
                        value = data
                    yield opened(value[0])
                    if message["msg"] == "process_completed":
                        return
        finally:
            link.close()


def opened(value: dict[str, Any]) -> dict[str, Any]:
    """A state as it travels in Gradio's events, unpacked."""
    state = json.loads(value["run"])
    for name, frame in state["frames"].items():
        frame |= {part: value[part][name] for part in ("thought", "answer")}
    return state


def each(jobs: list[Callable[[], None]]) -> None:
    """Run all at once, and wait."""
    threads = [threading.Thread(target=job, daemon=True) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
