"""Preflight: can this pair be blended, and what should one know, from configs, tokenizer files and headers alone.

Nothing here reads a weight byte, so that a hub pair is judged before its download. Every finding says what, why and what to do.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mi_explorer.checkpoints.adapter import under_role
from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo, is_adapter_source, read_adapter_info, read_info
from mi_explorer.checkpoints.findings import Finding, note, refused, shorten
from mi_explorer.checkpoints.headers import BITS, BLENDABLE
from mi_explorer.checkpoints.source import CheckpointError, Source, open_source
from mi_explorer.checkpoints.tensor_names import layer_count, place, unknown_names
from mi_explorer.checkpoints.token_checks import template_findings, token_findings
from mi_explorer.machine import free_memory, gigabytes
from mi_explorer.pairs import Pair, get_pair

# Config fields without effect on the computation of a forward pass, or that another check covers.
HARMLESS = frozenset(
    {
        "_name_or_path",
        "architectures",
        "transformers_version",
        "torch_dtype",
        "dtype",
        "use_cache",
        "eos_token_id",
        "bos_token_id",
        "pad_token_id",
        "unk_token_id",
        "auto_map",
        "initializer_range",
        "attention_dropout",
        "hidden_dropout",
        "resid_pdrop",
        "embd_pdrop",
        "attn_pdrop",
        "output_router_logits",
        "router_aux_loss_coef",
        "tie_word_embeddings",
        "vocab_size",
        "quantization_config",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "chunk_size_feed_forward",
        "gradient_checkpointing",
        "problem_type",
        "task_specific_params",
        "id2label",
        "label2id",
        "return_dict",
        "torchscript",
        "output_attentions",
        "output_hidden_states",
        "pretraining_tp",
        "unsloth_version",
        "unsloth_fixed",
        "name_or_path",
        "text_config",
    }
)
# Fields that change how far or how long positions reach, not what a weight means: Instruct's config is kept, and said.
SOFT = frozenset(
    {
        "max_position_embeddings",
        "rope_scaling",
        "sliding_window",
        "use_sliding_window",
        "max_window_layers",
        "original_max_position_embeddings",
    }
)
# Of one architecture and size, but not of one lineage: R1-Distill descends from Qwen2.5-Math (relative L2 to these is over 100 %).
STRANGERS = (
    (
        re.compile(r"Qwen/Qwen2\.5-(1\.5B|7B)(-Instruct)?"),
        re.compile(r"deepseek-ai/DeepSeek-R1-Distill-Qwen-(1\.5B|7B)"),
    ),
)
ROPE = ("rope_theta", "partial_rotary_factor")


@dataclass(frozen=True)
class Preflight:
    """`verdict` is "ok", "ok with notes" or "refused"; `facts` are plain values (sizes in bytes)."""

    verdict: str
    findings: tuple[Finding, ...]
    facts: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.verdict != "refused"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def preflight(pair: str | Pair, memory: int | None = None) -> Preflight:
    """Judge a pair by name, spec or value. `memory` is what this machine has free (bytes; asked from the system by default)."""
    pair = get_pair(pair)
    facts: dict[str, Any] = {"pair": pair.name, "instruct": pair.instruct, "thinking": pair.thinking, "base": pair.base}
    if strangers := list(_lineage(pair)):  # told from the names alone, before anything is asked from a hub
        return Preflight("refused", tuple(strangers), facts)
    try:
        seen = _read_infos(pair)
    except CheckpointError as error:
        finding = Finding("refused", "files", str(error), "", "")
        return Preflight("refused", (finding,), facts)
    one, two, base = seen["instruct"], seen["thinking"], seen.get("base")
    memory = free_memory() or 0 if memory is None else memory
    facts |= _facts(one, two, base, memory)
    findings = [
        *_architecture(one, two),
        *_quantised(seen),
        *_tensors(one, two, pair),
        *token_findings(one, two, pair),
        *template_findings(one, two, pair),
        *_base(one, base),
        *_adapters(seen),
        *_memory(facts),
        *_same(one, two),
    ]
    verdict = "refused" if any(f.level == "refused" for f in findings) else "ok with notes" if findings else "ok"
    return Preflight(verdict, tuple(sorted(findings, key=lambda f: f.level != "refused")), facts)


def _read_infos(pair: Pair) -> dict[str, CheckpointInfo]:
    sources: dict[str, Source] = {
        r: open_source(w)
        for r, w in (("instruct", pair.instruct), ("thinking", pair.thinking), ("base", pair.base))
        if w
    }
    adapters = {r for r, s in sources.items() if is_adapter_source(s)}
    seen = {r: read_info(s, r) for r, s in sources.items() if r not in adapters}
    for role in sorted(adapters):
        on = under_role(role, pair.adapter_on, {r: sources[r].label for r in seen if r not in adapters}, sources[role])
        seen[role] = read_adapter_info(sources[role], role, seen[on])
    return seen


# Findings ------------------------------------------------------------------------------------------------------------


def _lineage(pair: Pair) -> Iterator[Finding]:
    for one, two in STRANGERS:
        for a, b in ((pair.instruct, pair.thinking), (pair.thinking, pair.instruct)):
            if one.fullmatch(a) and two.fullmatch(b):
                yield refused(
                    "lineage",
                    f"{a} and {b} are of different lineages.",
                    "They have the same shapes, but their weights are over 100 % "
                    "(relative L2) apart: R1-Distill descends from Qwen2.5-Math.",
                    "Use the Qwen2.5-Math model of the same size instead.",
                )


def flat(config: dict[str, Any]) -> dict[str, Any]:
    """The text model's config with rope settings in one form, whether an old or a new library wrote it."""
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else {}
    result = {**{k: v for k, v in config.items() if not isinstance(v, dict) or k.startswith("rope")}, **text}
    rope = result.pop("rope_parameters", None)
    if isinstance(rope, dict) and "rope_theta" in rope:
        scaling = {k: v for k, v in rope.items() if k not in ROPE}
        result |= {k: rope[k] for k in ROPE if k in rope}
        if scaling.get("rope_type", "default") != "default":
            result["rope_scaling"] = scaling
    elif isinstance(rope, dict):
        result["rope_scaling"] = rope
    if isinstance(result.get("rope_scaling"), dict):
        scaling = dict(result["rope_scaling"])
        scaling["rope_type"] = scaling.pop("type", scaling.get("rope_type", "default"))
        result["rope_scaling"] = scaling
    return result


def _architecture(one: CheckpointInfo, two: CheckpointInfo) -> Iterator[Finding]:
    a, b = flat(one.config), flat(two.config)
    kinds = a.get("model_type"), b.get("model_type")
    if kinds[0] != kinds[1]:
        yield refused(
            "architecture",
            f"Instruct is a {kinds[0]}, Thinking a {kinds[1]}.",
            "Their tensors do not mean the same.",
            "Choose two fine-tunes of one base model.",
        )
        return
    for key in sorted((a.keys() | b.keys()) - HARMLESS - {"model_type"}):
        x, y = a.get(key), b.get(key)
        if x == y or (isinstance(x, (int, float)) and isinstance(y, (int, float)) and float(x) == float(y)):
            continue
        shown = f"{key} is {shorten(x)} in Instruct and {shorten(y)} in Thinking."
        if key in SOFT or (key not in a) != (key not in b):
            why = (
                "It changes how positions are treated; the blend keeps Instruct's config."
                if key in SOFT
                else "One config leaves it to the library's default, which may be the same."
            )
            yield note(
                "config",
                shown,
                why,
                "Nothing to do for short contexts."
                if key in SOFT
                else "Compare the two configs if results look wrong.",
            )
        elif isinstance(x, (dict, list)) and key.endswith("config"):
            yield note(
                "config",
                f"{key} differs between the parents.",
                "It does not belong to the text model; Instruct's is kept.",
            )
        else:
            yield refused(
                "config",
                shown,
                "The same weights would compute something else.",
                "Choose parents with the same configuration, or correct config.json if one of them is wrong.",
            )


def _quantised(seen: dict[str, CheckpointInfo]) -> Iterator[Finding]:
    for one in seen.values():
        name = one.role.capitalize()
        method = one.config.get("quantization_config") or (one.config.get("text_config") or {}).get(
            "quantization_config"
        )
        scales = [
            n
            for n in one.entries
            if n.endswith(("_scale_inv", ".weight_scale", ".qweight", ".qzeros", ".scales", ".absmax"))
        ]
        small = [
            e
            for e in one.entries.values()
            if e.code not in BLENDABLE and BITS[e.code] <= 8 and e.code != "BOOL" and len(e.shape) > 1
        ]
        if method or scales or small:
            how = (
                str(method.get("quant_method", "quantised"))
                if isinstance(method, dict)
                else small[0].code
                if small
                else "with scales"
            )
            yield refused(
                "quantised",
                f"{name} is quantised ({how}).",
                "Codes and scales cannot be averaged.",
                "Use the bf16 release of the same model, or dequantise it first.",
            )


def _tensors(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    heads = one.head, two.head
    tied = [h is None for h in heads]
    skip = {h for h in heads if h}
    if tied[0] != tied[1]:
        configs = [p.config.get("tie_word_embeddings", t) or t for p, t in zip((one, two), tied)]
        if all(configs):
            who = "Thinking" if tied[0] else "Instruct"
            yield note(
                "tied",
                f"{who} stores its lm_head although it is tied to the embedding.",
                "It is the same tensor twice.",
            )
        elif pair.untie:
            yield note(
                "tied",
                f"{'Instruct' if tied[0] else 'Thinking'} ties its lm_head, the other does not.",
                "The result will be untied, as asked.",
            )
        else:
            who, other = ("Instruct", "Thinking") if tied[0] else ("Thinking", "Instruct")
            yield refused(
                "tied",
                f"{who} ties its lm_head to the embedding, {other} stores its own.",
                "A blend would change what is tied.",
                "Say that the result shall be untied (--untie), or use parents of one kind.",
            )
    missing = [sorted((x.entries.keys() - y.entries.keys()) - skip) for x, y in ((one, two), (two, one))]
    for here, there, names in (("Instruct", "Thinking", missing[0]), ("Thinking", "Instruct", missing[1])):
        if names:
            yield refused(
                "tensors",
                f"{here} has {len(names)} tensors that {there} lacks, such as {names[0]!r}.",
                "Blending needs the same tensors on both sides.",
                "Choose two fine-tunes of one base model.",
            )
    shapes = [
        n for n in sorted(one.entries.keys() & two.entries.keys()) if one.entries[n].shape != two.entries[n].shape
    ]
    rows = one.rows(), two.rows()
    if rows[0] != rows[1]:
        yield refused(
            "vocabulary",
            f"The embedding has {rows[0]} rows in Instruct and {rows[1]} in Thinking.",
            "Rows would not meet their counterparts.",
            "Resize one embedding to the other's size (extra rows are usually padding), then try again.",
        )
        shapes = [n for n in shapes if place(n)[0] not in ("embedding", "lm_head")]
    if shapes:
        a, b = one.entries[shapes[0]], two.entries[shapes[0]]
        yield refused(
            "tensors",
            f"{len(shapes)} tensors differ in shape, such as {shapes[0]!r}: {list(a.shape)} and {list(b.shape)}.",
            "They cannot be blended element by element.",
            "Choose two models of the same size.",
        )
    kinds = [sorted({e.code for e in x.entries.values() if e.code in BLENDABLE}) for x in (one, two)]
    if kinds[0] != kinds[1]:
        yield note(
            "dtype",
            f"Instruct is stored in {', '.join(kinds[0])}, Thinking in {', '.join(kinds[1])}.",
            "Where they differ the blend is written in the wider type, so that both ends stay exact.",
        )
    if strange := unknown_names(one.entries):
        yield note(
            "scope",
            f"{len(strange)} tensors are of no known kind, such as {strange[0]!r}.",
            "They count as module 'other' in a scope.",
        )


def _base(one: CheckpointInfo, base: CheckpointInfo | None) -> Iterator[Finding]:
    if base is None:
        return
    differ = sorted(
        n
        for n in one.entries.keys() | base.entries.keys()
        if (n in one.entries) != (n in base.entries) or one.entries[n].shape != base.entries[n].shape
    )
    differ = [n for n in differ if place(n)[0] != "lm_head" or (one.head and base.head)]
    if differ:
        yield refused(
            "base",
            f"The base does not fit: {len(differ)} tensors differ, such as {differ[0]!r}.",
            "Task vectors need the same tensors.",
            "Name the base that both parents were fine-tuned from, or none.",
        )


def _adapters(seen: dict[str, CheckpointInfo]) -> Iterator[Finding]:
    for one in seen.values():
        if one.adapter:
            about = f"rank {one.adapter['rank']}, {one.adapter['targets']} tensors"
            on, named = one.adapter["on"], one.adapter["named base"]
            config = f"Its config names {named!r} as its base." if named else "Its config names no base."
            yield note(
                "adapter",
                f"{one.role.capitalize()} is a LoRA adapter ({about}) on {on} ({seen[on].label}). {config}",
                "It is blended without a merge.",
                "If it was trained on another checkpoint of the pair, say so with --adapter-on.",
            )


def _memory(facts: dict[str, Any]) -> Iterator[Finding]:
    need, have = facts["memory"]["fold"], facts["memory"]["free"]
    row = facts["memory"]["rowwise"]
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


def _same(one: CheckpointInfo, two: CheckpointInfo) -> Iterator[Finding]:
    if one.label == two.label:
        yield note(
            "pair",
            "Both parents are the same checkpoint.",
            "Every λ gives the same model.",
            "Choose a Thinking checkpoint.",
        )


# Facts ---------------------------------------------------------------------------------------------------------------


def _facts(one: CheckpointInfo, two: CheckpointInfo, base: CheckpointInfo | None, memory: int) -> dict[str, Any]:
    config = flat(one.config)
    both = one.weights + (two.size if two.adapter else two.weights)
    modules: dict[str, int] = {}
    for name in one.entries:
        modules[place(name)[0]] = modules.get(place(name)[0], 0) + 1
    return {
        "architecture": config.get("model_type"),
        "layers": layer_count(one.entries),
        "hidden": config.get("hidden_size"),
        "parameters": sum(e.numel for e in one.entries.values()),
        "tensors": len(one.entries),
        "modules": modules,
        "dtype": sorted({e.code for e in one.entries.values()}),
        "tied": one.head is None,
        "vocabulary": one.rows(),
        "shards": {p.role: len(p.shards) for p in (one, two, base) if p},
        "disk": {p.role: p.size for p in (one, two, base) if p},
        "adapter": {p.role: p.adapter for p in (one, two, base) if p and p.adapter},
        # fold: both parents and the blend; row-wise: both parents. KV cache and activations come on top, by rows and context.
        "memory": {"fold": both + one.weights, "rowwise": both, "free": memory},
    }
