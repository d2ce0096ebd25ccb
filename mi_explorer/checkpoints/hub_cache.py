"""The hub's cache on this machine: what it holds already, filling it, and opening it where the hub cannot be reached.

A parent that was downloaded once opens without a network: its cached revision stands in for the hub, and whoever opens it is told. Nothing
in the cache is trusted more than a folder: a file that leads out of it is refused.
"""

import glob
import logging
import os
import time
from pathlib import Path

from mi_explorer.checkpoints.adapter_settings import CONFIG, WEIGHTS
from mi_explorer.checkpoints.headers import read_header, read_headers, weight_files
from mi_explorer.checkpoints.source import (
    SMALL,
    TEMPLATE_FOLDER,
    CheckpointError,
    CheckpointSource,
    Folder,
    Hub,
    HubUnreachable,
)
from mi_explorer.pairs import HUB_ID, Pair

SMALL_SUFFIXES = (".json", ".jinja", ".txt", ".model", "README.md")  # what a download takes beside the weights
NEEDED = (  # files that change what a pair says: missing although the hub's listing named them, a copy is not whole
    "*config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "*.jinja",
)
REMEMBERED_S = (
    60  # a pair is opened in several steps: all of them read one copy, and the hub is not asked in vain at each
)
log = logging.getLogger(__name__)


class CachedSnapshot(Folder):
    """One revision of a repository in the hub's cache. `note` says why it stands in for the hub; "" where nobody asked the hub."""

    def __init__(self, path: Path, repo: str, note: str = ""):
        super().__init__(path)
        self.label, self.revision, self.note = repo, path.name, note


_stand_ins: dict[tuple[str, str, str, str], tuple[float, CachedSnapshot]] = {}


def open_source(where: str | Path) -> CheckpointSource:
    """A folder if it exists or looks like a path, else a hub id: the hub's repository, or its cached copy where the hub is out of reach."""
    text = str(where)
    if os.path.isdir(text) or text.startswith((".", "/", "~")) or not HUB_ID.fullmatch(text):
        return Folder(os.path.expanduser(text))
    return reachable(Hub(text))


def open_sources(pair: Pair) -> dict[str, CheckpointSource]:
    """Where the files of a pair's parents come from, by role."""
    parents = {"instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    return {role: open_source(where) for role, where in parents.items() if where}


def reachable(hub: Hub) -> Hub | CachedSnapshot:
    """The repository itself, or its cached copy where the hub does not answer or must not be asked.

    Raises `CheckpointError` where the hub refuses, or where there is no whole copy either.
    """
    from huggingface_hub import constants

    key = hub.repo, hub.revision, hub.endpoint or constants.ENDPOINT, str(constants.HF_HUB_CACHE)
    since, remembered = _stand_ins.get(key, (0.0, None))
    if remembered is not None and time.monotonic() - since < REMEMBERED_S and remembered.path.is_dir():
        return remembered
    try:
        hub.files()
    except HubUnreachable as error:
        try:
            copy = cached_snapshot(hub.repo, hub.revision)
        except CheckpointError as why:
            raise CheckpointError(f"{error} Nor can the hub's cache on this machine stand in: {why}") from None
        copy.note = (
            f"{error.why}, so {hub.repo} is read from the hub's cache on this machine, revision {copy.revision[:12]}."
        )
        log.warning(copy.note)
        _stand_ins[key] = time.monotonic(), copy
        return copy
    return hub


def cached_snapshot(repo: str, revision: str = "main") -> CachedSnapshot:
    """The cached copy of a branch, tag or commit, which is whole. `CheckpointError` where there is none, or only a part. No network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(
            repo, revision=revision, local_files_only=True, allow_patterns=list(NEEDED), ignore_patterns=["*/*"]
        )
    except LocalEntryNotFoundError as error:
        part = str(error).partition("is incomplete: ")[2].partition(". ")[0]
        raise CheckpointError(f"its copy is incomplete: {part}." if part else "it holds no copy.") from None
    except (ValueError, OSError) as error:  # no id at all, or a cache that cannot be read
        raise CheckpointError(f"it cannot be read ({type(error).__name__}).") from None
    folder = Path(found)
    check_links(folder, repo)
    copy = CachedSnapshot(folder, repo)
    files = copy.files()
    if CONFIG in files and WEIGHTS in files:
        read_header(copy, WEIGHTS, files[WEIGHTS])
    elif "config.json" in files:
        read_headers(copy)
    else:
        raise CheckpointError(f"the copy of {repo} is incomplete: there is no config.json.")
    return copy


def cached_checkpoint(repo: str) -> Path | None:
    """The folder of the hub's cache that holds a whole checkpoint of this id; None where there is none, or only a part of one."""
    try:
        return cached_snapshot(repo).path
    except CheckpointError:
        return None


def check_links(folder: Path, repo: str) -> None:
    """`CheckpointError` if a snapshot or a file of it lies outside the hub's cache: its links lead to blobs within, and to nothing else.

    A repository's folder of the cache may itself be a link, for those who keep large ones on another disk.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    inside = [os.path.realpath(p) + os.sep for p in (cache, cache / f"models--{repo.replace('/', '--')}")]
    for path in [folder, *folder.iterdir(), *(folder / TEMPLATE_FOLDER).glob("*")]:
        if not os.path.realpath(path).startswith(tuple(inside)):
            raise CheckpointError(
                f"{path.name[:80]} of the cached {repo} leads out of the hub's cache, so it is not read. Delete that copy and "
                "download it again."
            )


def local_folder(source: CheckpointSource) -> Folder:
    """The folder with a source's files, with the source's label; those of the hub are downloaded into its cache first."""
    if isinstance(source, Folder):
        return source
    assert isinstance(source, Hub)
    folder = Folder(download(source))
    folder.label = source.label
    return folder


def download(source: Hub) -> Path:
    """The weight files that are loaded and the small files, in the hub cache: no code, no pickle, no second copy of the weights.

    Raises `CheckpointError` if the hub does not deliver.
    """
    from huggingface_hub import snapshot_download

    files = source.files()
    weights = [n for n in files if n.startswith(WEIGHTS)] or weight_files(source)[1]
    small = [n for n, size in files.items() if n.endswith(SMALL_SUFFIXES) and size <= SMALL]
    try:
        folder = Path(
            snapshot_download(
                source.repo,
                revision=source.revision,
                allow_patterns=[glob.escape(name) for name in sorted({*weights, *small})],
                ignore_patterns=["*/*", "consolidated*"],  # a second copy in the publisher's own format
                endpoint=source.endpoint,
            )
        )
    except Exception as error:
        raise CheckpointError(
            f"{source.label}: cannot be downloaded ({type(error).__name__}). Check the id, the connection and, for "
            "a gated model, your login; or give a local folder."
        ) from None
    check_links(folder, source.repo)
    return folder
