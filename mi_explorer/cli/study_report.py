"""`study report`: a study as one HTML file that opens anywhere, without a network."""

import argparse
import os
from pathlib import Path

from mi_explorer.errors import UserError
from mi_explorer.studies.store.bundled import open_study
from mi_explorer.studies.store.store import Store
from mi_explorer.studies.store.whole_files import whole_file


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """The options of `study report`."""
    parser.add_argument("name")
    parser.add_argument("--out", metavar="FILE", help="an .html file (default: NAME.html here)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    parser.add_argument("--no-host", action="store_true", help="do not name the machines that made the samples")


def report(args: argparse.Namespace) -> int:
    """`study report`."""
    from mi_explorer.studies.report.html_page import html_report

    out = Path(args.out or f"{args.name}.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"A report is written as .html, not {out.name[-20:]!r}.")
    if not args.out and (os.sep in args.name or "/" in args.name):
        raise UserError("The study's name is no file name; say where to write with --out FILE.")
    with whole_file(out, args.overwrite) as staged:
        with Store.open_to_read(args.home) as own, open_study(own, args.name)[0] as store:
            page = html_report(store, args.name, host=not args.no_host)
        staged.write_text(page, encoding="utf-8", errors="replace")
    print(f"{out}: {out.stat().st_size / 1e3:,.0f} kB, opens in any browser without a network")
    return 0
