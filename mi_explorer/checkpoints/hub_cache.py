"""What lies in the hub's cache on this machine already. Asks nothing of the network."""

from pathlib import Path

from mi_explorer.checkpoints.headers import read_headers
from mi_explorer.checkpoints.source import CheckpointError, Folder


def cached_checkpoint(repo: str) -> Path | None:
    """The folder of the hub's cache that holds a whole checkpoint of this id; None where there is none, or only a part of one."""
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(repo, "config.json")
        if not isinstance(config, str):
            return None
        folder = Path(config).parent
        read_headers(Folder(folder))
    except (CheckpointError, ValueError, OSError):  # half a download, or no id at all
        return None
    return folder
