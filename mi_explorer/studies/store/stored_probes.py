"""Probes of stored samples as values and as text: what was asked (the setting) and the points that came.

A sample may be probed under several settings. No points mean that it was looked at and has no thought to stop.
"""

import json
from dataclasses import asdict, dataclass

from mi_explorer.errors import UserError
from mi_explorer.generation.probe_points import MAX_POINTS, ProbedTrace, ProbeOptions, ProbePoint, probe_point_of
from mi_explorer.studies.store.sample import Sample
from mi_explorer.untyped import Json


@dataclass(frozen=True)
class StoredProbes:
    """The points of one sample (by its key) under one setting."""

    sample: str
    options: ProbeOptions
    points: tuple[ProbePoint, ...]

    @property
    def setting(self) -> str:
        """The setting as text: its key."""
        return setting_text(self.options)

    def points_text(self) -> str:
        """The points as JSON."""
        return json.dumps([point.plain() for point in self.points], ensure_ascii=False, separators=(",", ":"))

    def of(self, sample: Sample, kind: str = "auto") -> ProbedTrace:
        """The points beside their sample's own end."""
        return ProbedTrace(self.points, sample.tokens, sample.think_tokens, sample.correct, kind)


def setting_text(options: ProbeOptions) -> str:
    """A setting as text: equal settings, equal text."""
    return json.dumps(asdict(options), sort_keys=True, separators=(",", ":"))


def setting_words(options: ProbeOptions) -> str:
    """A setting in words."""
    where = f"{len(options.at)} named points" if options.at else f"up to {options.points} points"
    at = "the trace's own λ" if options.lam is None else f"λ {options.lam:g}"
    drawn = f", {options.samples} drawn answers" if options.samples else ""
    free = f", {options.free} continuation{'s' if options.free > 1 else ''}" if options.free else ""
    return f"{where} at {at}, greedy answers of at most {options.max_answer_tokens} tokens{drawn}{free}"


def stored_probes(sample: str, setting: Json, points: Json) -> StoredProbes:
    """Inverse of `setting` and `points_text` (or their JSON values); raises `ValueError` for anything else."""
    try:
        asked = json.loads(setting) if isinstance(setting, str) else dict(setting)
        found = json.loads(points) if isinstance(points, str) else list(points)
        options = ProbeOptions(**{**asked, "at": tuple(map(int, asked["at"]))})
        made = tuple(probe_point_of(point) for point in found)
    except (UserError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its probes cannot be read ({error})") from None
    if len(made) > MAX_POINTS or [p.token for p in made] != sorted({p.token for p in made if p.token > 0}):
        raise ValueError("the points of its probes are out of order")
    return StoredProbes(sample, options, made)
