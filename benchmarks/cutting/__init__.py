"""Takes real slices that show the whole body; gives views that cut it, and where points truly lie in it.

A view is a square, or the circle in it, of two sorts: `tight` (0.70–0.97 of the body's longer side, about
centred on it, as when a patient is too wide for the field of view) and `zoom` (120–260 mm, anywhere on the
body).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.imaging import BodyBox, body_mask, canonical_view, seen_box
from lesiongraph.mining import LooseSeries, open_loose

KINDS = ("tight", "tight round", "zoom", "zoom round")
POINTS = 4  # judged in each view
WINDOW_HU = (-175.0, 275.0)  # asked for, never used: none of these is an 8-bit picture
# data/README.md: for tests only; no constant in the package is fitted on these
NOT_SHIPPED = ("LUNG1-001_tcia", "LUNG1-002", "3Dircadb1.17", "3Dircadb1.1", "MIDRC-RICORD-1A-419639-001012")

__all__ = [
    "KINDS",
    "CutView",
    "WholeSlice",
    "cut_views",
    "outside_circle",
    "whole_deeplesion",
    "whole_slices",
]


@dataclass(frozen=True)
class WholeSlice:
    """A slice that shows the whole body, and the box round it."""

    patient: str
    shipped: bool
    hu: np.ndarray  # (rows, cols) int16
    spacing_mm: tuple[float, float]  # (y, x)
    mask: np.ndarray  # (rows, cols) bool
    box: BodyBox

    @property
    def half_mm(self) -> np.ndarray:
        """Half width and half depth, (2,)."""
        sides_px = np.array([self.box.x1 - self.box.x0, self.box.y1 - self.box.y0])
        return sides_px * self.spacing_mm[::-1] / 2


@dataclass(frozen=True)
class CutView:
    """A part of a whole slice, and the true relative place of points in it."""

    whole: WholeSlice
    kind: str
    hu: np.ndarray
    centres_px: np.ndarray  # (POINTS, 2), (x, y) in the view
    true_xy: np.ndarray  # (POINTS, 2)
    true_mask: np.ndarray  # (rows, cols) bool: the uncut slice's, as far as the view shows it


def whole_slices(data: Path, per_series: int) -> Iterator[WholeSlice]:
    """Yield some slices of every real volume and series whose body the view does not cut."""
    sources = [*sorted((data / "volumes").glob("*.nii.gz")), *sorted((data / "dicom").iterdir())]
    for source in sources:
        name = source.name.removesuffix(".nii.gz")
        for loose in open_loose(source, WINDOW_HU):
            yield from _of_series(name, loose, per_series)


def whole_deeplesion(data: Path) -> Iterator[WholeSlice]:
    """Yield the first, middle and last slice of DeepLesion series: no constant was fitted on these."""
    marks = pd.read_csv(data / "deeplesion" / "lesions_in_images.csv")
    spacing_of = marks.groupby("series")[["sy", "sx"]].first()
    for folder in sorted((data / "deeplesion" / "Images_png").iterdir()):
        files = sorted(folder.glob("*.png"))
        if folder.name not in spacing_of.index or not files:
            continue
        y_mm, x_mm = spacing_of.loc[folder.name]
        spacing = float(y_mm), float(x_mm)
        for index in sorted({0, len(files) // 2, len(files) - 1}):
            hu = next(open_loose(files[index], WINDOW_HU)).reader.read([0])[0]
            body = body_mask(hu, spacing)
            if not body.flag:
                yield WholeSlice(folder.name[:6], False, hu, spacing, body.mask, seen_box(body.mask))


def _of_series(name: str, loose: LooseSeries, per_series: int) -> Iterator[WholeSlice]:
    series = loose.series
    spacing = float(str(series["spacing_y_mm"])), float(str(series["spacing_x_mm"]))
    indices = loose.slices.slice_index.to_numpy(int)
    chosen = np.unique(np.linspace(0, len(indices) - 1, per_series).astype(int))
    for index in indices[chosen]:
        hu = canonical_view(
            loose.reader.read([int(index)])[0], bool(series["flip_x"]), bool(series["flip_y"])
        )
        body = body_mask(hu, spacing)
        if not body.flag:
            yield WholeSlice(
                _patient(name), name not in NOT_SHIPPED, hu, spacing, body.mask, seen_box(body.mask)
            )


def _patient(name: str) -> str:
    """ACRIN-FLT-Breast_001_<date> and Lung_Dx-A0001_<series> are one patient each."""
    return re.sub(r"_(\d{8}|s\d)$", "", name)


def cut_views(whole: WholeSlice, rng: np.random.Generator) -> Iterator[CutView]:
    """Yield one view of each kind, where one can be had that cuts the body."""
    for kind in KINDS:
        for _ in range(50):
            view = _cut(whole, kind, rng)
            if view is not None:
                yield view
                break


def _cut(whole: WholeSlice, kind: str, rng: np.random.Generator) -> CutView | None:
    centre_mm, side_mm = _square(whole, kind, rng)
    y_mm, x_mm = whole.spacing_mm
    rows, columns = whole.hu.shape
    x0, x1 = (round((centre_mm[0] + half) / x_mm) for half in (-side_mm / 2, side_mm / 2))
    y0, y1 = (round((centre_mm[1] + half) / y_mm) for half in (-side_mm / 2, side_mm / 2))
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(columns, x1), min(rows, y1)
    if (y1 - y0) * y_mm < 80 or (x1 - x0) * x_mm < 80:
        return None
    hu, body = whole.hu[y0:y1, x0:x1].copy(), whole.mask[y0:y1, x0:x1].copy()
    if kind.endswith("round"):
        outside = outside_circle(*hu.shape)
        hu[outside] = rng.choice([-2000, -1024])  # as scanners write it, and as readers hand it on
        body[outside] = False
    if body.mean() < 0.45 or body.sum() == whole.mask.sum():
        return None
    ys, xs = np.nonzero(body)
    picked = rng.integers(len(ys), size=POINTS)
    centres = np.stack([xs[picked], ys[picked]], axis=1).astype(float)
    box = whole.box
    true_xy = (centres + np.array([x0 - box.x0, y0 - box.y0])) / [box.x1 - box.x0, box.y1 - box.y0]
    return CutView(whole, kind, hu, centres, true_xy, body)


def _square(whole: WholeSlice, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the centre (x, y) and the side of a view, mm."""
    mm = np.array(whole.spacing_mm[::-1])
    if kind.startswith("tight"):
        middle = np.array([whole.box.x0 + whole.box.x1, whole.box.y0 + whole.box.y1]) / 2 * mm
        return middle + rng.normal(0, 15, 2), 2 * float(whole.half_mm.max()) * rng.uniform(0.7, 0.97)
    ys, xs = np.nonzero(whole.mask)
    picked = rng.integers(len(ys))
    return np.array([xs[picked], ys[picked]]) * mm, rng.uniform(120, 260)


def outside_circle(rows: int, columns: int) -> np.ndarray:
    """Return what of an image lies outside its inscribed ellipse, (rows, columns) bool."""
    down = (np.arange(rows)[:, None] - (rows - 1) / 2) / (rows / 2)
    right = (np.arange(columns)[None, :] - (columns - 1) / 2) / (columns / 2)
    return down**2 + right**2 > 1
