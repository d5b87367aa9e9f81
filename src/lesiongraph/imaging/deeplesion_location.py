"""The x and y that DeepLesion states, reproduced; and the way back to a plain relative location.

Found on the six official rows whose slices are at hand (docs/body-mask.md): all twelve numbers agree to
about 1e-6. The stated numbers are not the relative position itself but that position rescaled, as a min–max
normalisation over the whole data set would do it. y is thereby pressed together (slope 0.81) and shifted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THRESHOLD_HU = -768  # authors' code: 32,000 in their unsigned 16-bit images
OPENING_PX = 7  # authors' code
# ours: fitted on the six rows; what the authors' x and y were before 0 and after 1
LOWEST_XY = (0.009096, -0.147253)
HIGHEST_XY = (1.012682, 1.081974)


def relative_xy_as_stated(hu: NDArray[np.integer], centre_xy_px: tuple[float, float]) -> tuple[float, float]:
    """Return x and y as DeepLesion's `Normalized_lesion_location` states them.

    For comparison with the official file only: the mask is the authors', so a piece of the table that
    survives the opening widens the box, and the result is rescaled.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
        A DeepLesion slice as released (already canonical).
    centre_xy_px : (x, y)
        Centre of the lesion's box, 0-based px.

    Source
    ------
    Sec. 8.1 for the idea; the numbers are ours, see the module's docstring.
    """
    mask = hu > THRESHOLD_HU
    opened = ndimage.binary_opening(mask, np.ones((OPENING_PX, OPENING_PX), dtype=bool))
    if not opened.any():
        opened = np.ones_like(mask)
    relative = []
    for centre, axis in zip(centre_xy_px, (0, 1), strict=True):
        inside = np.flatnonzero(opened.any(axis=axis))
        # the authors set 1-based centres against 0-based mask columns, and divide by last − first
        relative.append((centre + 1 - inside[0]) / (inside[-1] - inside[0]))
    x, y = (
        (value - low) / (high - low) for value, low, high in zip(relative, LOWEST_XY, HIGHEST_XY, strict=True)
    )
    return float(x), float(y)


def plain_from_stated_xy(
    xy_stated: NDArray[np.floating] | tuple[float, float],
) -> NDArray[np.float64]:
    """Return stated x and y with the rescaling undone, so that they can be set against `relative_xy`.

    Parameters
    ----------
    xy_stated : (..., 2)
        NaN stays NaN.
    """
    low, high = np.array(LOWEST_XY), np.array(HIGHEST_XY)
    return np.asarray(low + np.asarray(xy_stated, dtype=np.float64) * (high - low))
