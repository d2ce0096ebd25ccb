"""What the benchmarks that are run as modules share: their two options, and how their figures are put out."""

import argparse
import json
from pathlib import Path
from typing import Any


def benchmark_options(doc: str) -> argparse.ArgumentParser:
    """A parser with `--quick` and `--json [FILE]`; the first line of `doc` is its help."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, to see that it works; the figures mean nothing"
    )
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="as one object, to FILE or to the terminal"
    )
    return parser


def put_out(found: dict[str, Any], to: str | None) -> None:
    """A line for each part; or one object, on standard output ("-") or in the file `to`."""
    if to == "-":
        print(json.dumps(found, ensure_ascii=False))
    elif to:
        Path(to).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        for part, figures in found.items():
            named = isinstance(figures, dict)
            print(
                f"{part}: " + (", ".join(f"{key} {value}" for key, value in figures.items()) if named else str(figures))
            )
