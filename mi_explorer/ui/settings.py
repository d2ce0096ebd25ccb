"""What an operator may set: flags of `python app.py`, each with an environment variable of the same meaning."""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mi_explorer.errors import UserError


class SettingsError(UserError):
    """A setting that cannot be used; says which and what to do."""


@dataclass(frozen=True)
class Settings:
    """Where the page is served, and of what. `task` is a task name or a file of questions; "" offers none."""

    host: str = "127.0.0.1"
    port: int = 7860
    pair: str = "mini"
    task: str = "mini"
    device: str = "cpu"
    dtype: str = ""
    home: str = ""
    rows: int = 64
    pairs: str = ""


FLAGS = {
    "host": "address to listen on; 0.0.0.0 opens the page to the network",
    "port": "port to listen on",
    "pair": "preset of assets/pairs.yaml, or 'instruct|thinking[|base]' with folders or hub ids",
    "task": "task whose questions are offered: a name, a .jsonl or a .csv",
    "device": "torch device of the pair, for example cpu, cuda, mps",
    "dtype": "float32, bfloat16 or float16; the engine's own choice when empty",
    "home": "folder of the store of studies; the user's data folder when empty",
    "rows": "most sequences in one batch",
    "pairs": "which pairs visitors may open: fixed, presets or any (any on the loopback address, else fixed)",
}


def read(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Flags first, then `MI_EXPLORER_<NAME>`, then Gradio's server name and port, then the defaults."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="app.py", description="MI Explorer: drag λ and watch the reasoning change.")
    for name, words in FLAGS.items():
        fallback = getattr(defaults, name)
        given = (
            environment.get(f"MI_EXPLORER_{name.upper()}")
            or environment.get({"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"}.get(name, ""))
            or fallback
        )
        parser.add_argument(f"--{name}", default=str(given), help=f"{words} (now: {given or 'unset'})")
    values = vars(parser.parse_args(arguments))
    for name, low, high in (("port", 1, 65535), ("rows", 1, 4096)):
        if not values[name].isdigit() or not low <= int(values[name]) <= high:
            raise SettingsError(f"The {name} must be a whole number from {low} to {high}, not {values[name][:40]!r}.")
        values[name] = int(values[name])
    if values["pairs"] not in ("", "fixed", "presets", "any"):
        raise SettingsError(f"pairs must be fixed, presets or any, not {values['pairs'][:40]!r}.")
    values["pairs"] = values["pairs"] or ("any" if values["host"] in ("127.0.0.1", "localhost", "::1") else "fixed")
    return Settings(**values)


def check_port(host: str, port: int) -> None:
    """Raise `SettingsError` when nothing can listen there, before any weights are loaded."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        free = port + 1 if port < 65535 else 7860
        why = error.strerror or error
        raise SettingsError(
            f"Cannot listen on {host}:{port} ({why}). Stop what runs there, or choose another port: python app.py --port {free}"
        ) from None
