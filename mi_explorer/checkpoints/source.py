"""Where checkpoint files come from: a folder, or a hub repository read by ranges. Small reads only, never a whole weight file.

Both answer the same three questions (which files, one small file, one span of a file), so that everything that can be told
from configs and headers is told before any download.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from mi_explorer.errors import UserError
from mi_explorer.pairs import HUB_ID

SMALL = 64 << 20  # bytes; no config, index or tokenizer file is larger, and a weight file is never read whole here
TEMPLATE_FOLDER = "additional_chat_templates"
READ_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")  # files that some reader of a checkpoint opens

Answer = TypeVar("Answer")


class CheckpointError(UserError):
    """A checkpoint that cannot be used: missing, truncated, malformed, or changed while it was read."""


class HubUnreachable(CheckpointError):
    """The hub gave no answer: no network, no such host, a timeout, a fault of its own, or it must not be asked. `why` in a few words."""

    def __init__(self, why: str, message: str):
        super().__init__(message)
        self.why = why


class CheckpointSource(Protocol):
    """Files of one checkpoint. `label` is what messages call it."""

    label: str

    def files(self) -> dict[str, int]:
        """Plain file name → size in bytes (top level only)."""
        ...

    def read(self, name: str) -> bytes:
        """A small file, whole. Raises `CheckpointError` if it is missing or larger than 64 MB."""
        ...

    def span(self, name: str, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of a file; `CheckpointError` if the file ends before `stop`."""
        ...


class Folder:
    """A checkpoint folder on disk. Only files directly inside it are seen."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.label = str(path)
        if not self.label or not os.path.isdir(self.path):
            raise CheckpointError(
                f"There is no checkpoint folder {self.label!r}. Check the path, or give a hub id such as "
                "'Qwen/Qwen3-4B-Instruct-2507'."
            )

    def files(self) -> dict[str, int]:
        found: dict[str, int] = {}
        try:
            for entry in os.scandir(self.path):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # a link to nowhere: as if it were not there
                    continue
                except OSError as error:
                    raise CheckpointError(
                        f"{self.label}: {entry.name[:80]} cannot be read ({error.strerror})."
                    ) from None
                if stat.S_ISREG(status.st_mode):
                    found[entry.name] = status.st_size
                elif entry.name.endswith(READ_SUFFIXES):
                    raise CheckpointError(  # a pipe would block whoever opens it, a device never ends
                        f"{self.label}: {entry.name[:80]} is no regular file; nothing is read there. Replace it."
                    )
        except OSError as error:
            raise CheckpointError(f"{self.label}: cannot list the folder ({error.strerror}).") from None
        return found

    def state(self) -> tuple[tuple[str, int, int, int], ...]:
        """(name, size, time of change in ns, inode) of every file that a reader opens: equal as long as nothing changed."""
        found = []
        for path in [*self.path.iterdir(), *(self.path / TEMPLATE_FOLDER).glob("*.jinja")]:
            if path.name.endswith(READ_SUFFIXES):
                try:
                    status = path.stat()
                except OSError:  # a link to nowhere
                    continue
                found.append((str(path.relative_to(self.path)), status.st_size, status.st_mtime_ns, status.st_ino))
        return tuple(sorted(found))

    def file(self, name: str) -> Path:
        """The path of a plain file name inside this folder; anything that would leave it is refused."""
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise CheckpointError(
                f"{self.label}: {name[:80]!r} is not a plain file name; a checkpoint may not point outside its folder."
            )
        return self.path / name

    def read(self, name: str) -> bytes:
        try:
            with open(os.open(self.file(name), os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise CheckpointError(f"{self.label}: {name} is no regular file; it is not read.")
                if status.st_size > SMALL:
                    raise CheckpointError(
                        f"{self.label}: {name} is larger than {SMALL >> 20} MB; that is not a config or tokenizer file."
                    )
                return file.read(SMALL)
        except OSError as error:
            raise CheckpointError(f"{self.label}: cannot read {name} ({error.strerror}).") from None

    def span(self, name: str, start: int, stop: int) -> bytes:
        try:
            with open(self.file(name), "rb") as file:
                file.seek(start)
                data = file.read(stop - start)
        except OSError as error:
            raise CheckpointError(f"{self.label}: cannot read {name} ({error.strerror}).") from None
        if len(data) != stop - start:
            raise CheckpointError(
                f"{self.label}: {name} ends at byte {start + len(data)}, but its header needs {stop}. "
                "The file is truncated; download it again."
            )
        return data


class Hub:
    """A hub repository, read by its API and range requests (through `huggingface_hub`'s session, so that a token is used)."""

    def __init__(self, repo: str, revision: str = "main", endpoint: str | None = None):
        if not HUB_ID.fullmatch(repo):
            raise CheckpointError(f"{repo[:120]!r} is neither a folder nor a hub id like 'owner/name'.")
        self.repo, self.revision, self.endpoint = repo, revision, endpoint
        self.label = repo
        self._files: dict[str, int] | None = None

    def files(self) -> dict[str, int]:
        if self._files is None:
            from huggingface_hub import constants, get_session
            from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

            if constants.HF_HUB_OFFLINE:
                raise HubUnreachable(
                    "HF_HUB_OFFLINE is set",
                    f"{self.label}: the hub is not asked, as HF_HUB_OFFLINE is set. Unset it, or give a local folder.",
                )

            def listing() -> dict[str, int]:  # one request; the client's own listing retries for half a minute
                url = f"{self.endpoint or constants.ENDPOINT}/api/models/{self.repo}/tree/{self.revision}"
                answer = get_session().get(url, headers=build_hf_headers(), timeout=constants.HF_HUB_ETAG_TIMEOUT)
                answer.raise_for_status()
                return {
                    str(item["path"]): int(item["size"])
                    for item in answer.json()
                    if item["type"] == "file" and "/" not in item["path"]
                }

            self._files = self._ask(listing)
        return self._files

    def read(self, name: str) -> bytes:
        size = self.files().get(name)
        if size is None or size > SMALL:
            why = "there is no such file" if size is None else f"it is larger than {SMALL >> 20} MB"
            raise CheckpointError(f"{self.label}: cannot read {name}: {why}.")
        return self.span(name, 0, size) if size else b""

    def span(self, name: str, start: int, stop: int) -> bytes:
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        def fetch() -> bytes:
            url = hf_hub_url(self.repo, name, revision=self.revision, endpoint=self.endpoint)
            headers = {**build_hf_headers(), "Range": f"bytes={start}-{stop - 1}"}
            answer = get_session().get(url, headers=headers, timeout=30)
            answer.raise_for_status()
            if answer.status_code != 206 and not (start == 0 and len(answer.content) == stop):
                raise CheckpointError(
                    f"{self.label}: the hub ignored a range request for {name}; weights are not downloaded to be inspected."
                )
            return answer.content

        data = self._ask(fetch)
        if len(data) != stop - start:
            raise CheckpointError(
                f"{self.label}: {name} is shorter than its header says ({len(data)} of {stop - start} bytes)."
            )
        return data

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        """The answer to a hub question; whatever the network does becomes one clear message."""
        try:
            return question()
        except CheckpointError:
            raise
        except Exception as error:  # the client's exceptions differ between its versions
            text = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:200]
            said = (
                f"{self.label}: the hub did not answer ({text}). Check the id and the connection; for a gated model, log in "
                "and accept its licence; or give a local folder."
            )
            answer = getattr(error, "response", None)  # of an error status; without one nothing of the hub came back
            if answer is None or answer.status_code >= 500:
                raise HubUnreachable(f"The hub could not be reached ({text[:120]})", said) from None
            raise CheckpointError(said) from None
