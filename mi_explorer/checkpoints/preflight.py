"""Preflight: can this pair be blended, and what should one know, from configs, tokenizer files and headers alone.

Nothing here reads a weight byte, so that a hub pair is judged before its download. Every finding says what, why and what to do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from mi_explorer.checkpoints.adapter import is_adapter_source, under_role
from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo, read_adapter_info, read_info
from mi_explorer.checkpoints.config_checks import lineage_findings
from mi_explorer.checkpoints.findings import Finding, note
from mi_explorer.checkpoints.hub_cache import CachedSnapshot, open_sources
from mi_explorer.checkpoints.pair_reading import read_pair
from mi_explorer.checkpoints.source import CheckpointError, CheckpointSource
from mi_explorer.checkpoints.tensor_names import layer_count, place
from mi_explorer.errors import UserError
from mi_explorer.machine import free_memory, gigabytes
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.untyped import JsonObject


@dataclass(frozen=True)
class Preflight:
    """`verdict` is "ok", "ok with notes", "export only" or "refused"; `facts` are plain values (sizes in bytes)."""

    verdict: str
    findings: tuple[Finding, ...]
    facts: JsonObject

    @property
    def ok(self) -> bool:
        """Whether the pair can be blended: compared and exported, and run unless it is for export only."""
        return self.verdict != "refused"

    @property
    def obstacles(self) -> str:
        """Why the pair cannot be run; "" where it can."""
        return " ".join(f.text() for f in self.findings if f.level in ("refused", "export only"))

    def to_dict(self) -> JsonObject:
        """The same as JSON values."""
        return asdict(self)


def preflight(pair: str | Pair, memory: int | None = None) -> Preflight:
    """Judge a pair by name, spec or value. `memory` is what this machine has free (bytes; asked from the system by default)."""
    pair = get_pair(pair)
    facts: JsonObject = {"pair": pair.name, "instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    if strangers := tuple(lineage_findings(pair)):  # told from the names alone, before anything is asked from a hub
        return Preflight("refused", strangers, facts)
    try:
        sources = open_sources(pair)
        reading = read_pair(pair, read_infos(pair, sources))
    except CheckpointError as error:
        return Preflight("refused", (Finding("refused", "files", str(error), "", ""),), facts)
    facts |= _facts(reading.infos, (free_memory() or 0) if memory is None else memory)
    if reading.table is None:
        return Preflight("refused", reading.findings, facts)
    findings = (*_stand_ins(sources.values()), *reading.findings, *_memory(facts["memory"]))
    if any(f.level == "export only" for f in findings):
        return Preflight("export only", findings, facts)
    return Preflight("ok with notes" if findings else "ok", findings, facts)


def read_infos(pair: Pair, sources: Mapping[str, CheckpointSource]) -> dict[str, CheckpointInfo]:
    """What small files and headers say of each parent; `CheckpointError` where one cannot be read."""
    adapters = {r for r, s in sources.items() if is_adapter_source(s)}
    infos = {r: read_info(s, r) for r, s in sources.items() if r not in adapters}
    for role in sorted(adapters):
        on = under_role(role, pair.adapter_on, {r: sources[r].label for r in infos if r not in adapters}, sources[role])
        infos[role] = read_adapter_info(sources[role], role, infos[on])
    return infos


def _facts(infos: Mapping[str, CheckpointInfo], memory: int) -> JsonObject:
    """Sizes of a pair; without those of a model where the config describes none. Memory counts what the model loads, as it is stored."""
    one, two = infos["instruct"], infos["thinking"]
    facts: JsonObject = {
        "tensors": len(one.entries),
        "dtype": sorted({e.code for e in one.entries.values()}),
        "shards": {role: len(info.shards) for role, info in infos.items()},
        "disk": {role: info.size for role, info in infos.items()},
        "adapter": {role: info.adapter for role, info in infos.items() if info.adapter},
    }
    try:
        stored = {role: [info.entries[n] for n in info.tensors.places] for role, info in infos.items()}
    except UserError:
        return facts
    weights = {role: sum(e.stop - e.start for e in entries) for role, entries in stored.items()}
    modules: dict[str, int] = {}
    for name in one.tensors.places:
        modules[place(name)[0]] = modules.get(place(name)[0], 0) + 1
    both = weights["instruct"] + (two.size if two.adapter else weights["thinking"])
    text = one.config.get("text_config")
    return facts | {
        "architecture": one.config.get("model_type"),
        "layers": layer_count(one.tensors.places),
        "hidden": (text if isinstance(text, dict) else one.config).get("hidden_size"),
        "parameters": sum(e.numel for e in stored["instruct"]),
        "modules": modules,
        "tied": one.tensors.tied,
        "vocabulary": one.rows or 0,
        # fold: both parents and the blend; row-wise: both parents. KV cache and activations come on top, by rows and context.
        "memory": {"fold": both + weights["instruct"], "rowwise": both, "free": memory},
    }


def _stand_ins(sources: Iterable[CheckpointSource]) -> Iterator[Finding]:
    for source in sources:
        if isinstance(source, CachedSnapshot):
            yield note("hub", source.note)


def _memory(memory: dict[str, int]) -> Iterator[Finding]:
    need, row, have = memory["fold"], memory["rowwise"], memory["free"]
    if have and row > have:
        yield note(
            "memory",
            f"Running needs {gigabytes(min(need, row))} or more, and this machine has {gigabytes(have)} free.",
            "It would not fit; preflight, distances and export still work, because they stream.",
            "Use a larger machine, several GPUs, or a smaller pair.",
        )
    elif have and need > have:
        yield note(
            "memory",
            f"A folded third copy needs {gigabytes(need)}, and this machine has {gigabytes(have)} free.",
            f"Row-wise λ needs {gigabytes(row)} and fits.",
        )
