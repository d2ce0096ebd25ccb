"""Distances between the parents of a pair, streamed with fp64 sums: per tensor, per layer × module, and overall.

σ(A, B) = Σ|A−B| / (Σ|A|+Σ|B|); the published table is its unweighted mean over tensors, norms included. Relative L2 is
‖A−B‖/‖A‖ with A = Instruct. With a base, kinship is cosine and Pearson correlation of the signed task vectors (2410.12613).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.checkpoints.tensor_names import place
from mi_explorer.merging.methods import slerp
from mi_explorer.untyped import Json, JsonObject

STEP = 1 << 18  # elements in fp64 at a time
# Relative L2 of known pairs: Qwen3 4B 2507 7.9 %, 30B 3.8 %, Qwen2.5-Math and R1-Distill 13-14 %, unrelated lineages > 100 %.
GAUGE = (  # relative L2 below, colour, what it says
    (0.10, "green", "Close relatives: interpolation works well at this distance."),
    (0.25, "amber", "Distant: interpolation still worked for published pairs, with losses in the middle."),
    (0.50, "orange", "Far apart: no published pair this far interpolates well."),
    (
        math.inf,
        "red",
        "Probably of another lineage: a blend is unlikely to speak. Check that both were fine-tuned from one base.",
    ),
)


@dataclass(frozen=True)
class Sums:
    """Σ over elements of two vectors a, b and their difference; sums of parts add up."""

    n: int = 0
    a: float = 0.0
    b: float = 0.0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    abs_a: float = 0.0
    abs_b: float = 0.0
    dd: float = 0.0
    abs_d: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(x + y for x, y in zip(asdict(self).values(), asdict(other).values())))

    @classmethod
    def of(cls, a: torch.Tensor, b: torch.Tensor) -> "Sums":
        """Of two fp64 vectors."""
        d = a - b
        values = (a.sum(), b.sum(), a @ a, b @ b, a @ b, a.abs().sum(), b.abs().sum(), d @ d, d.abs().sum())
        return cls(a.numel(), *(float(v) for v in values))

    @property
    def sigma(self) -> float:
        """Σ|a−b| / (Σ|a|+Σ|b|); 0 for two zero tensors."""
        return min(1.0, self.abs_d / (self.abs_a + self.abs_b)) if self.abs_d else 0.0

    @property
    def relative_l2(self) -> float:
        """‖a−b‖/‖a‖."""
        return math.sqrt(self.dd / self.aa) if self.aa else math.inf if self.dd else 0.0

    @property
    def cosine(self) -> float:
        """Clipped to [−1, 1]; nan if either is zero."""
        return (
            max(-1.0, min(1.0, self.ab / math.sqrt(self.aa) / math.sqrt(self.bb))) if self.aa and self.bb else math.nan
        )

    @property
    def pearson(self) -> float:
        """Correlation of the elements; nan if either is constant."""
        if not self.n:
            return math.nan
        va, vb = self.aa - self.a**2 / self.n, self.bb - self.b**2 / self.n
        flat = va <= 1e-14 * self.aa or vb <= 1e-14 * self.bb
        return (
            math.nan
            if flat
            else max(-1.0, min(1.0, (self.ab - self.a * self.b / self.n) / math.sqrt(va) / math.sqrt(vb)))
        )


@dataclass(frozen=True)
class DistanceRow:
    """One row of the table: a tensor, a layer × module group, or everything. `kin_*` and `to_base_*` need a base (else None).

    `sigma` of a group is the unweighted mean of its tensors' σ (the published definition), `sigma_global` that of their elements.
    `slerp_gain` is how much longer SLERP's coefficients are than linear's at λ = 0.5: 1/cos(θ/2) − 1.
    """

    name: str
    module: str
    layer: int | None
    tensors: int
    numel: int
    sigma: float
    sigma_global: float
    relative_l2: float
    l2: float
    cosine: float
    pearson: float
    slerp_gain: float
    kin_cosine: float | None = None
    kin_pearson: float | None = None
    instruct_to_base_l2: float | None = None
    thinking_to_base_l2: float | None = None


@dataclass(frozen=True)
class Distances:
    """All rows; `base` names the base of the kinship columns (None: not measured); `gauge` and `verdict` judge relative L2."""

    instruct: str
    thinking: str
    base: str | None
    tensors: tuple[DistanceRow, ...]
    groups: tuple[DistanceRow, ...]
    overall: DistanceRow
    gauge: str
    verdict: str

    def to_dict(self) -> JsonObject:
        """Plain values for JSON; nan becomes None."""
        found: JsonObject = _plain(asdict(self))
        return found

    @classmethod
    def of(cls, data: JsonObject) -> "Distances":
        """Inverse of `to_dict`; what was not finite is nan. Raises `ValueError` for anything else."""
        try:
            tensors, groups = (tuple(_row_of_json(row) for row in data[name]) for name in ("tensors", "groups"))
            return cls(**{**data, "tensors": tensors, "groups": groups, "overall": _row_of_json(data["overall"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not distances: {error!r}") from None


def _row_of_json(row: JsonObject) -> DistanceRow:
    based = row["instruct_to_base_l2"] is not None
    lost = ("layer",) if based else ("layer", "kin_cosine", "kin_pearson", "instruct_to_base_l2", "thinking_to_base_l2")
    values: JsonObject = {k: math.nan if v is None and k not in lost else v for k, v in row.items()}
    return DistanceRow(**values)


@dataclass(frozen=True)
class SlerpNote:
    """What SLERP would change against linear. `angle` in degrees, of the tensor `name` whose parents point apart the most.

    `coefficient` is the largest difference of a coefficient at any λ, `longer` how much longer that tensor is at λ = 0.5, as a
    share; `linear` of `tensors` are so nearly parallel that SLERP itself blends them linearly.
    """

    name: str
    angle: float
    coefficient: float
    longer: float
    linear: int
    tensors: int


def slerp_against_linear(found: Distances) -> SlerpNote:
    """The note of a measured pair; the angle is the widest one, whether SLERP's own fallback hides it or not."""
    cosines = [1.0 if math.isnan(row.cosine) else row.cosine for row in found.tensors]
    linear = sum(abs(c) > slerp.NEARLY_PARALLEL for c in cosines)
    if not cosines:
        return SlerpNote("", 0.0, 0.0, 0.0, 0, 0)
    i = min(range(len(cosines)), key=lambda k: cosines[k])
    apart = max(
        abs(b - lam)
        for lam in (k / 200 for k in range(201))
        for _, b in (slerp.arc_coefficients(lam, {}, {"cos": cosines[i]}),)
    )
    longer = (
        0.0
        if abs(cosines[i]) > slerp.NEARLY_PARALLEL or cosines[i] <= -1
        else 1 / math.cos(math.acos(cosines[i]) / 2) - 1
    )
    return SlerpNote(found.tensors[i].name, math.degrees(math.acos(cosines[i])), apart, longer, linear, len(cosines))


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(name: str, where: tuple[str, int | None], parts: list[tuple[Sums, Sums | None]]) -> DistanceRow:
    total = sum((p[0] for p in parts), Sums())
    kin = sum((p[1] for p in parts if p[1]), Sums()) if parts and parts[0][1] else None
    cos = total.cosine
    extra: JsonObject = (
        {}
        if kin is None
        else {
            "kin_cosine": kin.cosine,
            "kin_pearson": kin.pearson,
            "instruct_to_base_l2": math.sqrt(kin.aa),
            "thinking_to_base_l2": math.sqrt(kin.bb),
        }
    )
    return DistanceRow(
        name,
        *where,
        len(parts),
        total.n,
        sigma=sum(p[0].sigma for p in parts) / len(parts) if parts else math.nan,
        sigma_global=total.sigma,
        relative_l2=total.relative_l2,
        l2=math.sqrt(total.dd),
        cosine=cos,
        pearson=total.pearson,
        slerp_gain=1 / math.cos(math.acos(cos) / 2) - 1 if cos > -1 else math.nan,  # nan compares false
        **extra,
    )


def tensor_sums(parents: Parents, name: str) -> tuple[Sums, Sums | None]:
    """(Sums of Instruct and Thinking, Sums of their task vectors or None), read piece by piece."""
    n, ends, kin = parents.entry("instruct", name).numel, Sums(), Sums() if parents.base else None
    for start in range(0, n, STEP):
        a, b, *base = (parents.block(role, name, start, min(n, start + STEP)).double() for role in parents.roles)
        ends += Sums.of(a, b)
        if kin is not None:
            kin += Sums.of(a - base[0], b - base[0])
    return ends, kin


def distances(
    parents: Parents, progress: Callable[[int, int], None] | None = None, names: Iterable[str] | None = None
) -> Distances:
    """Measure a pair. `progress(done, total)` counts elements; peak memory is a few MB whatever the model's size."""
    names = [n for n in (names or parents.names()) if parents.blends(n)]
    total, done = sum(parents.entry("instruct", n).numel for n in names), 0
    sums: dict[str, tuple[Sums, Sums | None]] = {}
    for name in names:
        sums[name] = tensor_sums(parents, name)
        done += sums[name][0].n
        if progress:
            progress(done, total)
    groups: dict[tuple[str, int | None], list[str]] = {}
    for name in names:
        groups.setdefault(place(name), []).append(name)
    order = sorted(groups, key=lambda g: (g[1] is None, g[1] or 0, g[0]))
    overall = _row("overall", ("all", None), list(sums.values()))
    gauge, verdict = gauge_of(overall.relative_l2)
    return Distances(
        parents.instruct.label,
        parents.thinking.label,
        parents.base.label if parents.base else None,
        tuple(_row(name, place(name), [sums[name]]) for name in names),
        tuple(_row(g[0] if g[1] is None else f"layer {g[1]} {g[0]}", g, [sums[n] for n in groups[g]]) for g in order),
        overall,
        gauge,
        verdict,
    )


def gauge_of(relative_l2: float) -> tuple[str, str]:
    """(colour, sentence) of the mergeability gauge for a relative L2 distance."""
    return next((colour, text) for limit, colour, text in GAUGE if relative_l2 < limit or limit == math.inf)
