"""What lies in the folder of a checkpoint."""

from pathlib import Path

from safetensors.torch import load_file


def tensors_of(folder):
    return {k: v for f in sorted(Path(folder).glob("*.safetensors")) for k, v in load_file(f).items()}


def left_over(folder):
    return sorted(p.name for p in Path(folder).iterdir() if "partial" in p.name)
