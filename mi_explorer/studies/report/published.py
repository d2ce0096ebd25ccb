"""Published numbers, as data frames: always shown as published, with their source, never as ours.

`mi_*`: *Revisiting Model Interpolation for Efficient Reasoning* (2510.10977); `spectrum_*`: *The Thinking Spectrum* (2509.22034).
Percentages as printed; empty where the paper gives none.
"""

from functools import cache

import numpy as np
import pandas as pd

from mi_explorer.errors import unknown
from mi_explorer.paths import ASSETS
from mi_explorer.studies.stats.stages import Transition, transition

FOLDER = ASSETS / "paper"
TABLES = {
    "mi_dynamics": "tables 1-2 and figure 3", "mi_layers": "table 3", "mi_backbones": "table 4", "mi_decoding": "figure 4",
    "mi_modules": "figure 5", "mi_similarity": "table 5", "spectrum_curves": "figures", "spectrum_weights": "table",
}  # fmt: skip
PAPERS = {"mi": "2510.10977", "spectrum": "2509.22034"}
QUESTIONS = {"AIME25": 30, "IFEval": 541, "GPQA-Diamond": 198}


@cache
def _read(name: str) -> pd.DataFrame:
    if name not in TABLES:
        raise unknown("published table", name, TABLES)
    return pd.read_csv(FOLDER / f"{name}.csv")


def published(name: str) -> pd.DataFrame:
    """A published table by its name in `TABLES`; a copy, free to change."""
    return _read(name).copy()


def source(name: str) -> str:
    """Where a table comes from, to be shown beside it: `arXiv 2510.10977, table 3`."""
    return f"arXiv {PAPERS[name.split('_')[0]]}, {TABLES[name]}"


def dynamics(model: str, benchmark: str) -> pd.DataFrame:
    """The interpolation curve of a model on a benchmark, by λ: the table's columns, percentages as printed."""
    table = published("mi_dynamics")
    rows = table[(table["method"] == "MI") & (table["model"] == model) & (table["benchmark"] == benchmark)]
    if rows.empty:
        raise unknown(
            "published curve",
            f"{model} on {benchmark}",
            {f"{m} on {b}" for m, b in zip(table["model"], table["benchmark"])},
        )
    return rows.sort_values("lambda").reset_index(drop=True)


def refit(model: str, benchmark: str) -> Transition:
    """The transition refitted on a published curve; no intervals, the papers give no samples."""
    rows = dynamics(model, benchmark)
    n = (QUESTIONS[benchmark] * rows["k"]).to_numpy(dtype=np.float64)
    return transition(rows["lambda"].tolist(), rows["think_ratio"].to_numpy() / 100 * n, n)
