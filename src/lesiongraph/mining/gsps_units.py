"""The units of a presentation state's annotations → array coordinates (PS3.3 C.10.4, C.10.5.1.2).

PIXEL and MATRIX coordinates are those of the stored image: rotation, flip and zoom of the state do not move
them. DISPLAY coordinates are shares of the displayed area, as seen after rotation and flip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from lesiongraph.mining import dicom_values as values

PIXEL_ORIGIN_PX = 0.5  # PS3.3 C.10.5.1.2: the origin is the corner, not the centre, of the first pixel
OUTSIDE_SHARE = 1e-3  # ours: DISPLAY coordinates are 0–1; writers round

# (rotation, flipped) → whether the second corner of the displayed area lies right of and below the first, in
# the stored image: the corners are named as seen after rotation and flip (PS3.3 C.10.4)
_GROWS = {
    (0, False): (True, True),
    (90, False): (True, False),
    (180, False): (False, False),
    (270, False): (False, True),
    (0, True): (False, True),
    (90, True): (True, True),
    (180, True): (True, False),
    (270, True): (False, False),
}

ImageKey = tuple[str, int]  # SOP Instance UID, 0-based frame


class UnitsError(Exception):
    """Coordinates that cannot be placed; the text is the reason of the rejected mark."""


def keys_of(item: Dataset) -> Iterator[ImageKey]:
    """Give the (SOP Instance UID, frame) pairs of a reference; frame 0 where no frame is named."""
    uid = values.text(item, "ReferencedSOPInstanceUID")
    frames = item.get("ReferencedFrameNumber")
    for frame in [1] if frames is None else np.atleast_1d(frames):
        yield uid, int(frame) - 1


@dataclass(frozen=True)
class DisplayedArea:
    """The part of the image shown.

    `left`, `top`, `right`, `bottom` are the outer edges in array coordinates, as seen after rotation and
    flip: on a mirrored image `left` is larger than `right`.
    """

    left: float
    top: float
    right: float
    bottom: float
    turned: bool  # rotated by 90° or 270°: across the screen is down the image
    fault: str = ""  # why DISPLAY coordinates cannot be placed

    @classmethod
    def of(cls, dataset: Dataset, key: ImageKey) -> DisplayedArea:
        """Return the area that a presentation state shows of one image."""
        rotation = values.whole(dataset, "ImageRotation", 0)
        flipped = values.text(dataset, "ImageHorizontalFlip").upper() == "Y"
        corners = _corners(dataset, key)
        if corners is None:
            return cls(np.nan, np.nan, np.nan, np.nan, turned=False, fault="displayed area not stated")
        (x0, y0), (x1, y1) = corners
        grows = _GROWS.get((rotation, flipped))
        agrees = grows is not None and all(
            a == b or (b > a) == up for a, b, up in zip((x0, y0), (x1, y1), grows, strict=True)
        )
        left, right = _outer_edges(x0, x1)
        top, bottom = _outer_edges(y0, y1)
        fault = "" if agrees else "displayed area contradicts the rotation"
        return cls(left, top, right, bottom, rotation in (90, 270), fault)

    def to_array(self, points: np.ndarray, units: str) -> np.ndarray:
        """Return points (N, 2) of the given annotation units in array coordinates (N, 2).

        MATRIX counts from the corner of the total pixel matrix of a tiled image; CT is not tiled, so that its
        matrix is the image.

        Raises
        ------
        UnitsError
            If the units are unknown, or DISPLAY outside the displayed area or without one that can be used.
        """
        units = units.upper()
        if units in ("PIXEL", "MATRIX"):
            return points - PIXEL_ORIGIN_PX
        if units != "DISPLAY":
            raise UnitsError(f"unknown units ({units.lower()[:16] or 'none'})")
        if self.fault:
            raise UnitsError(self.fault)
        if (points < -OUTSIDE_SHARE).any() or (points > 1 + OUTSIDE_SHARE).any():
            raise UnitsError("outside the displayed area")
        across = points[:, ::-1] if self.turned else points
        start = np.array([self.left, self.top])
        placed: np.ndarray = start + across * (np.array([self.right, self.bottom]) - start)
        return placed


def _corners(dataset: Dataset, key: ImageKey) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the displayed area's corners (column, row), 1-based, of the item that holds for the image."""
    for item in dataset.get("DisplayedAreaSelectionSequence") or []:
        entries = list(item.get("ReferencedImageSequence") or [])
        if entries and not any(_names(entry, key) for entry in entries):
            continue
        first = values.numbers(item, "DisplayedAreaTopLeftHandCorner", 2)
        last = values.numbers(item, "DisplayedAreaBottomRightHandCorner", 2)
        if np.isfinite([*first, *last]).all():
            return first, last
    return None


def _names(entry: Dataset, key: ImageKey) -> bool:
    if entry.get("ReferencedFrameNumber") is None:  # all frames are meant
        return values.text(entry, "ReferencedSOPInstanceUID") == key[0]
    return key in keys_of(entry)


def _outer_edges(first: float, last: float) -> tuple[float, float]:
    """Return the outer edges (array coordinates) of the pixels numbered `first` to `last` from 1."""
    step = 0.5 if last >= first else -0.5
    return first - 1 - step, last - 1 + step
