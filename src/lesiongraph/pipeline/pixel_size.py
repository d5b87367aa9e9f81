"""The in-plane spacing that a series states, and what is made of it where it is absent or no CT's."""

from __future__ import annotations

import math
from collections.abc import Mapping

NO_PIXEL_SIZE = "pixel size unknown"
ODD_PIXEL_SIZE = "pixel size implausible"
_USUAL_SPACING_MM = 0.8
_PIXEL_MM = (0.05, 12.0)  # ours: a wrist's detail and a 64-pixel overview of the widest patient
_VIEW_MM = (25.0, 1200.0)  # ours: no scanner's field is wider; less shows no place in the body
_MOST_OBLONG = 5.0


def stated_spacing(series: Mapping[str, object]) -> tuple[float, float]:
    """In-plane spacing (y, x) mm as a SERIES row states it; NaN, both, where it is absent or no CT's."""
    y, x = float(str(series["spacing_y_mm"])), float(str(series["spacing_x_mm"]))
    return (math.nan, math.nan) if spacing_remark(series) else (y, x)


def spacing_remark(series: Mapping[str, object]) -> str:
    """Say what is wrong with a SERIES row's in-plane spacing, "" where nothing is.

    What is wrong is taken for unknown, never for a number: lengths would be made up.
    """
    y, x = float(str(series["spacing_y_mm"])), float(str(series["spacing_x_mm"]))
    if not (math.isfinite(y) and math.isfinite(x) and y > 0 and x > 0):
        return NO_PIXEL_SIZE
    fits = all(_PIXEL_MM[0] <= size <= _PIXEL_MM[1] for size in (y, x))
    fits = fits and 1 / _MOST_OBLONG <= y / x <= _MOST_OBLONG
    for name, size in (("rows", y), ("columns", x)):
        pixels = float(str(series.get(name, math.nan)))  # a picture's row names none
        fits = fits and not (pixels > 0 and not _VIEW_MM[0] <= pixels * size <= _VIEW_MM[1])
    return "" if fits else ODD_PIXEL_SIZE


def plane_spacing(series: Mapping[str, object]) -> tuple[float, float]:
    """In-plane spacing (y, x) mm of a SERIES row for finding the body.

    A series without a usable spacing (flagged by mining) counts as a usual adult field of view: 0.8 mm.
    The body mask tolerates that; no length in mm is ever computed from it.
    """
    y, x = stated_spacing(series)
    return (y, x) if math.isfinite(y) else (_USUAL_SPACING_MM, _USUAL_SPACING_MM)
