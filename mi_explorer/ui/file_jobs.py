"""Files that are made in the background for a visitor, with progress, a stop, a link of their own, and an end.

Work goes on when the tab is closed; whoever holds the token (128 random bits) can look, stop and fetch. What fails or is
stopped leaves no file. Finished files are removed after `KEEP_S` seconds, or when newer ones need the room.
"""

import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from mi_explorer.background import BackgroundTasks, Step
from mi_explorer.errors import UserError
from mi_explorer.untyped import Json, JsonObject

FILES_ROUTE = "/mi/take"
KEEP_S = 3600.0
MAX_STORED_BYTES = 2 << 30  # of finished files
MAX_OPEN_JOBS = 12  # that wait or run
MAX_RUNNING_JOBS = 2
ReportProgress = Callable[[str, int, int], None]
"""What is being done, how much of it, of how much in all (0: unknown). Raises `TaskStopped` when nobody wants it any more."""


class FileJobError(UserError):
    """A file that cannot be made or is not there (any more)."""


@dataclass(frozen=True)
class FileResult:
    """The end of the work: words for the visitor and, for a download, a file inside the job's folder."""

    text: str
    file: Path | None = None
    bytes: int = 0
    ended: float = 0.0  # time.monotonic()


class FileJobs:
    """The file jobs of one page."""

    def __init__(self, keep_s: float = KEEP_S, max_bytes: int = MAX_STORED_BYTES) -> None:
        self.keep_s, self.max_bytes = keep_s, max_bytes
        self._tasks: BackgroundTasks[Step, FileResult] = BackgroundTasks(MAX_RUNNING_JOBS)
        self._lock = threading.Lock()
        self._home: tempfile.TemporaryDirectory[str] | None = None

    def start(self, make: Callable[[Path, ReportProgress], FileResult]) -> str:
        """Begin `make(folder, report)` when there is a turn; returns the token. `folder` is a new one of the job's own."""
        self._remove_old()
        token = secrets.token_hex(16)

        def work(publish: Callable[[Step], None]) -> FileResult:
            folder = self._folder(token)
            folder.mkdir()
            made = None

            def report(text: str, done: int = 0, total: int = 0) -> None:
                publish(Step(text, done, total))

            try:
                publish(Step("Beginning"))
                made = make(folder, report)
            finally:
                if made is None or made.file is None:
                    shutil.rmtree(folder, ignore_errors=True)
            size = made.file.stat().st_size if made.file else 0
            return FileResult(made.text, made.file, size, time.monotonic())

        with self._lock:
            if sum(not task.state.ended for _, task in self._tasks.items()) >= MAX_OPEN_JOBS:
                raise FileJobError("Many files are being made already. Try again in a moment.")
            self._tasks.start(token, "file job", work)
        return token

    def _folder(self, token: str) -> Path:
        with self._lock:
            if self._home is None:
                self._home = tempfile.TemporaryDirectory(prefix="mi-explorer-", ignore_cleanup_errors=True)
            return Path(self._home.name) / token

    def look(self, token: Json) -> JsonObject:
        """`{"state": waiting | running | done | failed | stopped | gone, "text", "done", "total", "url", "name", "bytes"}`."""
        self._remove_old()
        task = self._tasks.get(str(token))
        if task is None:
            return {"state": "gone", "text": "It is not there any more. Make it again."}
        state, step = task.state, task.state.progress or Step()
        result = state.result or FileResult("")
        texts = {
            "waiting": "Waiting for its turn",
            "running": step.text,
            "stopped": "Stopped; nothing was kept.",
            "failed": state.error,
        }
        name = result.file.name if result.file else ""
        url = f"{FILES_ROUTE}/{token}/{quote(name)}" if name else ""
        text = texts.get(state.status, result.text)
        return {
            "state": state.status, "text": text, "done": step.done, "total": step.total, "url": url, "name": name,
            "bytes": result.bytes,
        }  # fmt: skip

    def stop(self, token: Json) -> bool:
        """Ask a job to end; False if it is over or unknown."""
        task = self._tasks.get(str(token))
        if task is None or task.state.ended:
            return False
        task.stop()
        return True

    def file(self, token: str, name: str) -> Path:
        """The finished file. Raises `FileJobError` where there is none of this token and name."""
        task = self._tasks.get(token)
        file = task.state.result.file if task is not None and task.state.result else None
        if file is None or file.name != name or not file.is_file():
            raise FileJobError("This file is not there any more. Make it again.")
        return file

    def _remove_old(self) -> None:
        """Remove finished files that are old, and the oldest ones above the room; the latest always stays."""
        over = [(task.state.result, token) for token, task in self._tasks.items() if task.state.result]
        over.sort(key=lambda x: x[0].ended)
        left = sum(result.bytes for result, _ in over)
        for place, (result, token) in enumerate(over, 1):
            if time.monotonic() - result.ended > self.keep_s or (left > self.max_bytes and place < len(over)):
                left -= result.bytes
                self._tasks.forget(token)
                shutil.rmtree(self._folder(token), ignore_errors=True)

    def close(self) -> None:
        """Stop everything and remove all files."""
        self._tasks.stop_all()
        self._tasks = BackgroundTasks(MAX_RUNNING_JOBS)
        with self._lock:
            if self._home is not None:
                self._home.cleanup()
                self._home = None

    def route(self) -> Route:
        """The route that hands finished files out, always as a download."""

        def send(request: Request) -> Response:
            try:
                path = self.file(request.path_params["token"], request.path_params["name"])
            except FileJobError as error:
                return PlainTextResponse(str(error), 404)
            headers = {"cache-control": "no-store"}
            return FileResponse(path, media_type="application/octet-stream", filename=path.name, headers=headers)

        return Route(FILES_ROUTE + "/{token}/{name}", send)
