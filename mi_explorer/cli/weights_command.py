"""`weights`: how far the parents of a pair are apart. Streams the weights, loads no model."""

import argparse
import json
from typing import TYPE_CHECKING

from mi_explorer.cli.arguments import Commands, add_command
from mi_explorer.cli.parent_options import add_pair_settings, add_parents, pair_of, progress_bar
from mi_explorer.cli.terminal import clean
from mi_explorer.studies.report.table import Table

if TYPE_CHECKING:
    from mi_explorer.merging.distances import DistanceRow  # brings torch, which --help does without

WEIGHTS_EXAMPLE = """
  python -m mi_explorer weights mini
  python -m mi_explorer weights ./instruct ./thinking --base ./base --tensors
  python -m mi_explorer weights qwen3-4b --json > distances.json
"""
WEIGHTS_TEXT = """Distances between the parents, streamed in fp64: σ, relative L2, cosine, Pearson, and kinship of the task vectors where
the pair has a base; per layer and module, per tensor, and overall with a gauge of how well the pair will blend."""


def add_weights(commands: Commands) -> None:
    """Add `weights`."""
    parser = add_command(commands, "weights", "distances between the parents of a pair", WEIGHTS_TEXT, WEIGHTS_EXAMPLE)
    add_parents(parser)
    parser.add_argument("--tensors", action="store_true", help="one line per tensor instead of per layer and module")
    add_pair_settings(parser)
    parser.set_defaults(handler=run_weights)


def run_weights(args: argparse.Namespace) -> int:
    """Print the distances as a table or JSON."""
    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.merging.distances import distances

    parents = Parents.open(pair_of(args, args.parents))
    with progress_bar("el", "measuring", args.json) as show:
        found = distances(parents, progress=show)
    if args.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
        return 0
    head = ["tensor" if args.tensors else "group", "σ %", "relative L2 %", "cosine", "Pearson"]
    head += ["kinship cosine", "kinship Pearson"] if found.base else []
    rows = (*(found.tensors if args.tensors else found.groups), found.overall)
    print(Table.of(head, [_distance_row(row) for row in rows]).text())
    overall = found.overall
    print(
        f"\nσ: unweighted mean over tensors, norms included (over all elements: {100 * overall.sigma_global:.2f} %)."
        + (f" Kinship: task vectors from {clean(found.base)}." if found.base else "")
    )
    print(f"{found.gauge}: relative L2 {100 * overall.relative_l2:.1f} %. {found.verdict}")
    gain = max((r.slerp_gain for r in found.tensors if r.slerp_gain == r.slerp_gain), default=0.0)  # nan is no gain
    print(f"SLERP's coefficients differ from linear's by at most {100 * gain:.2g} % here.")
    return 0


def _distance_row(row: "DistanceRow") -> list[str]:
    cells = [clean(row.name), f"{100 * row.sigma:.2f}", f"{100 * row.relative_l2:.2f}"]
    cells += [_decimal(row.cosine, 5), _decimal(row.pearson, 5)]
    return cells + ([_decimal(row.kin_cosine, 4), _decimal(row.kin_pearson, 4)] if row.kin_cosine is not None else [])


def _decimal(value: float | None, digits: int) -> str:
    """A number, or a dash where it is undefined (a constant or zero tensor)."""
    return "–" if value is None or value != value else f"{value:.{digits}f}"
