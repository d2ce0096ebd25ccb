"""Parcels: files that are made in the background for a visitor, with progress, a stop, a link of their own, and an end.

Work goes on when the tab is closed; whoever holds the token (128 random bits) can look, stop and fetch. What fails or is
stopped leaves no file. Finished files go after `KEEP` seconds, or when newer ones need the room.
"""

import logging
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mi_explorer.errors import UserError

log = logging.getLogger(__name__)
FILES_ROUTE = "/mi/take"
KEEP_S = 3600.0  # seconds that a finished file stays
MAX_STORED_BYTES = 2 << 30  # bytes of finished files that stay at most
MAX_OPEN_JOBS = 12  # parcels that wait or are being made at most
MAX_RUNNING_JOBS = 2
ReportProgress = Callable[[str, int, int], None]
"""What is being done, how much of it, of how much in all (0: unknown). Raises `Stopped` when nobody wants it any more."""


class FileJobError(UserError):
    """A parcel that cannot be made or is not there (any more)."""


class FileJobStopped(Exception):
    """The visitor stopped it."""


@dataclass(frozen=True)
class FileResult:
    """The end of the work: words for the visitor and, for a download, a file inside the parcel's folder."""

    words: str
    file: Path | None = None


@dataclass
class FileJob:
    """One piece of work. `changed` is its last sign of life."""

    state: str = "waiting"
    text: str = ""
    done: int = 0
    total: int = 0
    file: Path | None = None
    bytes: int = 0
    changed: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)
    folder: Path | None = None


class FileJobs:
    """The parcels of one page. Threads are daemons: a server that ends does not wait for them."""

    def __init__(self, keep: float = KEEP_S, room: int = MAX_STORED_BYTES) -> None:
        self.keep, self.room = keep, room
        self._parcels: dict[str, FileJob] = {}
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(MAX_RUNNING_JOBS)
        self._home: tempfile.TemporaryDirectory[str] | None = None

    def start(self, make: Callable[[Path, ReportProgress], FileResult]) -> str:
        """Begin `make(folder, tell)` when there is a turn; returns the token. `folder` is a new one of the parcel's own."""
        self._tidy()
        token, parcel = secrets.token_hex(16), FileJob()
        with self._lock:
            if sum(p.state in ("waiting", "running") for p in self._parcels.values()) >= MAX_OPEN_JOBS:
                raise FileJobError("Many files are being made already. Try again in a moment.")
            if self._home is None:
                self._home = tempfile.TemporaryDirectory(prefix="mi-explorer-", ignore_cleanup_errors=True)
            parcel.folder = Path(self._home.name) / token
            self._parcels[token] = parcel
        threading.Thread(target=self._work, args=(parcel, make), daemon=True, name="parcel").start()
        return token

    def _work(self, parcel: FileJob, make: Callable[[Path, ReportProgress], FileResult]) -> None:
        def tell(text: str, done: int = 0, total: int = 0) -> None:
            if parcel.stop.is_set():
                raise FileJobStopped
            parcel.text, parcel.done, parcel.total, parcel.changed = text, done, total, time.monotonic()

        folder = parcel.folder or Path()
        state, words, made = "failed", "", None
        with self._turn:
            try:
                folder.mkdir()
                parcel.state = "running"
                tell("Beginning")
                made = make(folder, tell)
                state, words = "done", made.words
            except FileJobStopped:
                state, words = "stopped", "Stopped; nothing was kept."
            except UserError as error:
                words = str(error)
            except Exception as error:
                log.exception("A file could not be made")
                words = f"Something broke on the server ({type(error).__name__}). Nothing was kept; its log says more."
            if made is None or made.file is None:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                parcel.file, parcel.bytes = made.file, made.file.stat().st_size
            parcel.text, parcel.changed, parcel.state = words, time.monotonic(), state
        self._tidy()

    def look(self, token: Any) -> dict[str, Any]:
        """`{"state": waiting | running | done | failed | stopped | gone, "text", "done", "total", "url", "name", "bytes"}`."""
        parcel = self._parcels.get(str(token))
        if parcel is None:
            return {"state": "gone", "text": "It is not there any more. Make it again."}
        file = parcel.file
        there = file is not None and parcel.state == "done"
        return {
            "state": parcel.state,
            "text": parcel.text if parcel.state != "waiting" else "Waiting for its turn",
            "done": parcel.done,
            "total": parcel.total,
            "url": f"{FILES_ROUTE}/{token}/{quote(file.name)}" if there and file else "",
            "name": file.name if there and file else "",
            "bytes": parcel.bytes,
        }

    def stop(self, token: Any) -> bool:
        """Ask a parcel to end; False if it is over or unknown."""
        parcel = self._parcels.get(str(token))
        if parcel is None or parcel.state not in ("waiting", "running"):
            return False
        parcel.stop.set()
        return True

    def file(self, token: str, name: str) -> Path:
        """The finished file. Raises `ParcelError` where there is none of this token and name."""
        parcel = self._parcels.get(token)
        if (
            parcel is None
            or parcel.state != "done"
            or parcel.file is None
            or parcel.file.name != name
            or not parcel.file.is_file()
        ):
            raise FileJobError("This file is not there any more. Make it again.")
        return parcel.file

    def _tidy(self) -> None:
        """Drop what is over and old, and the oldest files above the room."""
        with self._lock:
            over = sorted(
                ((p.changed, t, p) for t, p in self._parcels.items() if p.state not in ("waiting", "running")),
                key=lambda x: x[0],
            )
            left = sum(p.bytes for *_, p in over)
            for place, (changed, token, parcel) in enumerate(over, 1):
                if time.monotonic() - changed > self.keep or (left > self.room and place < len(over)):
                    left -= parcel.bytes
                    del self._parcels[token]
                    if parcel.folder:
                        shutil.rmtree(parcel.folder, ignore_errors=True)

    def close(self) -> None:
        """Stop everything and remove all files."""
        for token in list(self._parcels):
            self.stop(token)
        with self._lock:
            if self._home is not None:
                self._home.cleanup()
                self._home = None

    def route(self) -> Any:
        """The route that hands finished files out, always as a download."""
        from starlette.requests import Request
        from starlette.responses import FileResponse, PlainTextResponse, Response
        from starlette.routing import Route

        def send(request: Request) -> Response:
            try:
                path = self.file(request.path_params["token"], request.path_params["name"])
            except FileJobError as error:
                return PlainTextResponse(str(error), 404)
            return FileResponse(
                path, media_type="application/octet-stream", filename=path.name, headers={"cache-control": "no-store"}
            )

        return Route(FILES_ROUTE + "/{token}/{name}", send)
