"""Short names of pairs, as people read them: a preset's name, or the last parts of folders and hub ids, never a whole path.

`/data/run7/instruct|/data/run7/thinking` is shown as "instruct | thinking". Names that stand side by side are made distinct: folders
get more of their last parts, and what else tells two pairs apart (the base, settings) is added.
"""

import re
from collections.abc import Iterable
from functools import partial
from urllib.parse import unquote_plus

from mi_explorer.pairs import read_presets

MOST_PARTS = 4  # of a path, beyond which no name is made longer
SETTINGS_LENGTH = 60  # characters of the settings of a pair that a name may have
SNAPSHOT = re.compile(r"models--[^/]+?--([^/]+)/snapshots/[0-9a-f]{6,}$")  # a folder of the hub's cache


def pair_name(spec: str) -> str:
    """The short name of a pair that stands alone."""
    return _name(str(spec), 1, whole=False)


def short_names(specs: Iterable[str]) -> dict[str, str]:
    """Short names of pairs that are shown together, distinct as far as `MOST_PARTS` parts of a path make them so."""
    names = {str(spec): "" for spec in specs}
    longer = [partial(_name, parts=n, whole=whole) for n in range(1, MOST_PARTS + 1) for whole in (False, True)]
    for name in longer:
        equal = {spec for spec, short in names.items() if not short or list(names.values()).count(short) > 1}
        if not equal:
            break
        names |= {spec: name(spec) for spec in equal}
    return names


def parent_names(parents: Iterable[str], least: int = 1) -> dict[str, str]:
    """Short names of the parents of one pair, of `least` parts of their paths or so many more that they are distinct."""
    known = list(dict.fromkeys(parents))
    for parts in range(least, MOST_PARTS + 1):
        names = {parent: _tail(parent, parts) for parent in known}
        if len(set(names.values())) == len(known):
            break
    return names


def _name(spec: str, parts: int, whole: bool) -> str:
    """`parts` of each parent's path; `whole`: with the base too."""
    named, _, settings = spec.strip().partition("?")
    about = f" ({unquote_plus(settings).replace('&', ', ')[:SETTINGS_LENGTH]})" if settings else ""
    if named.removesuffix("@base") in read_presets():
        return named + about
    suffix = "@base" if named.endswith("@base") else ""
    parents = [part.strip() for part in named.removesuffix("@base").split("|")]
    shown = parents if whole else parents[:2]
    names = parent_names(shown, parts)
    return " | ".join(names[parent] for parent in shown) + suffix + about


def _tail(parent: str, parts: int) -> str:
    """The last parts of a path or hub id."""
    path = SNAPSHOT.sub(r"\1", parent.replace("\\", "/").rstrip("/"))
    return "/".join([part for part in path.split("/") if part not in ("", ".", "..", "~")][-parts:]) or parent
