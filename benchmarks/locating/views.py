"""Partial views of whole slices: what a zoomed, round or shifted field of view leaves of the body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart import body_box, window_to_8bit

VIEWS = ("full", "zoomed", "round", "shifted")
_AIR_HU = -1024


def cut_view(hu: NDArray[np.int16], kind: str, rng: np.random.Generator) -> NDArray[np.int16]:
    """Cut one view of a slice.

    Parameters
    ----------
    hu : ndarray, shape (rows, columns)
    kind : {"full", "zoomed", "round", "shifted"}
        "zoomed": a square of 0.5 to 0.85 of the body's larger side, anywhere on the body. "round": the same
        with air outside its inscribed circle, as scanners reconstruct. "shifted": a window as large as the
        body that misses 0.2 to 0.4 of it on one side. A slice without a body is returned whole.
    rng : numpy.random.Generator
    """
    if kind not in VIEWS:
        raise ValueError(f"kind: expected one of {', '.join(VIEWS)}, got {kind!r}")
    box = body_box(window_to_8bit(hu, -175, 275))
    if kind == "full" or box is None:
        return hu
    if kind == "shifted":
        return _shifted(hu, box, rng)
    view = _zoomed(hu, box, rng)
    return _round(view) if kind == "round" else view


def _zoomed(
    hu: NDArray[np.int16], box: tuple[int, int, int, int], rng: np.random.Generator
) -> NDArray[np.int16]:
    row0, column0, row1, column1 = box
    height, width = row1 - row0, column1 - column0
    side = max(height, width) * rng.uniform(0.5, 0.85)
    row = (row0 + row1) / 2 + rng.uniform(-0.5, 0.5) * max(0.0, height - 0.7 * side)
    column = (column0 + column1) / 2 + rng.uniform(-0.5, 0.5) * max(0.0, width - 0.7 * side)
    rows = np.clip(np.rint([row - side / 2, row + side / 2]), 0, hu.shape[0]).astype(int)
    columns = np.clip(np.rint([column - side / 2, column + side / 2]), 0, hu.shape[1]).astype(int)
    return hu[rows[0] : rows[1], columns[0] : columns[1]]


def _round(view: NDArray[np.int16]) -> NDArray[np.int16]:
    y, x = np.ogrid[-1 : 1 : view.shape[0] * 1j, -1 : 1 : view.shape[1] * 1j]
    return np.where(y**2 + x**2 <= 1, view, _AIR_HU).astype(np.int16)


def _shifted(
    hu: NDArray[np.int16], box: tuple[int, int, int, int], rng: np.random.Generator
) -> NDArray[np.int16]:
    row0, column0, row1, column1 = box
    lost = rng.uniform(0.2, 0.4)
    side = int(rng.integers(4))
    if side == 0:
        return hu[row0 + round(lost * (row1 - row0)) :]
    if side == 1:
        return hu[: row1 - round(lost * (row1 - row0))]
    if side == 2:
        return hu[:, column0 + round(lost * (column1 - column0)) :]
    return hu[:, : column1 - round(lost * (column1 - column0))]
