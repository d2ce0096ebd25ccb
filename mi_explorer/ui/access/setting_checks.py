"""An operator's setting as text → its value, or a `SettingsError` that says which setting and what to do."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.input_limits import read_text
from mi_explorer.ui.access.access_policy import ANYWHERE, PAIR_POLICIES
from mi_explorer.untyped import JsonMapping

ORIGIN = re.compile(r"https?://[\w*.:-]+")
MAX_AUTH_FILE = 1 << 20  # bytes of a file of users


class SettingsError(UserError):
    """A setting that cannot be used; says which and what to do."""


@dataclass(frozen=True)
class Option:
    """One setting: its flag `--name` and variable `MI_EXPLORER_NAME`. `default` is how the table writes it."""

    name: str
    kind: str
    text: str
    default: str
    low: int = 0
    high: int = 0

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return f"MI_EXPLORER_{self.name.upper()}"


def _number(option: Option, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or not option.low <= int(text) <= option.high:
        name = option.name.replace("_", "-")
        raise SettingsError(f"The {name} must be a whole number from {option.low} to {option.high}, not {text[:40]!r}.")
    return int(text)


def _yes(option: Option, text: str) -> bool:
    words = {"yes": True, "true": True, "1": True, "on": True, "no": False, "false": False, "0": False, "off": False}
    if text.lower() not in words:
        raise SettingsError(f"{option.name} must be yes or no, not {text[:40]!r}.")
    return words[text.lower()]


def _dtype(option: Option, text: str) -> str:
    if text not in ("float32", "bfloat16", "float16"):
        raise SettingsError(f"dtype must be float32, bfloat16 or float16, not {text[:40]!r}.")
    return text


def _pairs(option: Option, text: str) -> str:
    if text in PAIR_POLICIES:
        return text
    from mi_explorer.pairs import list_pairs

    known = {p.name for p in list_pairs()}
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        bad = (wrong or [text])[0][:40]
        raise SettingsError(
            f"pairs must be fixed, presets or any, or names of presets ({', '.join(sorted(known))}), not {bad!r}."
        )
    return ",".join(names)


def _folder(option: Option, text: str) -> str:
    path = Path(text).expanduser()
    existing = next((p for p in (path, *path.parents) if os.path.exists(p)), Path("/"))
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK):
        raise SettingsError(
            f"The {option.name} {text[:200]!r} cannot be written to: it is read-only or another user's. Choose a folder of your own."
        )
    return text


def _folders(option: Option, text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    if text == ANYWHERE:
        return (ANYWHERE,)
    found = []
    for part in filter(None, (p.strip() for p in text.split(os.pathsep))):
        path = Path(part).expanduser()
        if not os.path.isdir(path):
            raise SettingsError(f"folders: there is no folder {part[:200]!r}. Make it first, or leave it out.")
        found.append(str(path.resolve()))
    return tuple(found)


def _auth(option: Option, text: str) -> tuple[tuple[str, str], ...]:
    if "\n" not in text and os.path.isfile(text):
        try:
            lines = read_text(Path(text), MAX_AUTH_FILE).splitlines()
        except UserError as error:
            raise SettingsError(f"auth: {error}") from None
    else:
        lines = re.split(r"[\n,]", text)
    users: dict[str, str] = {}
    for place, line in enumerate((x.strip() for x in lines), 1):
        if not line or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not colon or not user or not password:  # the line itself may be a secret and is not repeated
            raise SettingsError(f"auth: entry {place} is not user:password. Nothing is served until it is.")
        if user in users:
            raise SettingsError(f"auth: the user {user[:40]!r} is there twice.")
        users[user] = password
    if not users:
        raise SettingsError("auth: there is no user in it. Give user:password lines, or leave it out.")
    return tuple(users.items())


def _frames(option: Option, text: str) -> str:
    parts = text.replace(",", " ").split()
    if parts not in (["self"], ["none"], ["*"]) and not all(ORIGIN.fullmatch(p) for p in parts):
        raise SettingsError(f"frames must be self, none, * or origins such as https://example.org, not {text[:80]!r}.")
    return " ".join(parts)


def _hosts(option: Option, text: str) -> tuple[str, ...]:
    names = tuple(x.strip().lower() for x in text.split(",") if x.strip())
    if not all(name == ANYWHERE or re.fullmatch(r"[\w.-]+|\[[0-9a-f:]+\]", name) for name in names):
        raise SettingsError(f"hosts must be names such as lab.example.org, separated by commas, not {text[:80]!r}.")
    return names


def _engine(option: Option, text: str) -> str:
    from mi_explorer.cluster.staffing import ENGINES

    if text not in ENGINES:
        raise SettingsError(f"engine must be one of {', '.join(ENGINES)}, not {text[:40]!r}.")
    return text


CHECKS: JsonMapping = {
    "text": lambda option, text: text,
    "number": _number,
    "yes": _yes,
    "dtype": _dtype,
    "engine": _engine,
    "pairs": _pairs,
    "folder": _folder,
    "folders": _folders,
    "auth": _auth,
    "frames": _frames,
    "hosts": _hosts,
}
