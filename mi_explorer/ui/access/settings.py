"""What an operator may set: flags of `python app.py`, each with an environment variable of the same meaning.

`OPTIONS` is the one source of `--help`, of the checks at start (`setting_checks.py`), and of the table in docs/operating.md
(`python -m mi_explorer.ui.access.settings`).
On the loopback address a visitor is the operator and may do everything; an address open to the network starts closed.
"""

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mi_explorer.ui.access.access_policy import ANYWHERE
from mi_explorer.ui.access.setting_checks import CHECKS, Option, SettingsError
from mi_explorer.ui.spaces.environment import on_space, space_defaults

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SPACE_FRAMES = "https://huggingface.co https://*.hf.space"


@dataclass(frozen=True)
class Settings:
    """Where the page is served, of what, and what visitors may do. The defaults are those of the loopback address.

    `task` is a task name or a file of questions; "": each pair's own. `folders` holds `("*",)` for anywhere. `upload` is in MB.
    `auth` holds (user, password); empty: nobody is asked.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    pair: str = "mini"
    task: str = ""
    device: str = "cpu"
    dtype: str = ""
    home: str = ""
    rows: int = 64
    workers: int = 0
    ray: str = ""
    engine: str = "own"
    pairs: str = "any"
    hub: bool = True
    folders: tuple[str, ...] = (ANYWHERE,)
    tokens: int = 32_768
    queue: int = 200
    runs: int = 4
    address_runs: int = 0
    upload: int = 64
    auth: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    frames: str = "self"
    hosts: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the page is served to the network."""
        return self.host not in LOOPBACK


OPTIONS = (
    Option("host", "text", "address to listen on; 0.0.0.0 opens the page to the network", "127.0.0.1"),
    Option("port", "number", "port to listen on", "7860", 1, 65535),
    Option("pair", "text", "preset of assets/pairs.yaml, or 'instruct|thinking[|base]' with folders or hub ids", "mini"),
    Option("task", "text", "task whose questions are offered: a name, or a file (.jsonl, .json, .csv, .tsv, .parquet); the pair's own "
           "when empty", "empty"),
    Option("device", "text", "torch device of the pair, for example cpu, cuda, mps", "cpu"),
    Option("dtype", "dtype", "float32, bfloat16 or float16; the engine's own choice when empty", "empty"),
    Option("home", "folder", "folder of the store of studies; the user's data folder when empty", "empty"),
    Option("rows", "number", "most sequences in one batch", "64", 1, 4096),
    Option("workers", "number", "processes (or actors of --ray) in which a study or search in the background runs, beside the page's own "
           "engine; 0: in that engine, or with --ray as many as the cluster has room for", "0", 0, 4096),
    Option("ray", "text", "Ray cluster for studies and searches in the background: auto or HOST:PORT", "empty"),
    Option("engine", "engine", "what generates in a worker: own, or vllm (make vllm-env)", "own"),
    Option("pairs", "pairs", "pairs that visitors may open: fixed (the loaded one), presets, names of presets with commas, or any",
           "any / fixed"),
    Option("hub", "yes", "whether visitors may have pairs and tasks fetched from the hub: yes or no", "yes / no"),
    Option("folders", "folders", "folders from which visitors may name models and tasks and into which they may export, separated by : "
           "(; on Windows); * is anywhere, none is none", "* / none"),
    Option("tokens", "number", "most tokens that a response may be asked for", "32768", 1, 1_000_000),
    Option("queue", "number", "most requests that may wait; more are turned away with a message", "200", 1, 10_000),
    Option("runs", "number", "runs that one visitor may have going or waiting at a time", "4", 1, 1000),
    Option("address_runs", "number", "the same for one network address, whatever number of visitors it has; 0 is no limit", "0 / 64",
           0, 100_000),
    Option("upload", "number", "largest file that may be uploaded, in MB; 0 takes none", "64", 0, 10_240),
    Option("auth", "auth", "who may enter: a file with user:password lines (the variable may also hold such lines, or commas between them)",
           "everybody"),
    Option("frames", "frames", "pages that may show this one in a frame: self, none, * or origins such as https://example.org", "self"),
    Option("hosts", "hosts", "further names by which the page is reached while it listens on the loopback address (behind a proxy); "
           "* is any", "none"),
)  # fmt: skip
GRADIO = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT"}


def read_page_settings(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Flags first, then `MI_EXPLORER_<NAME>`, then Gradio's server name and port, then a Space's own, then the defaults.

    Raises `SettingsError`.
    """
    parsed = vars(_parser().parse_args(arguments))
    given: dict[str, str] = {}
    for option in OPTIONS:
        flag = parsed[option.name]
        if option.name == "auth" and flag and not os.path.isfile(flag):
            raise SettingsError(
                f"--auth takes a file with user:password lines, and {flag.partition(':')[0][:40]!r} is none. A password on the "
                f"command line can be read by others on this machine; put it into a file or into {option.variable}."
            )
        text = (
            flag
            if flag is not None
            else environment.get(option.variable) or environment.get(GRADIO.get(option.name, ""))
        )
        if text is not None and text.strip():
            given[option.name] = text.strip()
    given = {**space_defaults(environment), **given}
    here = given.get("host", "127.0.0.1") in LOOPBACK
    if not here:  # an open page starts closed: nobody loads models or names folders unless it is told so
        given = {"pairs": "fixed", "hub": "no", "folders": "none", "address_runs": "64", **given}
    if on_space(environment):
        given.setdefault("frames", SPACE_FRAMES)
    return Settings(
        **{option.name: CHECKS[option.kind](option, given[option.name]) for option in OPTIONS if option.name in given}
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="MI Explorer: drag λ and watch the reasoning change.",
        epilog="Where two defaults are given, the first is that of the loopback address, the second that of any other. "
        "Every flag has a variable: --address-runs is MI_EXPLORER_ADDRESS_RUNS.",
    )
    for option in OPTIONS:
        parser.add_argument(
            option.flag,
            dest=option.name,
            metavar=option.kind.upper(),
            help=f"{option.text} (default: {option.default})",
        )
    return parser


# -- what the operator is told ------------------------------------------------------------------------------------------


def startup_notes(settings: Settings) -> tuple[str, ...]:
    """What an operator should know at start, one sentence each; empty on the loopback address."""
    if not settings.open:
        return ()
    made = []
    if not settings.auth:
        made.append(
            f"Everybody who reaches {settings.host}:{settings.port} can use this page; --auth FILE asks for a password."
        )
    if settings.pairs not in ("fixed",) and not settings.hub:
        made.append(f"Visitors may open pairs ({settings.pairs}), but none from the hub (--hub yes).")
    if ANYWHERE in settings.folders:
        made.append("Visitors may read models from, and export to, every folder that this process can (--folders).")
    return tuple(made)


def settings_table() -> str:
    """The settings as the Markdown table of README.md."""
    from mi_explorer.studies.report.table import Table

    rows = [(f"`{o.flag}`", f"`{o.variable}`", o.default, o.text) for o in OPTIONS]
    return Table.of(("flag", "variable", "default", "meaning"), rows).markdown()


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


if __name__ == "__main__":
    print(settings_table())
