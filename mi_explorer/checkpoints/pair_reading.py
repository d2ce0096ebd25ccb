"""One reading of a pair, from configs, small files and headers: what is wrong with it, and what each of its tensors is.

Preflight takes its verdict from it, and `Parents` (so every run, export, distance and sweep) what is blended, kept, ignored
and tied. So what preflight accepts runs, and what it refuses nothing blends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo
from mi_explorer.checkpoints.config_checks import config_findings, lineage_findings
from mi_explorer.checkpoints.findings import Finding
from mi_explorer.checkpoints.headers import BLENDABLE
from mi_explorer.checkpoints.source import CheckpointError
from mi_explorer.checkpoints.tensor_checks import (
    adapter_findings,
    base_findings,
    other_towers,
    own_findings,
    pair_findings,
)
from mi_explorer.checkpoints.tensor_names import is_beside, layer_count
from mi_explorer.checkpoints.token_checks import row_findings, template_findings, token_findings, tokenizer_findings
from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair

ROLES = ("instruct", "thinking", "base")


class MismatchError(UserError):
    """Parents that cannot be blended."""


@dataclass(frozen=True)
class TensorTable:
    """Every tensor of a blend. `names`: those of an export, sorted; `loaded`: those of the model that runs; `blended`: those
    that λ moves (floating point, of the language model). The others are kept: Instruct's, and Thinking's where the blend is
    Thinking itself (`follows`: both parents store them alike). `stored` says under which name a role stores a tensor, where
    that is another one: a tied head, or a file with other prefixes."""

    names: tuple[str, ...]
    loaded: tuple[str, ...]
    blended: frozenset[str]
    follows: frozenset[str]
    stored: Mapping[tuple[str, str], str]
    head: str | None
    layers: int

    def without_head(self) -> "TensorTable":
        """The same blend with its head tied to the embedding."""
        names, loaded = (tuple(n for n in group if n != self.head) for group in (self.names, self.loaded))
        return replace(self, names=names, loaded=loaded, blended=self.blended - {self.head or ""}, head=None)


@dataclass(frozen=True)
class PairReading:
    """A pair as its configs and headers show it. `table` is None where the pair is refused."""

    pair: Pair
    infos: Mapping[str, CheckpointInfo]
    findings: tuple[Finding, ...]
    table: TensorTable | None

    def accepted(self) -> TensorTable:
        """The table; `MismatchError` with every reason where the pair is refused."""
        if self.table is None:
            raise MismatchError(" ".join(f.text() for f in self.findings if f.level == "refused"))
        return self.table


def read_pair(pair: Pair, infos: Mapping[str, CheckpointInfo]) -> PairReading:
    """Judge the parents of a pair (and its base, where `infos` has one), and resolve their tensors."""
    findings = _findings(pair, infos)
    refused = any(f.level == "refused" for f in findings)
    findings.sort(key=lambda f: f.level != "refused")
    return PairReading(pair, infos, tuple(findings), None if refused else tensor_table(infos))


def _findings(pair: Pair, infos: Mapping[str, CheckpointInfo]) -> list[Finding]:
    one, two, base = infos["instruct"], infos["thinking"], infos.get("base")
    found = list(lineage_findings(pair))
    try:
        found += config_findings(one, two, backbone=pair.name.endswith("@base"))
        for info in infos.values():
            if not info.adapter:
                found += own_findings(info)
        if all(f.topic not in ("architecture", "quantised", "layout") or f.level == "note" for f in found):
            found += pair_findings(one, two, pair)
            found += [finding for info in (one, two) for finding in row_findings(info)]
            found += base_findings(one, base) if base else ()
    except CheckpointError as error:
        found.append(Finding("refused", "config", str(error), "", ""))
    found += tokenizer_findings(infos.values())
    found += token_findings(one, two, pair)
    found += template_findings(one, two, pair)
    found += adapter_findings(infos)
    return found


def tensor_table(infos: Mapping[str, CheckpointInfo]) -> TensorTable:
    """The tensors of the blend of parents that fit."""
    one, two = infos["instruct"], infos["thinking"]
    places = dict(one.tensors.places)
    names = set(one.entries)
    head = one.tensors.head or two.tensors.head
    if head and head not in names:  # stored by Thinking alone
        names.add(head)
        places[head] = two.tensors.places[head]
    stored: dict[tuple[str, str], str] = {}
    for role, info in infos.items():
        theirs = {place: name for name, place in info.tensors.places.items()}
        for name, place in places.items():
            mine = theirs.get(place) or (info.tensors.embedding if name == head else None)
            if mine is not None and mine != name:
                stored[role, name] = mine
    blended = {
        n
        for n, (key, _) in places.items()
        if one.entries[stored.get(("instruct", n), n)].code in BLENDABLE and not is_beside(key)
    }
    towers = {n for n, (key, _) in places.items() if is_beside(key)} if other_towers(one, two) else set()
    follows = {
        n
        for n in names - blended - towers  # half a tower of each would be none
        if (a := one.entries.get(n)) and (b := two.entries.get(n)) and (a.code, a.shape) == (b.code, b.shape)
    }
    return TensorTable(
        tuple(sorted(names)),
        tuple(sorted(places)),
        frozenset(blended),
        frozenset(follows),
        stored,
        head,
        layer_count(places),
    )
