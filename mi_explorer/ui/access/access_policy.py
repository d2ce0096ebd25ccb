"""What a name from outside may reach: pairs, hub, folders. The one place that turns a visitor's text into a path.

A path is judged by where it really lies, links followed, before anything looks whether it exists: an answer tells nothing
about files outside. Pages and endpoints hold a policy; the command line and the library need none.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.pairs import HUB_ID, Pair, get_pair, list_pairs
from mi_explorer.paths import ASSETS
from mi_explorer.tasks.registry import names, needs_hub

ANYWHERE = "*"
PAIR_POLICIES = (
    "fixed",
    "presets",
    "any",
)  # only the pair it started with; those of pairs.yaml; also folders and hub ids
TASK_FILE_ENDINGS = (".jsonl", ".csv", ".json", ".tsv", ".parquet")
MAX_CHECKPOINT_FILES = 10_000  # files of a checkpoint folder that are looked at


class AccessError(UserError):
    """Something outside asked for what the operator of this page does not allow."""


@dataclass(frozen=True)
class AccessPolicy:
    """What visitors may name. `pairs`: a policy, or names of presets with commas; `folders`: `("*",)` is anywhere.

    `first_pair` and `first_task` are what the page started with: the operator chose them, so they are always allowed.
    """

    pairs: str = "any"
    hub: bool = True
    folders: tuple[str, ...] = (ANYWHERE,)
    first_pair: str = ""
    first_task: str = ""

    @property
    def policy(self) -> str:
        """The policy as the page knows it; a list of names is a choice of presets."""
        return self.pairs if self.pairs in PAIR_POLICIES else "presets"

    def offered(self) -> tuple[Pair, ...]:
        """The presets that visitors may choose, `first_pair` left out."""
        if self.pairs == "fixed":
            return ()
        names = None if self.pairs in PAIR_POLICIES else set(self.pairs.split(","))
        return tuple(
            p
            for p in list_pairs()
            if p.name != self.first_pair and (names is None or p.name in names) and (self.hub or p.local)
        )

    def offered_tasks(self) -> list[str]:
        """The known tasks that visitors may ask."""
        return [name for name in names() if self.hub or not needs_hub(name)]

    def pair(self, spec: object) -> Pair:
        """The pair of a visitor's name or spec. Raises `UserError` for one that may not be opened or cannot be meant."""
        text = str(spec).strip()[:1000]
        if text == self.first_pair:
            return get_pair(text)
        if self.policy != "any" and text not in {p.name for p in self.offered()}:
            allowed = {"fixed": "only the loaded pair", "presets": "presets only"}[self.policy]
            if text in {p.name for p in list_pairs()} and self.pairs == "presets":
                allowed = "nothing from the hub"
            raise AccessError(f"This page does not open {text[:80]!r}: its operator allows {allowed}.")
        pair = get_pair(text)
        for part in filter(None, (pair.instruct, pair.thinking, pair.base)):
            self.checkpoint(part)
        return pair

    def checkpoint(self, where: str) -> None:
        """Raise unless this parent may be opened: a folder among the allowed ones (its links too), or a hub id where those may be."""
        text = os.path.expanduser(str(where))
        looks_local = (
            text.startswith((".", "/", "~", "\\")) or re.match(r"[A-Za-z]:[\\/]", text) or not HUB_ID.fullmatch(text)
        )
        if looks_local or os.path.isdir(text):
            self._links(self.path(text, "a model"))
        elif not self.hub:
            raise AccessError(f"This page does not open {text[:80]!r}: its operator allows nothing from the hub.")

    def task(self, name: object) -> str:
        """A task's name that visitors may give: files only from allowed folders, hub data only where the hub is allowed."""
        text = str(name).strip()
        if text and text == self.first_task:
            return text
        head, at, tail = text.partition("@")
        if at:
            return f"{head}@{self.path(tail, 'a task')}"
        if text.lower().endswith(TASK_FILE_ENDINGS) or "/" in text or "\\" in text:
            return str(self.path(text, "a task"))
        if not self.hub and needs_hub(text):
            raise AccessError(
                f"This page does not fetch the task {text[:80]!r}: its operator allows nothing from the hub."
            )
        return text

    def path(self, text: object, what: str = "a file") -> Path:
        """The real path (links followed) of a visitor's text, inside an allowed folder. Raises `AccessError` otherwise.

        The shipped assets may always be read; use `target` for what is written.
        """
        return self._inside(text, what, (str(ASSETS.resolve()),))

    def target(self, text: object, what: str = "an export") -> Path:
        """The real path into which a visitor may have something written. Raises `AccessError` otherwise."""
        return self._inside(text, what, ())

    def _inside(self, text: object, what: str, more: Sequence[str]) -> Path:
        raw = str(text)
        if "\x00" in raw or len(raw) > 4000 or not raw.strip():
            raise AccessError(f"This is not the path of {what}: {raw[:40]!r}.")
        real = Path(os.path.realpath(os.path.expanduser(raw)))
        if ANYWHERE not in self.folders and not any(
            real == Path(f) or Path(f) in real.parents for f in (*self.folders, *more)
        ):
            why = (
                "outside the folders that its operator allows" if self.folders else "and its operator allows no folders"
            )
            raise AccessError(f"This page does not open {raw[:120]!r} as {what}: it is a path {why}.")
        return real

    def _links(self, folder: Path) -> None:
        """Raise if a file of a checkpoint folder is a link that leaves the allowed folders (the hub's own cache may be pointed into)."""
        if ANYWHERE in self.folders or not os.path.isdir(folder):
            return
        cache = os.path.realpath(_hub_cache())
        for place, entry in enumerate(os.scandir(folder)):
            if place >= MAX_CHECKPOINT_FILES:
                raise AccessError(
                    f"{folder.name!r} holds more than {MAX_CHECKPOINT_FILES:,} files; that is no checkpoint."
                )
            real = os.path.realpath(entry.path)
            if entry.is_symlink() and not real.startswith(cache + os.sep):
                self.path(real, "a part of a model")


def _hub_cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE
