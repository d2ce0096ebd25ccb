"""The address of Ray's dashboard as a link: what a cluster says is text from outside."""

import re
from urllib.parse import urlsplit

MOST_CHARACTERS = 300
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?")
PATH = re.compile(r"[A-Za-z0-9._~/-]*")


def dashboard_link(said: object) -> str:
    """`HOST:PORT` or an http(s) address as a link; "" for anything else.

    Ray gives "" where its dashboard is not installed (`ray` without `[default]`) or switched off (`--include-dashboard=false`).
    """
    text = said if isinstance(said, str) else ""
    if not 0 < len(text) <= MOST_CHARACTERS or not text.isprintable() or " " in text:
        return ""
    text = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc) and PATH.fullmatch(parts.path)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(host) or not is_plain:
        return ""
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}"
