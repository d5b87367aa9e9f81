"""In which number format a trunk runs where nothing is learnt."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16 products; emulated ones would be slower."""
    # torch has no public question for it
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def inference_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which convolutions and matrix products run in bfloat16 if nothing is learnt.

    Only where it was measured to be faster at no loss: in torch's inference mode, on processors that
    multiply bfloat16 themselves. A GPU keeps single precision.

    Source: docs/adr/0014-bfloat16.md.
    """
    if torch.is_inference_mode_enabled() and device.type == "cpu" and multiplies_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()


def single_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context without bfloat16, inside `inference_precision` or not."""
    return torch.autocast(device.type, enabled=False)
