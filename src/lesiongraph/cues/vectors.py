"""Location and size as vectors whose largest value in each dimension is 1 (Sec. 6.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.errors import NotEnoughDataError


def location_vectors(locations: ArrayLike) -> NDArray[np.float64]:
    """Return locations with each dimension divided by its maximum over the rows given.

    Parameters
    ----------
    locations : (N, 3) array
        Relative body location x, y, z.

    Returns
    -------
    (N, 3) float64 array

    Raises
    ------
    ValueError
        If the shape is not (N, 3).
    NotEnoughDataError
        If a value is not finite.

    Source
    ------
    Sec. 6.1: "The maximum value of each dimension of the locations and sizes is normalized to 1."
    """
    return _divide_by_maximum(locations, 3, "locations", None)


def size_vectors(sizes_mm: ArrayLike, *, percentile: float | None = None) -> NDArray[np.float64]:
    """Return sizes with each dimension divided by its maximum (or a percentile) over the rows given.

    Parameters
    ----------
    sizes_mm : (N, 2) array
        Long and short diameter in mm. Millimetres, not pixels: only they make two fields of view
        comparable, and only they give the size error of the reference row (tests/real).
    percentile : float, optional
        Divide by this percentile instead of the maximum, e.g. 99. One lesion of 343 mm makes T_low = 0.02
        worth 7 mm in DeepLesion, against 2 mm at the 99th percentile; values above 1 then remain.

    Returns
    -------
    (N, 2) float64 array

    Raises
    ------
    ValueError
        If the shape is not (N, 2), or the percentile is outside (0, 100].
    NotEnoughDataError
        If a value is not finite.

    Source
    ------
    Sec. 6.1 (maximum); the percentile is ours.
    """
    if percentile is not None and not 0 < percentile <= 100:
        raise ValueError(f"percentile: expected 0 < percentile <= 100, got {percentile}")
    return _divide_by_maximum(sizes_mm, 2, "sizes", percentile)


def _divide_by_maximum(
    values: ArrayLike, width: int, name: str, percentile: float | None
) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != width:
        raise ValueError(f"{name}: expected an array of shape (N, {width}), got {array.shape}")
    bad = int((~np.isfinite(array).all(axis=1)).sum())
    if bad:
        raise NotEnoughDataError(
            name, "a finite value for every lesion", f"{bad} of {len(array)} rows without one",
            "Leave those lesions out, or run the stage that gives the value.",
        )  # fmt: skip
    if not len(array):
        return array
    top = array.max(axis=0) if percentile is None else np.percentile(array, percentile, axis=0)
    # A dimension that is nowhere positive has no maximum to scale by: it is left as it is.
    scaled: NDArray[np.float64] = array / np.where(top > 0, top, 1.0)
    return scaled
