"""From which HU upwards a pixel is body: half way from air to tissue, wherever a picture's window put air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BODY_HU = -500.0  # half way from air to soft tissue: the skin line is least sensitive to it
FAT_HU = -100.0  # the lightest tissue that covers the body
RISE = 0.2  # of the way from the floor to fat: clipping has made the air even, so the skin's edge is safe
LEAST_RISE_HU = 10.0  # above a floor that has swallowed fat too
FLOOR_SHARE = 0.01  # of the pixels on one lowest value: measured HU of tissue are never so equal


@dataclass(frozen=True)
class AirLevel:
    """What tells body from air on one slice.

    Attributes
    ----------
    body_hu : float
        Denser than this is body.
    clipped : bool
        The slice was a picture whose window ends above air: room air, lung and gas have one value, so that
        density cannot tell them apart.
    """

    body_hu: float
    clipped: bool


def air_level(hu: NDArray[np.integer]) -> AirLevel:
    """Return the level between air and body of a slice.

    A picture drawn with the window [−175, 275] and read back as HU has its air at −175: above −500 all of it
    is. Its floor shows as one lowest value that many pixels share.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
    """
    sample = hu[::4, ::4]  # a sixteenth of the pixels is plenty to see a floor
    floor = int(sample.min())
    level = max(floor + RISE * (FAT_HU - floor), floor + LEAST_RISE_HU)
    clipped = level > BODY_HU and float((sample == floor).mean()) >= FLOOR_SHARE
    return AirLevel(level, True) if clipped else AirLevel(BODY_HU, False)
