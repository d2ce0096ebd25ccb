"""`study`: studies that were saved, and those that come with the checkout: list, show, probe, report, export, import, merge, remove."""

import argparse
import json
import time
from pathlib import Path

from mi_explorer.cli import study_precompute, study_probe, study_report
from mi_explorer.cli.arguments import Commands, add_command, whole_number
from mi_explorer.cli.options import add_home
from mi_explorer.cli.terminal import clean, duration, interventions_text, probes_text, study_table
from mi_explorer.errors import UserError
from mi_explorer.studies.plan import describe, parse_lambdas
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.stats.summary import Summary
from mi_explorer.studies.store.bundled import bundled_studies, open_study
from mi_explorer.studies.store.exchange import FORMATS, export_study, import_study, merge_studies
from mi_explorer.studies.store.store import Store, StudyInfo
from mi_explorer.studies.store.whole_files import whole_file
from mi_explorer.untyped import JsonObject

LISTED = ("study", "kind", "task", "pair", "cells", "samples", "of", "origin", "updated")
STUDY_TEXT = """Studies that were saved: list, show, probe, report, export, import, merge, remove."""
STUDY_EXAMPLE = """
  python -m mi_explorer study list
  python -m mi_explorer study show mini-mini-linear-1a2b3c
  python -m mi_explorer study table mini-mini-linear-1a2b3c --markdown
  python -m mi_explorer study table mini-mini-linear-1a2b3c --by family --lambda 0,0.3,0.6,1
  python -m mi_explorer study figure mini-mini-linear-1a2b3c sweep.svg
  python -m mi_explorer study report mini-mini-linear-1a2b3c --out report.html
  python -m mi_explorer study probe mini-mini-linear-1a2b3c --points 12 --free 2
  python -m mi_explorer study export mini-mini-linear-1a2b3c sweep.parquet
  python -m mi_explorer study merge all shard1.parquet shard2.parquet
"""


def add_study(commands: Commands) -> None:
    """Add `study` and its actions."""
    study = add_command(commands, "study", "studies that were saved", STUDY_TEXT, STUDY_EXAMPLE)
    actions = study.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    _study_actions(actions)


def _study_actions(actions: Commands) -> None:
    def action(name: str, help: str, handler: object, home: bool = True) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name,
            help=help,
            description=help[:1].upper() + help[1:] + ".",
        )
        if home:
            add_home(parser)
        parser.set_defaults(handler=handler)
        return parser

    action("list", "all studies", list_studies).add_argument("--json", action="store_true", help="as a JSON array")
    show = action("show", "a study's table, stages, and who made it", show_study)
    show.add_argument("name")
    show.add_argument("--json", action="store_true", help="as one JSON object")
    drawn = action("table", "a study's table as the paper prints it, for a terminal or a README", table_study)
    drawn.add_argument("name")
    drawn.add_argument("--markdown", action="store_true", help="as Markdown, with a caption of how it was measured")
    parts = drawn.add_mutually_exclusive_group()
    parts.add_argument(
        "--by", choices=("family", "level"), help="accuracy by this part of the questions, at the λs of --lambda"
    )
    parts.add_argument(
        "--mentions",
        action="store_true",
        help="beside the verdicts: how often the last sentence, or any part of the answer, mentions what is right",
    )
    drawn.add_argument(
        "--lambda", dest="lams", default="0,0.5,1", metavar="L", help="λs of --by: a list or a range (default: 0,0.5,1)"
    )
    picture = action("figure", "a study's curves as a picture: accuracy, tokens and think ratio over λ", figure_study)
    picture.add_argument("name")
    picture.add_argument("file", help="an .svg file")
    picture.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    study_report.add_report_options(
        action("report", "a study as one HTML file: figures, tables, settings, traces", study_report.report)
    )
    study_probe.add_probe_options(
        action("probe", "stop the thoughts of a study's samples early and ask for the answer", study_probe.probe_study)
    )
    out = action("export", f"write a study to a file ({', '.join(FORMATS)})", export_file)
    out.add_argument("name")
    out.add_argument("file")
    out.add_argument(
        "--texts",
        type=whole_number(0),
        metavar="N",
        help="keep the text of N samples a question and cell (default: all; 0: figures only)",
    )
    out.add_argument(
        "--text-questions", type=whole_number(0), metavar="N", help="and of N questions only (default: of all)"
    )
    out.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    into = action("import", "read a study from a .parquet file, or from another home's studies.db", import_)
    into.add_argument("file")
    into.add_argument("--name", help="name here (default: its own)")
    merge = action("merge", "bring shards together: files, other homes' studies.db, or studies of this store", merge_)
    merge.add_argument("name", help="the study that receives them (made if it is not there)")
    merge.add_argument("sources", nargs="+")
    precomputed = "make the studies that come with the checkout, each as a small file"
    study_precompute.add_precompute_options(action("precompute", precomputed, study_precompute.precompute, home=False))
    gone = action("rm", "delete studies, and the samples that no other study uses", remove)
    gone.add_argument("names", nargs="+", metavar="name")


def list_studies(args: argparse.Namespace) -> int:
    """`study list`."""
    with Store.open_to_read(args.home) as store:
        studies = [*store.studies(), *bundled_studies()]
        if args.json:
            print(json.dumps([_described(info) for info in studies]))
        elif not studies:
            print(f"No studies in {store.path}. 'python -m mi_explorer sweep' makes one.")
        else:
            rows = [list(_described(info).values()) for info in studies]
            print(Table.of(LISTED, rows).text())
    return 0


def _described(info: StudyInfo) -> JsonObject:
    """A study as JSON values, in the order of the table's columns."""
    updated = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.updated))
    return {
        "name": info.name,
        "kind": info.plan.kind,
        "task": info.plan.task,
        "pair": ", ".join(info.plan.pairs)[:60],
        "cells": len(info.plan.cells),
        "samples": info.samples,
        "units": info.units,
        "origin": info.origin,
        "updated": updated,
    }


def show_study(args: argparse.Namespace) -> int:
    """`study show`."""
    from mi_explorer.studies.stats.summary import summarise

    with Store.open_to_read(args.home) as own, open_study(own, args.name)[0] as store:
        summary = summarise(store, args.name)
        runs = store.runs(summary.info.id)
        if args.json:
            print(
                json.dumps({**summary.json(), "command": summary.info.plan.command, "runs": runs}, ensure_ascii=False)
            )
            return 0
        print(study_table(summary))
        if interventions := interventions_text(summary):
            print(f"\n{interventions}")
        if summary.probes:
            print(f"\n{probes_text(summary, summary.probes)}")
        print(f"\ncommand: {summary.info.plan.command}")
        for run in runs:
            v = run["versions"]
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run["started"]))
            print(
                f"run of {when}{' on ' + clean(run['host']) if run['host'] else ''}: "
                f"{run['samples']:,} samples, {run['device']} {run['dtype']}, "
                f"{duration(run['seconds'] / max(1, run['samples']))} a sample (many side by side), torch {v.get('torch', '?')}, "
                f"mi_explorer {v.get('mi_explorer', '?')} {v.get('commit', '')}".rstrip()
            )
    return 0


def table_study(args: argparse.Namespace) -> int:
    """`study table`."""
    from mi_explorer.studies.report.results import mentions_table, paper_table, parts_table
    from mi_explorer.studies.stats.mentions import study_mentions
    from mi_explorer.studies.stats.summary import summarise

    with Store.open_to_read(args.home) as own, open_study(own, args.name)[0] as store:
        summary = summarise(store, args.name)
        if args.by:
            parts = {item.key: getattr(item, args.by) for item in store.items(summary.info.id)}
            rows = parts_table(summary, parts, parse_lambdas(args.lams))
        else:
            rows = mentions_table(summary, study_mentions(store, args.name)) if args.mentions else paper_table(summary)
            if all(row[""].startswith("λ ") for row in rows):
                rows = [{"λ": row[""][2:], **{k: v for k, v in row.items() if k}} for row in rows]
    told = "" if args.by or args.mentions else clean(summary.sentence)
    drawn = Table.of_records(rows)
    print(drawn.markdown() if args.markdown else drawn.text())
    if args.markdown:
        print(f"\n{caption(summary)}" + (f"\n\n{told}" if told else ""))
    return 0


def caption(summary: Summary) -> str:
    """How a table was measured, in Markdown."""
    settings = summary.settings
    decodings = list(dict.fromkeys(row.cell.decoding for row in summary.rows))
    how = describe(decodings[0]) if len(decodings) == 1 else "decoding as named"
    split = f", split {settings['split']}" if settings["split"] else ""
    made = "" if summary.info.origin == "live" else f" ({summary.info.origin})"
    return clean(
        f"Task {settings['task']}{split}: {settings['questions']} questions × {settings['samples']} samples, {how}; "
        f"brackets: 95 % intervals, bootstrap over questions{made}. `{settings['command']}`"
    )


def figure_study(args: argparse.Namespace) -> int:
    """`study figure`."""
    from mi_explorer.studies.report.svg_curves import curves_svg
    from mi_explorer.studies.stats.summary import summarise

    if not args.file.lower().endswith(".svg"):
        raise UserError(f"A figure is written as .svg, not {args.file[-20:]!r}.")
    with whole_file(Path(args.file), args.overwrite) as staged:
        with Store.open_to_read(args.home) as own, open_study(own, args.name)[0] as store:
            text = curves_svg(summarise(store, args.name))
        staged.write_text(text, encoding="utf-8", errors="replace")
    print(f"written to {args.file}")
    return 0


def export_file(args: argparse.Namespace) -> int:
    """`study export`."""
    with Store.open_to_read(args.home) as own, open_study(own, args.name)[0] as store:
        count = export_study(
            store,
            args.name,
            args.file,
            texts=args.texts,
            text_questions=args.text_questions,
            overwrite=args.overwrite,
        )
        print(f"{count:,} samples written to {args.file}")
    return 0


def import_(args: argparse.Namespace) -> int:
    """`study import`."""
    with Store.open(args.home) as store:
        name, new = import_study(store, args.file, args.name)
        print(f"study {name}: {new:,} new samples")
    return 0


def merge_(args: argparse.Namespace) -> int:
    """`study merge`."""
    with Store.open(args.home) as store:
        print(f"study {args.name}: {merge_studies(store, args.name, args.sources):,} new samples")
    return 0


def remove(args: argparse.Namespace) -> int:
    """`study rm`."""
    with Store.open(args.home) as store:
        for name in args.names:
            store.study(name)  # all names are right before the first is deleted
        for name in args.names:
            print(f"study {name} deleted, {store.delete(name):,} samples with it")
    return 0
