"""Export: a blend as a checkpoint in its parents' own layout, streamed, staged, verified, then moved into place in one step.

Peak memory is a few blocks, whatever the model's size. Until the last `os.replace` nothing stands at the target; whatever goes
wrong before (disk full, a parent that changes, Ctrl-C) removes the staging folder and leaves the user's files as they were.
"""

import io
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from mi_explorer.checkpoints.checkpoint import Checkpoint
from mi_explorer.checkpoints.headers import CODES, TensorEntry
from mi_explorer.checkpoints.parents import BLOCK, finite
from mi_explorer.checkpoints.source import Folder
from mi_explorer.merging.blend import PairBlend
from mi_explorer.merging.combine import combine
from mi_explorer.merging.model_card import model_card
from mi_explorer.merging.staging import ExportError, Staging
from mi_explorer.untyped import JsonObject

# Read at a time where a block is a plain lerp: all three buffers stay in cache (8 MB pieces took twice as long).
CHUNK_BYTES = 1 << 20
INDEX = "model.safetensors.index.json"
TOKENIZER = (
    "tokenizer",
    "special_tokens_map",
    "vocab",
    "merges",
    "added_tokens",
    "chat_template",
    "generation_config",
    "preprocessor_config",
)
Progress = Callable[[int, int], None]  # bytes done, bytes in all; may raise to stop


@dataclass(frozen=True)
class Exported:
    """What was written: folder, total bytes of tensors, shards, tensors, and the recipe's hash."""

    path: str
    bytes: int
    shards: int
    tensors: int
    recipe: str


@dataclass(frozen=True)
class Shard:
    """One output file: its header bytes (length prefix included) and its tensors in file order."""

    name: str
    header: bytes
    tensors: tuple[str, ...]


def export_checkpoint(
    blend: PairBlend, out: str | Path, *, command: str = "", progress: Progress | None = None
) -> Exported:
    """Write `blend` to the folder `out` (which must not exist, or be empty). Tokenizer and template follow the recipe's policy.

    Raises `ExportError` (target, disk) or `CheckpointError` (a parent that is damaged or changed under us).
    """
    shards = plan_shards(blend)
    total = sum(_size(blend, name) for name in blend.names())
    with Staging(Path(out), total) as stage:
        done, scratch = 0, Scratch()
        for shard in shards:
            with open(stage / shard.name, "wb", buffering=0) as file:
                write_all(file, shard.header)
                for name in shard.tensors:
                    for data in tensor_bytes(blend, name, scratch):
                        write_all(file, data)
                        done += len(data)
                        if progress:
                            progress(done, total)
            blend.parents.check_unchanged()
        if len(shards) > 1 or shards[0].name != "model.safetensors":
            weight_map = {name: shard.name for shard in shards for name in shard.tensors}
            index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
            (stage / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")
        copy_files(blend, stage)
        (stage / "README.md").write_text(model_card(blend, command), encoding="utf-8")
        verify_written(blend, stage)
        blend.parents.check_unchanged()
    return Exported(str(out), total, len(shards), len(blend.names()), blend.recipe.hash)


# Layout --------------------------------------------------------------------------------------------------------------


def plan_shards(blend: PairBlend) -> list[Shard]:
    """Instruct's shards with Instruct's tensors in Instruct's order; its header bytes are kept where nothing changes."""
    source, names = blend.parents.instruct, set(blend.names())
    by_shard: dict[str, list[TensorEntry]] = {}
    for entry in sorted(source.entries.values(), key=lambda e: (e.shard, e.start, e.stop)):
        if entry.name in names:
            by_shard.setdefault(entry.shard, []).append(entry)
    added = sorted(names - set(source.entries))  # an lm_head that is untied on request
    shards = []
    for i, (shard, entries) in enumerate(sorted(by_shard.items())):
        order = [e.name for e in entries] + (added if i == len(by_shard) - 1 else [])
        whole = [e.name for e in source.entries.values() if e.shard == shard]
        same = len(whole) == len(order) and all(blend.parents.dtype(e.name) == e.dtype for e in entries)
        header = source.raw_headers.get(shard) if same else None
        shards.append(Shard(shard, header or _header(blend, order), tuple(order)))
    return shards


def _header(blend: PairBlend, names: list[str]) -> bytes:
    content: JsonObject = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in names:
        size = _size(blend, name)
        shape = list(blend.parents.entry("instruct", name).shape)
        content[name] = {"dtype": CODES[blend.parents.dtype(name)], "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _size(blend: PairBlend, name: str) -> int:
    return blend.parents.entry("instruct", name).numel * blend.parents.dtype(name).itemsize


# Numbers -------------------------------------------------------------------------------------------------------------


class Scratch:
    """Buffers that one export reuses: fresh pages for every tensor would cost more than the arithmetic."""

    def __init__(self) -> None:
        self.buffers: dict[int, torch.Tensor] = {}

    def get(self, i: int, dtype: torch.dtype, n: int) -> torch.Tensor:
        """Buffer `i` as n elements of `dtype` (at most `CHUNK_BYTES`)."""
        if i not in self.buffers:
            self.buffers[i] = torch.empty(CHUNK_BYTES, dtype=torch.uint8)
        return self.buffers[i].view(dtype)[:n]


def tensor_bytes(blend: PairBlend, name: str, scratch: Scratch) -> Iterator[memoryview]:
    """The bytes of one blended tensor, piece by piece. A piece is valid until the next one is asked for."""
    parents, dtype = blend.parents, blend.parents.dtype(name)
    n = parents.entry("instruct", name).numel
    a, b = blend.coefficients(name)
    roles = ["instruct"] if (a, b) == (1.0, 0.0) else ["thinking"] if (a, b) == (0.0, 1.0) else ["instruct", "thinking"]
    plain = all(type(parents.part(r)) is Checkpoint and parents.entry(r, name).dtype == dtype for r in roles)
    if plain and (blend.between_parents or not blend.inside(name)):
        step = CHUNK_BYTES // dtype.itemsize
        p, q, w = (scratch.get(i, dtype, min(step, n)) for i in range(3))
        for start in range(0, n, step):
            size = min(step, n - start)
            for role, buffer in zip(roles, (p, q)):
                part = parents.part(role)
                part.read_into(parents.entry(role, name), start * dtype.itemsize, buffer[:size])
            result = p[:size] if len(roles) == 1 else combine(p[:size], q[:size], a, b, w[:size])
            if parents.blends(name) and not finite(result):
                for role, buffer in zip(roles, (p, q)):
                    parents.check_finite(role, name, buffer[:size])
                raise ExportError(f"{name}: λ {blend.recipe.lam:g} is beyond what {dtype} holds. Choose a smaller λ.")
            yield _bytes(result)
        return
    for start in range(0, n, BLOCK):
        yield _bytes(blend.block(name, start, min(n, start + BLOCK)))


def _bytes(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.contiguous().view(torch.uint8).numpy())  # type: ignore[arg-type]


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all of it: an unbuffered file may take less at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


# Files ---------------------------------------------------------------------------------------------------------------


def template_role(blend: PairBlend) -> str:
    """Whose tokenizer and template the blend gets: by policy; "own" is Instruct's at λ = 0, Thinking's everywhere else."""
    policy = blend.recipe.template
    return policy if policy != "own" else "instruct" if blend.recipe.lam == 0 else "thinking"


def copy_files(blend: PairBlend, stage: Path) -> None:
    """config.json from Instruct (dtype and tie set to what was written), tokenizer and template by policy, licence files."""
    parents = blend.parents
    config = json.loads(json.dumps(parents.instruct.config))
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    for part in (config, text):
        part.pop("quantization_config", None)  # left over: quantised weights are not blended
    codes = {parents.dtype(n) for n in blend.names() if parents.blends(n)}
    if codes != {parents.entry("instruct", n).dtype for n in blend.names() if parents.blends(n)} and len(codes) == 1:
        for part in {id(config): config, id(text): text}.values():
            for key in ("dtype", "torch_dtype"):
                if key in part:
                    part[key] = str(next(iter(codes))).removeprefix("torch.")
    if parents.untied and parents.reading.infos["instruct"].tensors.config_tied:
        config["tie_word_embeddings"] = text["tie_word_embeddings"] = False
    (stage / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")  # ASCII, whatever is in it
    copy_tokenizer(blend, stage)
    base = parents.instruct.folder if not hasattr(parents.instruct, "under") else parents.instruct.under.folder
    for name in sorted(base.files()):
        if name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")) and base.files()[name] < 1 << 20:
            (stage / name).write_bytes(base.read(name))


def copy_tokenizer(blend: PairBlend, stage: Path) -> None:
    """Tokenizer and template files of the parent that the template policy names; an adapter without any takes those under it."""
    chosen = blend.parents.part(template_role(blend))
    folders = [chosen.folder] + ([chosen.under.folder] if hasattr(chosen, "under") else [])
    holder = next((f for f in folders if any(n.startswith("tokenizer") for n in f.files())), folders[-1])
    for name in sorted(holder.files()):
        if name.startswith(TOKENIZER) and name.endswith((".json", ".jinja", ".txt", ".model")):
            (stage / name).write_bytes(holder.read(name))


def verify_written(blend: PairBlend, stage: Path) -> None:
    """Reopen what was written with our reader and the reference library; names, shapes, dtypes and sampled numbers must agree."""
    from safetensors import safe_open

    written = Checkpoint(Folder(stage))
    expected = {
        name: (blend.parents.entry("instruct", name).shape, blend.parents.dtype(name)) for name in blend.names()
    }
    if {name: written.header(name) for name in written.names()} != expected:
        raise ExportError(
            "The written checkpoint does not read back with the expected tensors; nothing was kept. Please report this."
        )
    try:
        for shard, names in {
            s: [n for n in expected if written.entries[n].shard == s] for s in written.raw_headers
        }.items():
            with safe_open(str(stage / shard), framework="pt") as file:
                if set(file.keys()) != set(names):
                    raise ExportError(
                        f"{shard} does not read back with its tensors; nothing was kept. Please report this."
                    )
            for name in {names[0], names[-1], names[len(names) // 2]}:
                n = min(BLOCK, written.entries[name].numel)
                one, two = written.block(name, 0, n), blend.block(name, 0, n)
                if not torch.equal(one.view(torch.uint8), two.view(torch.uint8)):
                    raise ExportError(
                        f"{name} does not read back as it was computed; nothing was kept. Is the disk or memory faulty?"
                    )
    finally:
        written.close()


# Staging -------------------------------------------------------------------------------------------------------------
