"""The nouns and their units: marks, boxes, spacing, the catalogue's tables (paper Sec. 3)."""

from lesiongraph.lesion.geometry import Axis, BoundingBox, RecistMark, Spacing
from lesiongraph.lesion.schema import (
    KEPT,
    LANDMARKS,
    LESIONS,
    LOCATIONS,
    REJECTED,
    SERIES,
    SERIES_LOCATIONS,
    SLICES,
    conform,
    empty_row,
)
from lesiongraph.lesion.types import LESION_TYPES

__all__ = [
    "KEPT",
    "LANDMARKS",
    "LESIONS",
    "LESION_TYPES",
    "LOCATIONS",
    "REJECTED",
    "SERIES",
    "SERIES_LOCATIONS",
    "SLICES",
    "Axis",
    "BoundingBox",
    "RecistMark",
    "Spacing",
    "conform",
    "empty_row",
]
