"""The one window of the lesion network: lung, soft tissue and bone in 0–255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesiongraph.recipe import ImagingRecipe

_RECIPE = ImagingRecipe()


def window_to_255(
    hu: NDArray[np.number], low_hu: float = _RECIPE.window_low_hu, high_hu: float = _RECIPE.window_high_hu
) -> NDArray[np.float32]:
    """Return HU mapped linearly from [low, high] to [0, 255], clamped.

    Parameters
    ----------
    hu : array of any shape, HU
        Values below `low_hu` (GE writes air outside the field of view as −2000 or −3024) become 0.
    low_hu, high_hu : float
        The window.

    Returns
    -------
    float32 array of the same shape, 0–255

    Raises
    ------
    ValueError
        If the window is empty.

    Source
    ------
    Sec. 3: "rescaled to floating-point numbers in [0, 255] using a single windowing".
    """
    if not high_hu > low_hu:
        raise ValueError(f"window [{low_hu}, {high_hu}] HU: expected low < high")
    scaled = np.asarray(hu, dtype=np.float32)
    scaled = (scaled - np.float32(low_hu)) * np.float32(255.0 / (high_hu - low_hu))
    return np.clip(scaled, 0.0, 255.0, out=scaled)
