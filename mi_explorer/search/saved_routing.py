"""Judged routers of a study, kept so that they can be drawn beside it: in a home folder, and some that come with the checkout."""

import json
import re
from pathlib import Path

from mi_explorer.search.oracle import OraclePoint
from mi_explorer.search.router import BUNDLED, RouterError, router_of
from mi_explorer.search.routing import RouterPoint, RoutingResult
from mi_explorer.studies.plan import digest
from mi_explorer.untyped import JsonMapping

FOLDER = "routings"
MAX_BYTES = 1_000_000


def keep_routing(home: Path, study: str, result: RoutingResult) -> Path:
    """Write what routers did on a study; an older one is replaced."""
    path = _own(home, study)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"study": study, **result.json()}, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")
    return path


def saved_routing(home: Path | None, study: str, is_bundled: bool = False) -> RoutingResult | None:
    """What was kept of a study, or of a bundled one came with the checkout; None where nothing was. `RouterError` for a damaged file."""
    places = [_own(home, study)] if home is not None else []
    if is_bundled and re.fullmatch(r"[A-Za-z0-9-]+", study):
        places.append(BUNDLED / f"{study}-routing.json")
    path = next((p for p in places if p.is_file()), None)
    if path is None:
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("size")
        return routing_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        raise RouterError(
            f"What routers did on {study[:80]!r} cannot be read. 'search route {study[:80]}' makes it anew."
        ) from None


def routing_of(data: JsonMapping) -> RoutingResult:
    """Inverse of `RoutingResult.json`; `KeyError`, `TypeError` or `ValueError` for anything else."""
    return RoutingResult(
        tuple(
            (
                router_of(one["router"]),
                tuple(RouterPoint(**{**p, "difference_ci": tuple(p["difference_ci"])}) for p in one["curve"]),
            )
            for one in data["routers"]
        ),
        tuple(OraclePoint(**p) for p in data["oracle"]),
        (int(data["questions"]["search"]), int(data["questions"]["heldout"])),
        tuple((float(p["lambda"]), float(p["mean"]), float(p["tokens"])) for p in data["line"]),
    )


def _own(home: Path, study: str) -> Path:
    return home / FOLDER / f"{digest(study)}.json"
