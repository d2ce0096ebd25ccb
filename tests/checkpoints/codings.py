"""Weights as the usual quantisations code them: the tensors that stand in a file in place of a matrix."""

import torch


def gptq(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.qweight"] = torch.ones(max(1, w.shape[1] // 8), w.shape[0], dtype=torch.int32)
    t[f"{root}.qzeros"] = torch.ones(1, max(1, w.shape[0] // 8), dtype=torch.int32)
    t[f"{root}.scales"] = torch.ones(1, w.shape[0], dtype=torch.float16)
    t[f"{root}.g_idx"] = torch.zeros(w.shape[1], dtype=torch.int32)


def bnb4(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.weight"] = torch.zeros(w.numel() // 2, 1, dtype=torch.uint8)
    t[f"{root}.weight.absmax"] = torch.ones(4)
    t[f"{root}.weight.quant_map"] = torch.ones(16)


def bnb8(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.weight"] = torch.zeros(w.shape, dtype=torch.int8)
    t[f"{root}.SCB"] = torch.ones(w.shape[0])


def fp8(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.weight"] = w.to(torch.float8_e4m3fn)
    t[f"{root}.weight_scale_inv"] = torch.ones(1, 1)


def fp8_bare(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.weight"] = w.to(torch.float8_e4m3fn)


def exl2(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.q_weight"] = torch.ones(4, w.shape[0], dtype=torch.int32)
    t[f"{root}.q_groups"] = torch.ones(2, dtype=torch.int16)
    t[f"{root}.q_scale_max"] = torch.ones(1, dtype=torch.float16)


def hqq(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.W_q"] = torch.zeros(w.shape, dtype=torch.uint8)
    t[f"{root}.zero"] = torch.ones(1, w.shape[0])


def mxfp4(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}_blocks"] = torch.zeros(w.shape[0], 1, 16, dtype=torch.uint8)
    t[f"{root}_scales"] = torch.zeros(w.shape[0], 1, dtype=torch.uint8)


def packed(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.weight_packed"] = torch.zeros(w.shape[0], 4, dtype=torch.int32)
    t[f"{root}.weight_scale"] = torch.ones(w.shape[0], 1)
    t[f"{root}.weight_shape"] = torch.tensor(w.shape)


def trellis(t: dict[str, torch.Tensor], root: str, w: torch.Tensor) -> None:
    t[f"{root}.trellis"] = torch.zeros(2, 2, 16, dtype=torch.int16)
    t[f"{root}.suh"] = torch.ones(w.shape[1], dtype=torch.float16)
