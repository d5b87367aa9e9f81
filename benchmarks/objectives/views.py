"""The ways a lesion is shown to a frozen trunk: another box, mirrored, other grey levels, other slices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox

SLICES = 9  # cut of every lesion, 2 mm apart, so that triplets above and below the key slice can be taken


@dataclass(frozen=True)
class View:
    """One look at a lesion; without arguments the paper's three slices and box.

    `offset` and `stride` are in context slices: of the triplet's middle from the key slice, and between
    its slices. `shift` is in widths and heights of the box.
    """

    offset: int = 0
    stride: int = 1
    shift: tuple[float, float] = (0.0, 0.0)
    grow: float = 1.0
    mirrored: bool = False
    added_hu: int = 0

    def of(self, patch: Patch) -> Patch:
        """Return what is seen of a patch of `SLICES` slices."""
        middle = len(patch.hu) // 2 + self.offset
        if not self.stride <= middle < len(patch.hu) - self.stride:
            raise ValueError(f"{self}: its slices are not among the patch's {len(patch.hu)}")
        hu = patch.hu[[middle - self.stride, middle, middle + self.stride]]
        if self.added_hu:
            hu = (hu.astype(np.int32) + self.added_hu).clip(-(2**15), 2**15 - 1).astype(np.int16)
        box = self._moved(patch.box)
        if self.mirrored:
            last = hu.shape[2] - 1
            hu, box = hu[:, :, ::-1], BoundingBox(last - box.x1, box.y0, last - box.x0, box.y1)
        return replace(patch, hu=hu, box=box)

    def _moved(self, box: BoundingBox) -> BoundingBox:
        x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        x, y = x + self.shift[0] * box.width_px, y + self.shift[1] * box.height_px
        half_x, half_y = self.grow * box.width_px / 2, self.grow * box.height_px / 2
        return BoundingBox(x - half_x, y - half_y, x + half_x, y + half_y)


@dataclass(frozen=True)
class Sight:
    """What a head reads of a lesion: a trunk's pooled maps of one triplet of slices, or of several."""

    trunk: str = ""  # "": the one the script is told
    triplets: tuple[View, ...] = (View(),)
    joined: Literal["mean", "concatenated"] = "mean"

    @property
    def name(self) -> str:
        """Trunk, where not the script's, and the context slices read, mm from the key slice."""
        slices = sorted({one.offset + k * one.stride for one in self.triplets for k in (-1, 0, 1)})
        how = f", triplets {self.joined}" if len(self.triplets) > 1 else ""
        trunk = f"{self.trunk} trunk, " if self.trunk else ""
        return f"{trunk}slices at {', '.join(str(2 * one) for one in slices)} mm{how}"


PLAIN = View()
BOXES = (
    *(View(shift=shift) for shift in ((-0.1, 0.0), (0.1, 0.0), (0.0, -0.1), (0.0, 0.1))),
    *(View(grow=grow) for grow in (0.85, 1.15)),
)
MIRROR = (View(mirrored=True),)
NEIGHBOURS = (View(offset=-1), View(offset=1))  # triplets 2 mm above and below
LEVELS = (View(added_hu=-30), View(added_hu=30))  # a window whose level is 30 HU off
