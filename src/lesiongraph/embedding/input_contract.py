"""What an external network takes and how its output is read (docs/trunks.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from lesiongraph.embedding.trunk import WINDOW_HU
from lesiongraph.errors import WeightsError

NEXT_STEP = "docs/trunks.md says what an external trunk must take and give."
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SLICES = 3  # of a patch


@dataclass(frozen=True)
class InputContract:
    """What an external network takes and how its output is read.

    Attributes
    ----------
    layout : {"slices", "volume"}
        (B, 3, S, S): the three slices stand for red, green and blue, as DINO-like networks take; or
        (B, 1, depth, S, S): as 3-D networks take.
    side_px : int
        S. Patches (at most 200 px of 1 mm) lie in the upper left corner, the rest is the lowest HU.
    window_hu : (float, float)
        HU that become 0 and 1.
    mean, std : tuple of float
        Subtracted and divided by afterwards: one number, or one a channel.
    depth : int
        Slices of a volume; the outermost of the patch's three are repeated.
    batched : bool
        Whether the network takes more than one patch at once.
    """

    layout: Literal["slices", "volume"] = "slices"
    side_px: int = 224
    window_hu: tuple[float, float] = WINDOW_HU
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    depth: int = SLICES
    batched: bool = True

    @classmethod
    def of(cls, stated: Mapping[str, Any], source: str) -> InputContract:
        """Read a contract from JSON values.

        Raises
        ------
        WeightsError
            If a key is unknown or a value impossible.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(stated) - known)
        if unknown:
            raise refused(source, f"a contract with keys {', '.join(sorted(known))}", ", ".join(unknown))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()}
        contract = cls(**values)
        contract._check(source)
        return contract

    def _check(self, source: str) -> None:
        channels = 1 if self.layout == "volume" else SLICES
        if self.layout not in ("slices", "volume"):
            raise refused(source, "layout slices or volume", self.layout)
        if len(self.window_hu) != 2 or not self.window_hu[0] < self.window_hu[1]:
            raise refused(source, "window_hu [low, high]", str(list(self.window_hu)))
        if any(len(values) not in (1, channels) for values in (self.mean, self.std)):
            raise refused(source, f"mean and std of 1 or {channels} numbers", f"{self.mean}, {self.std}")
        if min(self.std) <= 0 or self.side_px < 16 or (self.layout == "volume" and self.depth < 1):
            raise refused(source, "positive std and depth, side_px of at least 16", str(asdict(self)))

    def prepare(self, hu: Tensor, extents: Tensor | None = None) -> Tensor:
        """Return the network's input from patches (B, 3, H, W) in HU, padded beyond `extents` (B, 2).

        Raises
        ------
        ValueError
            If the patches are larger than `side_px`.
        """
        if max(hu.shape[2:]) > self.side_px:
            raise ValueError(f"patches of {tuple(hu.shape[2:])} px do not fit side_px {self.side_px}")
        low, high = self.window_hu
        x = (hu.clamp(low, high) - low) / (high - low)
        if extents is not None:
            for one, (height, width) in zip(x, extents.tolist(), strict=True):
                one[:, height:] = 0
                one[:, :, width:] = 0
        x = functional.pad(x, (0, self.side_px - x.shape[3], 0, self.side_px - x.shape[2]))
        if self.layout == "volume":
            nearest = torch.arange(self.depth) - self.depth // 2 + SLICES // 2
            x = x[:, nearest.clamp(0, SLICES - 1)][:, None]
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, std = (torch.tensor(values, device=x.device).view(shape) for values in (self.mean, self.std))
        return (x - mean) / std

    def as_map(self, output: Tensor) -> Tensor:
        """Return an output as a map (B, C, h, w).

        Of a volume the maximum over its slices, of a vector one cell.

        Raises
        ------
        ValueError
            If its shape is none that is known.
        """
        if output.ndim == 2:
            return output[:, :, None, None]
        if output.ndim == 5:
            return output.amax(2)
        if output.ndim == 3:
            return self._from_tokens(output)
        if output.ndim != 4:
            raise ValueError(f"an output of {output.ndim} dimensions")
        return output

    def _from_tokens(self, tokens: Tensor) -> Tensor:
        """Lay the last n² of tokens (B, few + n², C) out as a map; class and register tokens come first."""
        cells = math.isqrt(tokens.shape[1])
        return tokens[:, -(cells**2) :].transpose(1, 2).reshape(len(tokens), -1, cells, cells)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What the network sees of one patch, the batch dimension in front."""
        middle = (SLICES,) if self.layout == "slices" else (1, self.depth)
        return (1, *middle, self.side_px, self.side_px)


def refused(source: str, expected: str, found: str) -> WeightsError:
    """Return the error for an external trunk that breaks its contract."""
    return WeightsError(f"{source}: external trunk", expected, found, NEXT_STEP)
