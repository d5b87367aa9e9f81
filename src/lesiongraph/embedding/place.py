"""Where a lesion lies and how large it is, as numbers a layer can use (ADR 15)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PLACE_NUMBERS = 5  # x, y, z, long axis (mm), short axis (mm)
_HALF_TURNS = (1.0, 2.0, 4.0)  # over the body's whole extent
_MEDIAN_LOG_MM, _SPREAD_LOG_MM = math.log(15.6), 0.7  # Sec. 4.1: the median of DeepLesion's sizes


def place_inputs() -> int:
    """Return the width of an encoded place."""
    return 3 * 2 * len(_HALF_TURNS) + 2 + PLACE_NUMBERS


def encode_place(places: Tensor) -> Tensor:
    """Encode places; what is unknown becomes zeros and a mark that says so.

    Parameters
    ----------
    places : Tensor (B, 5)
        Relative location x, y, z (0–1), long and short axis in mm; NaN where unknown.

    Returns
    -------
    Tensor (B, 25) float32
        Sines and cosines of x, y, z at three wavelengths, the logarithm of both diameters (about zero mean
        and unit spread), and five marks, 1 where the number is known.
    """
    known = places.isfinite()
    values = places.float().nan_to_num(0.0, 0.0, 0.0)
    turns = values[:, :3, None] * torch.tensor(_HALF_TURNS, device=places.device) * math.pi  # (B, 3, 3)
    waves = torch.cat([turns.sin(), turns.cos()], dim=2) * known[:, :3, None]
    logs = (values[:, 3:].clamp(min=1.0).log() - _MEDIAN_LOG_MM) / _SPREAD_LOG_MM * known[:, 3:]
    return torch.cat([waves.flatten(1), logs, known.float()], dim=1)
