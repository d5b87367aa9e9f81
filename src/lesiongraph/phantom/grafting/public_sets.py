"""What is known beforehand of public CT sets: their licences, and hand-checked places in their series.

`public_sets.json` lists, for series of known UID, balls given by a voxel (slice from the head, row, column of
the stored image) and a radius: within them a liver (its voxel lies in it) or a kidney (its voxel is about
its middle on the slice) may be grown, and a "keep out" ball holds something that is no healthy tissue. The
voxels were set by eye on the images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

KEEP_OUT = "keep out"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ball:
    """A hand-set voxel of a series, and how far round it to look."""

    kind: str  # liver | kidney | keep out
    slice_index: int
    row: int
    column: int
    radius_mm: float


@dataclass(frozen=True)
class Licence:
    """Under which licence a set was published; `open`: weights trained on it may be shipped."""

    name: str
    is_open: bool


def licence_of(names: Sequence[str]) -> Licence:
    """Return the licence of the set that one of the names (patient id, folders) begins with.

    A set that is not listed counts as not open: what is not known is not claimed.
    """
    for entry in _table()["licences"]:
        if any(name.startswith(entry["names"]) for name in names):
            return Licence(str(entry["licence"]), bool(entry["open"]))
    return Licence(UNKNOWN, False)


def balls_of(series_instance_uid: str) -> list[Ball]:
    """Return the hand-set places of a series; none for a series that nobody looked at."""
    return [Ball(*row) for row in _table()["places"].get(series_instance_uid, [])]


@cache
def _table() -> dict:  # type: ignore[type-arg]
    text = resources.files(__package__).joinpath("public_sets.json").read_text(encoding="utf-8")
    table: dict = json.loads(text)  # type: ignore[type-arg]
    return table
