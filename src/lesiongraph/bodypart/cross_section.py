"""One slice in mm: how wide its largest part is, and whether the view cuts it.

A regressor trained on trunks scores a head or an arm all the same. Size tells them apart: an adult's trunk is
wider than any head, neck or limb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_GRID_MM = 4.0
_BODY_HU = -300
_BONE_HU = 300
_CUT_MM = 20.0  # so much body on the image's edge means that the view cuts it
_OPENING_MM = 8.0  # table and clothes are thinner
_TRUNK_MM = 200.0  # ours: on the real volumes trunks were at least 260 mm wide, a head with its arms 150
_HEAD_MM = 260.0  # no head is wider
_SKULL_SHARE = 0.3  # ours: up to 0.72 within a skull, 0.03 on other slices of the real volumes
_SMALL_VIEW_MM = 250.0


@dataclass(frozen=True)
class CrossSection:
    """The largest part of the body on a slice.

    `width_mm` from side to side and `depth_mm`; NaN where the slice shows no body or the spacing is unknown.
    `view_mm` is the shorter side of the image. `cut`: the part reaches the image's edge, so it is larger.
    `enclosed`: share of the part that a closed ring of bone surrounds, as the skull does the brain.
    """

    width_mm: float
    depth_mm: float
    view_mm: float
    cut: bool
    enclosed: float = 0.0

    @property
    def narrow(self) -> bool:
        """Whether the part is wholly in view and narrower than an adult's trunk."""
        return self.width_mm < _TRUNK_MM and not self.cut

    @property
    def measured(self) -> bool:
        """Whether the width is known and the part wholly in view."""
        return math.isfinite(self.width_mm) and not self.cut

    @property
    def head(self) -> bool:
        """Whether bone surrounds what is in view, as the skull does."""
        return self.enclosed >= _SKULL_SHARE

    @property
    def small_view(self) -> bool:
        """Whether the view shows only a part of the body."""
        return self.cut and self.view_mm < _SMALL_VIEW_MM


UNKNOWN = CrossSection(math.nan, math.nan, math.nan, False)


def cross_section(hu: NDArray[np.number], spacing_mm: tuple[float, float]) -> CrossSection:
    """Measure one slice (rows, columns) in HU; `spacing_mm` (row, column), NaN where unknown.

    The image is thinned to a grid of about 4 mm: enough to tell 160 mm from 280 mm, and cheap.
    """
    if not all(math.isfinite(size) and size > 0 for size in spacing_mm):
        return UNKNOWN
    view_mm = min(hu.shape[0] * spacing_mm[0], hu.shape[1] * spacing_mm[1])
    steps = [max(1, round(_GRID_MM / size)) for size in spacing_mm]
    rows_mm, columns_mm = (size * step for size, step in zip(spacing_mm, steps, strict=True))
    solid = hu[:: steps[0], :: steps[1]] > _BODY_HU
    rounds = max(1, round(_OPENING_MM / (2 * _GRID_MM)))
    solid = ndimage.binary_opening(np.pad(solid, rounds + 1, mode="edge"), iterations=rounds)
    labels, count = ndimage.label(solid[rounds + 1 : -rounds - 1, rounds + 1 : -rounds - 1])
    if count == 0:
        return CrossSection(math.nan, math.nan, view_mm, False)
    # by their boxes: of a chest, lungs leave but a rim
    extents = ndimage.find_objects(labels)
    rows, columns = max(extents, key=lambda extent: _area(extent))
    part = labels[rows, columns] > 0
    edge_mm = 0.0
    edge_mm += rows_mm * float(part[:, 0].sum()) * (columns.start == 0)
    edge_mm += rows_mm * float(part[:, -1].sum()) * (columns.stop == labels.shape[1])
    edge_mm += columns_mm * float(part[0].sum()) * (rows.start == 0)
    edge_mm += columns_mm * float(part[-1].sum()) * (rows.stop == labels.shape[0])
    width, depth = (columns.stop - columns.start) * columns_mm, (rows.stop - rows.start) * rows_mm
    if width > _HEAD_MM:
        return CrossSection(width, depth, view_mm, edge_mm > _CUT_MM)
    bone = hu[:: steps[0], :: steps[1]][rows, columns] > _BONE_HU
    ring = ndimage.binary_closing(np.pad(bone, 2))
    inside = ndimage.binary_fill_holes(ring) & ~ring
    return CrossSection(width, depth, view_mm, edge_mm > _CUT_MM, float(inside.sum() / max(part.sum(), 1)))


def _area(extent: tuple[slice, ...]) -> int:
    rows, columns = extent
    return int((rows.stop - rows.start) * (columns.stop - columns.start))
