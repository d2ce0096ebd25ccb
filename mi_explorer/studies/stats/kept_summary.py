"""Summaries of study files, kept beside them: what a page shows first needs no sample to be read.

`NAME.parquet` has `NAME.summary.json`, with the digest of the study file that it was made of; `study precompute` writes both. Where
the digest is another the summary is not used. `python -m mi_explorer.studies.stats.kept_summary` writes those of assets/studies anew.
"""

import hashlib
import json
import logging
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from mi_explorer.generation.probe_points import ProbeOptions
from mi_explorer.studies.stats.against_parents import AgainstParents
from mi_explorer.studies.stats.budgets import BudgetGap, Frontiers
from mi_explorer.studies.stats.claims import Claim
from mi_explorer.studies.stats.intervention_grid import intervention_grids
from mi_explorer.studies.stats.metrics import Estimate
from mi_explorer.studies.stats.probe_measures import ProbedCell, ProbedStudy
from mi_explorer.studies.stats.summary import Summary, summarise
from mi_explorer.studies.store.bundled import FOLDER, bundled_study, precomputed
from mi_explorer.studies.store.reader import CellRow, StudyInfo
from mi_explorer.studies.store.store import Store
from mi_explorer.untyped import Json, JsonMapping, JsonObject

SUFFIX = ".summary.json"
FORMAT = 1
log = logging.getLogger(__name__)


def summary_path(study: Path) -> Path:
    """Where the summary of a study file is kept."""
    return study.with_suffix(SUFFIX)


def keep_summary(study: Path) -> Path:
    """Summarise a study file and keep that beside it; returns where."""
    with Store(study, readonly=True) as store:
        (info,) = store.studies()
        plain = summary_to_json(summarise(store, info.name), file_digest(study))
    path = summary_path(study)
    path.write_text(
        json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    return path


def kept_summary(name: str, folder: Path = FOLDER) -> Summary | None:
    """The kept summary of a precomputed study, without `measures`; None where there is none that is of this very file."""
    found = bundled_study(name, folder)
    if found is None:
        return None
    study, info, rows = found
    try:
        state, kept = study.stat(), summary_path(study).stat()
        plain = _read(study, state.st_mtime_ns, state.st_size, kept.st_mtime_ns, kept.st_size)
        return None if plain is None else summary_of_json(plain, info, rows)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("The kept summary of %s cannot be read: %s", study, error)
        return None


@lru_cache(maxsize=64)
def _read(study: Path, *state: int) -> JsonMapping | None:
    """The kept values, read once per `state` of the files; None if they are of another study file or format."""
    plain: JsonObject = json.loads(summary_path(study).read_text(encoding="utf-8"))
    return plain if (plain["format"], plain["study"]) == (FORMAT, file_digest(study)) else None


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def summary_to_json(summary: Summary, study: str) -> JsonObject:
    """A summary as JSON values, but for what a study's head says and for `measures`; `study` is the digest of its file."""
    return {
        "format": FORMAT,
        "study": study,
        "rows": [row.key for row in summary.rows],
        "cells": list(summary.cells),
        "stages": summary.stages,
        "claims": [[claim.text, claim.holds, claim.evidence] for claim in summary.claims],
        "runs": list(summary.runs),
        "probes": [
            {"options": asdict(probed.options), "cells": [_probed_to_json(cell) for cell in probed.cells]}
            for probed in summary.probes
        ],
        "budgets": [[gap.lam, gap.tokens, _plain(gap.gap)] for gap in summary.budgets],
        "frontiers": asdict(summary.frontiers) if summary.frontiers else None,
        "parents": [
            [p.improves_instruct, p.improves_thinking, p.minus_thinking and _plain(p.minus_thinking)]
            for p in summary.parents
        ],
    }


def summary_of_json(plain: JsonMapping, info: StudyInfo, rows: Iterable[CellRow]) -> Summary:
    """Inverse of `summary_to_json`, with the study's head. Raises `KeyError` or another fault of values for what is no such thing."""
    by_key = {row.key: row for row in rows}
    kept = tuple(by_key[key] for key in plain["rows"])
    frontiers = plain["frontiers"]
    return Summary(
        info,
        kept,
        None,
        tuple(plain["cells"]),
        plain["stages"],
        tuple(Claim(*claim) for claim in plain["claims"]),
        tuple(plain["runs"]),
        tuple(
            ProbedStudy(_options(probed["options"]), tuple(_probed_of_json(cell) for cell in probed["cells"]))
            for probed in plain["probes"]
        ),
        tuple(BudgetGap(lam, tokens, _estimate(gap)) for lam, tokens, gap in plain["budgets"]),
        Frontiers(*(tuple(frontiers[name]) for name in ("lams", "budgets", "both"))) if frontiers else None,
        intervention_grids([row.cell for row in kept]),
        tuple(AgainstParents(a, b, gap and _estimate(gap)) for a, b, gap in plain["parents"]),
    )


def _options(plain: JsonMapping) -> ProbeOptions:
    return ProbeOptions(**{**plain, "at": tuple(plain["at"])})


def _probed_to_json(cell: ProbedCell) -> JsonObject:
    return {
        "key": cell.cell,
        "values": {name: _plain(estimate) for name, estimate in cell.values.items()},
        "counts": [cell.samples, cell.passed, cell.questions],
        "budgets": [[budget, _plain(estimate)] for budget, estimate in cell.budgets],
    }


def _probed_of_json(plain: JsonMapping) -> ProbedCell:
    values = {name: _estimate(estimate) for name, estimate in plain["values"].items()}
    samples, passed, questions = plain["counts"]
    budgets = tuple((budget, _estimate(estimate)) for budget, estimate in plain["budgets"])
    return ProbedCell(plain["key"], values, samples, passed, questions, budgets)


def _plain(e: Estimate) -> list[float | None]:
    """An estimate as JSON values: None instead of NaN."""
    return [*(None if math.isnan(x) else float(x) for x in (e.value, e.low, e.high)), e.questions]


def _estimate(plain: Sequence[Json]) -> Estimate:
    value, low, high = (math.nan if x is None else x for x in plain[:3])
    return Estimate(value, low, high, plain[3])


if __name__ == "__main__":
    for path in precomputed(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(keep_summary(path))
