"""Text drawn into the pixels of a CT slice, outside the body: suspected, never removed.

Drawn text is made of thin strokes of one grey value, brighter than anything beside a patient, in a row of
components of one height. Tables, wires and pads are bright too, but their values vary from pixel to pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BRIGHT_HU = 300  # ours: beside the body only metal is brighter, and what someone drew
_GLYPH_PX = (5, 48)  # ours: height of a letter, in pixels
_WIDEST = 1.8  # ours: a letter is at most this many of its heights wide
_FULLEST = 0.85  # ours: strokes fill less of a letter's box than this
_SAME_VALUE = (
    0.15  # ours: share of a row's bright pixels that have its commonest value; smoothed edges take most
)
_LETTERS = 4  # ours: letters and digits in a row that make a text
_FURTHEST_APART = 2.0  # ours: gap between neighbours of a row, in letter heights
_AROUND_BODY_PX = 3


def suspect_text(hu: NDArray[np.integer], patient: NDArray[np.bool_]) -> bool:
    """Return whether a slice seems to hold drawn text outside the patient.

    Parameters
    ----------
    hu : (rows, cols) int16, HU
    patient : (rows, cols) bool
        Body and limbs.

    Notes
    -----
    Text over the body, text no brighter than `BRIGHT_HU`, and fewer than four letters are missed.
    """
    bright = (hu > BRIGHT_HU) & ~ndimage.binary_dilation(patient, iterations=_AROUND_BODY_PX)
    if not bright.any():
        return False
    labels, count = ndimage.label(bright, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    glyphs = [number for number in range(1, count + 1) if _is_glyph(labels, boxes[number - 1], number)]
    return any(_is_text(hu, labels, row) for row in _rows(glyphs, boxes))


def _is_glyph(labels: NDArray[np.int32], box: tuple[slice, slice], number: int) -> bool:
    height, width = (part.stop - part.start for part in box)
    if not _GLYPH_PX[0] <= height <= _GLYPH_PX[1] or width > _WIDEST * height:
        return False
    fill = np.count_nonzero(labels[box] == number) / (height * width)
    return bool(width <= max(2, height // 3) or fill <= _FULLEST)  # an "l" or "1" fills its box


def _rows(glyphs: list[int], boxes: list[tuple[slice, slice]]) -> list[list[int]]:
    """Return runs of neighbouring components that stand on one line, of about one height."""
    rows: list[list[int]] = []
    for number in sorted(glyphs, key=lambda n: boxes[n - 1][1].start):
        for row in rows:
            if _follows(boxes[row[-1] - 1], boxes[number - 1]):
                row.append(number)
                break
        else:
            rows.append([number])
    return [row for row in rows if len(row) >= _LETTERS]


def _follows(before: tuple[slice, slice], after: tuple[slice, slice]) -> bool:
    heights = [box[0].stop - box[0].start for box in (before, after)]
    overlap = min(before[0].stop, after[0].stop) - max(before[0].start, after[0].start)
    gap = after[1].start - before[1].stop
    return bool(
        overlap >= 0.6 * min(heights)
        and max(heights) <= 2 * min(heights)
        and gap <= _FURTHEST_APART * max(heights)
    )


def _is_text(hu: NDArray[np.integer], labels: NDArray[np.int32], row: list[int]) -> bool:
    """Whether the components' pixels have one value, as drawn strokes do."""
    values = hu[np.isin(labels, row)]
    _, times = np.unique(values, return_counts=True)
    return bool(times.max() >= _SAME_VALUE * len(values))
