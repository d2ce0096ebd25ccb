"""The page against its own engine and against the clock of the browser, in a real Chromium.

    python tests/bench/bench_page.py [--json FILE] [--only stream,scrub,live,large,weight,curves] [--seconds 4] [--rounds 5]

stream  frames per second while 3 panes stream 400 tokens/s each (a strip of 11 rows runs), scripted workbench
scrub   frames per second while dragging λ over 11 finished frames of 4,000 tokens each; every frame moves λ
live    embedded pair: page tokens/s ÷ engine tokens/s, and the press of Run to the first token ÷ the engine's own (same strip, in turns)
large   the same on a random pair of 135M parameters in bf16, 16 tokens per λ
weight  bytes and requests of the first visit, seconds until the rail moves the blend, on the embedded pair
curves  a server that nobody has asked anything yet: the click on Curves to its skeleton, and to both charts with their points

Each figure with a target says whether it was met; the exit status is 1 when one was not. Nothing else may run on the machine.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # as the servers that `start` makes: page and engine compute alike
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from page_frames import scrub, stream  # noqa: E402
from page_runs import large, live  # noqa: E402
from page_visits import curves, weight  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from tests.browser.chromium import FLAGS  # noqa: E402

PARTS = {"stream": stream, "scrub": scrub, "live": live, "large": large, "weight": weight, "curves": curves}
TARGETS: dict[str, tuple[str, float]] = {
    "stream fps": ("≥", 50),
    "stream tokens/s that each pane showed": ("≥", 380),
    "scrub fps": ("≥", 50),
    "scrub tokens per frame": ("≥", 4000),
    "scrub requests": ("≤", 0),
    "page tokens/s ÷ engine tokens/s": ("≥", 0.9),
    "click to first token ÷ engine's first token": ("≤", 1.3),
    "the same to the next frame of the screen": ("≤", 1.3),
    "curves first open, cold server, s": ("≤", 1.0),
    "135M: page tokens/s ÷ engine tokens/s": ("≥", 0.9),
    "135M: click to first token ÷ engine's first token": ("≤", 1.3),
    "135M: the same to the next frame of the screen": ("≤", 1.3),
}


def met(name: str, value: float) -> bool | None:
    """Whether a figure meets its target; None where it has none."""
    if name not in TARGETS:
        return None
    sign, limit = TARGETS[name]
    return value >= limit if sign == "≥" else value <= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long frames are counted")
    parser.add_argument("--rounds", type=int, default=5, help="strips and visits that a median is taken of")
    args = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("MI_EXPLORER_CHROMIUM") or shutil.which("chromium"), args=FLAGS
        )
        for name in args.only.split(","):
            figures |= PARTS[name](browser, Path(folder), args)
        versions = {
            "chromium": browser.version,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
        }
        browser.close()
    for name, value in figures.items():
        target = " ".join(map(str, TARGETS[name])) if name in TARGETS else ""
        print(
            f"{name:48} {value:12,.2f}   {target:8} {'' if met(name, value) is None else 'met' if met(name, value) else 'MISSED'}"
        )
    print(versions)
    if args.json:
        told = {
            name: {"value": value, "target": TARGETS.get(name), "met": met(name, value)}
            for name, value in figures.items()
        }
        args.json.write_text(
            json.dumps({"figures": told, "versions": versions}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return 0 if all(met(name, value) is not False for name, value in figures.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
