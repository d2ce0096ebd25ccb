"""What the tensors of a pair say: quantised, missing, of another shape, tied, ignored. From headers and configs alone."""

from collections.abc import Iterator, Mapping

from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo
from mi_explorer.checkpoints.findings import Finding, note, refused
from mi_explorer.checkpoints.headers import BITS, BLENDABLE, DTYPES
from mi_explorer.checkpoints.model_tensors import LayoutError
from mi_explorer.checkpoints.tensor_names import is_beside, unknown_names
from mi_explorer.pairs import Pair

# Names of the scales and codes that quantised checkpoints store beside (or instead of) a weight.
SCALES = ("weight_scale_inv", "weight_scale", "qweight", "qzeros", "scales", "absmax", "SCB", "_scales", "_blocks")


def own_findings(info: CheckpointInfo) -> Iterator[Finding]:
    """What is wrong with one parent by itself: quantised, incomplete, or not the model that its config describes."""
    try:
        tensors = info.tensors
    except LayoutError as error:
        yield refused("layout", f"{info.name}: {error}", "", "Choose another architecture.")
        return
    method = _method(info)
    codes = [
        e
        for name, e in info.entries.items()
        if e.code not in BLENDABLE and BITS[e.code] <= 32 and e.code != "BOOL" and len(e.shape) > 1
    ]
    scales = [n for n in info.entries if n.endswith(SCALES) and n not in tensors.places]
    held = [info.entries[name] for name in tensors.places if name not in tensors.whole_numbers]
    coded = [e for e in held if e.code not in BLENDABLE]  # the model has numbers where the file has codes
    coded += [e for e in info.entries.values() if e.code not in DTYPES]  # smaller than a byte
    if coded or ((scales or codes) and (tensors.missing or scales)):
        how = method or next((e.code for e in coded + codes), "with scales")
        yield refused(
            "quantised",
            f"{info.name} is quantised ({how}).",
            "Codes and scales cannot be averaged.",
            "Use the bf16 release of the same model, or dequantise it first.",
        )
        return
    if method:
        yield note(
            "quantised",
            f"{info.name}'s config names a quantisation ({method}), but its weights are plain.",
            "The setting is left over, and is not used.",
        )
    if tensors.missing:
        yield _missing(info)
        return
    if tensors.misfits:
        yield from _misfits(info)
    if tensors.ignored:
        yield note(
            "ignored",
            f"{info.name} stores {len(tensors.ignored)} tensors that its model does not load, such as {tensors.ignored[0]!r}.",
            "They are not blended and not run; an export keeps those of Instruct.",
        )


def _method(info: CheckpointInfo) -> str:
    """What config.json calls the quantisation; "" without any."""
    text = info.config.get("text_config")
    settings = info.config.get("quantization_config") or (
        text.get("quantization_config") if isinstance(text, dict) else None
    )
    return str(settings.get("quant_method", "quantised"))[:40] if isinstance(settings, dict) else ""


def _missing(info: CheckpointInfo) -> Finding:
    tensors = info.tensors
    if set(tensors.missing) == {tensors.head_key}:
        return refused(
            "tensors",
            f"{info.name} stores no lm_head ({tensors.head_key}), and its config says that it is not tied to the embedding.",
            "It would start as random numbers.",
            "Set tie_word_embeddings to true in config.json if the model is tied, else download the file that holds the head.",
        )
    return refused(
        "tensors",
        f"{info.name} lacks {len(tensors.missing)} tensors that its config asks for, such as {tensors.missing[0]!r}.",
        "They would start as random numbers.",
        "Download the missing files, or correct config.json.",
    )


def _misfits(info: CheckpointInfo) -> Iterator[Finding]:
    wrong = dict(info.tensors.misfits)
    for name in (info.tensors.embedding, info.tensors.head):
        if name in wrong and len(wrong[name]) == len(info.entries[name].shape) == 2:
            rows, asked = info.entries[name].shape[0], wrong[name][0]
            if rows != asked:
                yield refused(
                    "vocabulary",
                    f"{info.name} stores {rows} rows in {name!r}, but its config says vocab_size = {asked}.",
                    "Such a checkpoint does not load.",
                    f"Set vocab_size to {rows} in config.json (rows beyond the tokenizer are padding), or resize the embedding.",
                )
                wrong = {n: s for n, s in wrong.items() if n not in (info.tensors.embedding, info.tensors.head)}
                break
    if wrong:
        name = min(wrong)
        yield refused(
            "tensors",
            f"{info.name}: {len(wrong)} tensors have another shape than the config asks for, such as {name!r}: "
            f"{list(info.entries[name].shape)} instead of {list(wrong[name])}.",
            "Such a checkpoint does not load.",
            "Correct config.json, or download the weights that belong to it.",
        )


def pair_findings(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    """How the tensors of the parents meet: tying, names, shapes, dtypes."""
    yield from _ties(one, two, pair)
    for here, there, names in ((one, two, absent(one, two)), (two, one, absent(two, one))):
        if names:
            yield refused(
                "tensors",
                f"{here.name} has {len(names)} tensors that {there.name} lacks, such as {names[0]!r}.",
                "Blending needs the same tensors on both sides.",
                "Choose two fine-tunes of one base model.",
            )
    yield from shape_findings(one, two)
    yield from tower_findings(one, two)
    kinds = [sorted({x.entries[n].code for n in x.tensors.places} & set(BLENDABLE)) for x in (one, two)]
    if kinds[0] != kinds[1]:
        yield note(
            "dtype",
            f"Instruct is stored in {', '.join(kinds[0])}, Thinking in {', '.join(kinds[1])}.",
            "Where they differ the blend is written in the wider type, so that both ends stay exact.",
        )
    if strange := unknown_names(one.tensors.places):
        yield note(
            "scope",
            f"{len(strange)} tensors are of no known kind, such as {strange[0]!r}.",
            "They count as module 'other' in a scope.",
        )
    if one.label == two.label:
        yield note(
            "pair",
            "Both parents are the same checkpoint.",
            "Every λ gives the same model.",
            "Choose a Thinking checkpoint.",
        )


def _ties(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    for info in (one, two):
        if info.tensors.config_tied and not info.tensors.tied:
            yield note(
                "tied",
                f"{info.name} stores its lm_head although its config ties it to the embedding.",
                "Where its numbers differ from the embedding's it is a head of its own, as transformers reads it; it is blended as such.",
            )
    ties, says = [x.tensors.tied for x in (one, two)], [x.tensors.config_tied for x in (one, two)]
    if ties[0] == ties[1] or all(says):
        return
    who, other = (one, two) if ties[0] else (two, one)
    if pair.untie:
        yield note("tied", f"{who.name} ties its lm_head, the other does not.", "The result will be untied, as asked.")
    else:
        yield refused(
            "tied",
            f"{who.name} ties its lm_head to the embedding, {other.name} stores its own.",
            "A blend would change what is tied.",
            "Say that the result shall be untied (--untie), or use parents of one kind.",
        )


def absent(here: CheckpointInfo, there: CheckpointInfo) -> list[str]:
    """Names of the language model's tensors that only `here` stores; a tied head is no tensor."""
    places = set(there.tensors.places.values())
    return sorted(
        n for n, p in here.tensors.places.items() if p not in places and n != here.tensors.head and not is_beside(p[0])
    )


def other_towers(one: CheckpointInfo, two: CheckpointInfo) -> list[str]:
    """Keys beside the language model that differ in shape, or that one side lacks; sorted."""
    sizes = [
        {p: info.entries[n].shape for n, p in info.tensors.places.items() if is_beside(p[0])} for info in (one, two)
    ]
    return sorted(p[0] for p in sizes[0].keys() | sizes[1].keys() if sizes[0].get(p) != sizes[1].get(p))


def tower_findings(one: CheckpointInfo, two: CheckpointInfo) -> Iterator[Finding]:
    """What sees and hears is not blended, so it may be of another size; it stays Instruct's."""
    if differ := other_towers(one, two):
        yield note(
            "towers",
            f"{len(differ)} tensors beside the language model differ in shape or stand on one side only, such as {differ[0]!r}.",
            "They are not blended: every λ keeps Instruct's, which text does not pass through.",
        )


def shape_findings(one: CheckpointInfo, two: CheckpointInfo) -> Iterator[Finding]:
    """Tensors of one place that cannot be blended element by element."""
    theirs = {place: name for name, place in two.tensors.places.items()}
    meet = [(n, theirs[p]) for n, p in sorted(one.tensors.places.items()) if p in theirs and not is_beside(p[0])]
    wrong = [(a, b) for a, b in meet if one.entries[a].shape != two.entries[b].shape]
    if one.rows != two.rows:
        yield refused(
            "vocabulary",
            f"The embedding has {one.rows} rows in {one.name} and {two.rows} in {two.name}.",
            "Rows would not meet their counterparts.",
            "Resize one embedding to the other's size (extra rows are usually padding), then try again.",
        )
        wrong = [(a, b) for a, b in wrong if a not in (one.tensors.embedding, one.tensors.head)]
    if wrong:
        a, b = wrong[0]
        yield refused(
            "tensors",
            f"{len(wrong)} tensors differ in shape, such as {a!r}: {list(one.entries[a].shape)} and {list(two.entries[b].shape)}.",
            "They cannot be blended element by element.",
            "Choose two models of the same size.",
        )


def base_findings(one: CheckpointInfo, base: CheckpointInfo) -> Iterator[Finding]:
    """Whether the base holds the same tensors; its config does not matter, for it is never run."""
    theirs = {place: name for name, place in base.tensors.places.items()}
    differ = absent(one, base) + absent(base, one)
    differ += [
        n
        for n, p in one.tensors.places.items()
        if p in theirs and not is_beside(p[0]) and one.entries[n].shape != base.entries[theirs[p]].shape
    ]
    if differ:
        yield refused(
            "base",
            f"The base does not fit: {len(differ)} tensors differ, such as {min(differ)!r}.",
            "Task vectors need the same tensors.",
            "Name the base that both parents were fine-tuned from, or none.",
        )


def adapter_findings(infos: Mapping[str, CheckpointInfo]) -> Iterator[Finding]:
    """Which parents are LoRA adapters, and on what they sit."""
    for info in infos.values():
        if info.adapter and not info.adapter["targets"] and not info.adapter["replaced"]:
            yield refused(
                "adapter",
                f"{info.name} is a LoRA adapter without any factors.",
                "Every λ would give the checkpoint under it.",
                "Save the adapter again once it is trained.",
            )
        elif info.adapter:
            about = f"rank {info.adapter['rank']}, {info.adapter['targets']} tensors"
            on, named = info.adapter["on"], info.adapter["named base"]
            config = f"Its config names {named!r} as its base." if named else "Its config names no base."
            yield note(
                "adapter",
                f"{info.name} is a LoRA adapter ({about}) on {on} ({infos[on].label}). {config}",
                "It is blended without a merge.",
                "If it was trained on another checkpoint of the pair, say so with --adapter-on.",
            )
