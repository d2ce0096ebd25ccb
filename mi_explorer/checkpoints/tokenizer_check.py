"""Whether a checkpoint's tokenizer files make a tokenizer: built once as a run would build it, and used on a few characters.

So a field that breaks a tokenizer is found by preflight, whatever the field is. Small files only, from a folder or a hub.
"""

import json
import tempfile
from functools import lru_cache
from pathlib import Path

from mi_explorer.checkpoints.model_config import check_numbers
from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource, Folder
from mi_explorer.errors import UserError
from mi_explorer.prompts.token_codec import TOKENIZER_FILES, load_tokenizer

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")
PROBE = "What is 3 + 4?"


def check_tokenizer(source: CheckpointSource) -> None:
    """`CheckpointError` where the tokenizer files of a checkpoint do not work. Nothing is checked where there are none."""
    files = source.files()
    # Where the one file is there that holds everything, the older ones are not asked from a hub.
    tables = [name for name in TOKENIZER_FILES if name in files][:1] + ["merges.txt"] * ("tokenizer.json" not in files)
    if not any(name in TOKENIZER_FILES for name in tables):
        return
    if "config.json" in files:
        _check_config(source)
    if isinstance(source, Folder):
        fault = _folder_fault(str(source.path), source.state())
    else:
        names = [name for name in (*tables, *SETTINGS) if name in files]
        fault = _hub_fault(tuple((name, source.read(name)) for name in names))
    if fault:
        raise CheckpointError(f"{source.label}: {fault}")


def _check_config(source: CheckpointSource) -> None:
    """`CheckpointError` for numbers in config.json that would keep the library busy: it reads that file for a tokenizer, too."""
    try:
        check_numbers(json.loads(source.read("config.json")))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source.label}: config.json describes no model: {str(error)[:200]}.") from None


@lru_cache(maxsize=16)
def _folder_fault(folder: str, state: tuple[tuple[str, int, int, int], ...]) -> str:
    """Why the tokenizer of a folder does not work; "" where it does. Kept, as a pair is read more than once while it is opened."""
    try:
        tokenizer = load_tokenizer(folder)
    except UserError as error:
        return str(error)
    try:
        ids = tokenizer.encode(PROBE, add_special_tokens=False)
        tokenizer.decode(ids, skip_special_tokens=False)
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare exceptions; any of them would end a run
        return f"the tokenizer does not read text ({str(error)[:200]}). Copy its files from the model's publisher."
    return ""


@lru_cache(maxsize=4)
def _hub_fault(files: tuple[tuple[str, bytes], ...]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files:
            (Path(folder) / name).write_bytes(content)
        return _folder_fault(folder, ()).replace(folder, "this checkpoint")
