"""The map of z: bodies from the front on one z axis, with regions and landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesiongraph.figures.body_location import BAND_COLOURS, Borders
from lesiongraph.figures.theme import in_house_style, new_canvas, place, write_at

_WIDTH_IN = 9.6
_BAR_IN, _NAMES_IN, _HEAD_IN, _FOOT_IN = 0.72, 1.95, 0.36, 0.12
_GAP_IN = 0.06
_MARK_COLOUR = "#FFC400"
_LABEL_IN = 0.125  # landmarks closer than this move apart


@dataclass(frozen=True)
class FrontView:
    """One body from the front for `z_map_figure`.

    `picture` (n, w), row = slice, 0..1; `z` (n,) rising; `width_mm` of the picture; `marks`: z at which this
    body shows a landmark, in `landmarks`' order, NaN where it does not.
    """

    name: str
    picture: np.ndarray
    z: np.ndarray
    width_mm: float
    marks: Sequence[float] = ()


@dataclass(frozen=True)
class LandmarkRow:
    """One landmark of the atlas."""

    name: str
    z: float
    sd: float
    n: int


@in_house_style
def z_map_figure(
    bodies: Sequence[FrontView],
    regions: Borders,
    landmarks: Sequence[LandmarkRow],
    mm_per_z: float,
    z_range: tuple[float, float],
) -> Figure:
    """Draw bodies stretched to a common z axis; the same organ should lie at the same height in all.

    Lines: mean z of a landmark; yellow ticks: where this very body shows it.
    """
    low, high = z_range
    room = _WIDTH_IN - _BAR_IN - _NAMES_IN - _GAP_IN * len(bodies)
    inch_per_mm = room / sum(body.width_mm for body in bodies)
    height = (high - low) * mm_per_z * inch_per_mm
    figure = new_canvas(_WIDTH_IN, _HEAD_IN + height + _FOOT_IN)
    bar = place(figure, _BAR_IN - 0.2, _HEAD_IN, 0.14, height)
    _draw_regions(bar, regions, (low, high))
    left = _BAR_IN
    for body in bodies:
        width = body.width_mm * inch_per_mm
        axes = place(figure, left, _HEAD_IN, width, height)
        _draw_body(axes, body, landmarks, (low, high))
        name = body.name.replace("_", "_\n", 1) if len(body.name) > 16 else body.name
        write_at(figure, left + width / 2, _HEAD_IN - 0.04, name, ha="center", va="bottom", fontsize=6)
        left += width + _GAP_IN
    names = place(figure, left, _HEAD_IN, _NAMES_IN, height)
    _draw_names(names, landmarks, (low, high), height)
    return figure


def _draw_regions(axes: Axes, regions: Borders, z_range: tuple[float, float]) -> None:
    low, high = z_range
    for i, (name, start, end) in enumerate(regions):
        if end <= low or start >= high:
            continue
        axes.axhspan(start, end, color=("#B9CBDD", "#DCE6EF")[i % 2], linewidth=0, gid="region")
        middle = (max(start, low) + min(end, high)) / 2
        axes.text(0.5, middle, name, rotation=90, ha="center", va="center", fontsize=6.5)
    axes.set(xlim=(0, 1), ylim=(high, low))
    axes.set_xticks([])
    axes.set_yticks(np.arange(np.ceil(low * 20), np.floor(high * 20) + 1) / 20)
    axes.set_ylabel("z")


def _draw_body(
    axes: Axes, body: FrontView, landmarks: Sequence[LandmarkRow], z_range: tuple[float, float]
) -> None:
    low, high = z_range
    grid = np.linspace(low, high, 700)  # rows of the picture that is drawn
    rows = np.interp(grid, body.z, np.arange(len(body.z)), left=np.nan, right=np.nan)
    shown = np.isfinite(rows)
    before = np.floor(rows[shown]).astype(int)
    after = np.minimum(before + 1, len(body.z) - 1)
    share = (rows[shown] - before)[:, None]
    picture = np.zeros((len(grid), body.picture.shape[1]))
    picture[shown] = (1 - share) * body.picture[before] + share * body.picture[after]
    masked = np.ma.array(picture, mask=np.repeat(~shown[:, None], picture.shape[1], axis=1))
    axes.set_facecolor(BAND_COLOURS[1])
    axes.imshow(masked, cmap="gray", vmin=0, vmax=1, aspect="auto", extent=(0, 1, high, low))
    for row in landmarks:
        axes.axhline(row.z, color="#56B4E9", linewidth=0.5, alpha=0.8, gid="landmark")
    for z in body.marks:
        if np.isfinite(z):
            axes.plot([0, 0.07], [z, z], color=_MARK_COLOUR, linewidth=1.6, gid="mark")
            axes.plot([0.93, 1], [z, z], color=_MARK_COLOUR, linewidth=1.6)
    axes.set(xlim=(0, 1), ylim=(high, low))
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_names(
    axes: Axes, landmarks: Sequence[LandmarkRow], z_range: tuple[float, float], height_in: float
) -> None:
    low, high = z_range
    axes.set(xlim=(0, 1), ylim=(high, low))
    axes.set_axis_off()
    ordered = sorted((row for row in landmarks if low <= row.z <= high), key=lambda row: row.z)
    gap_in = min(_LABEL_IN, height_in / max(len(ordered), 1))
    places = spread_labels([row.z for row in ordered], gap_in * (high - low) / height_in)
    for row, at in zip(ordered, places, strict=True):
        axes.plot([0, 0.06, 0.12], [row.z, row.z, at], color="#56B4E9", linewidth=0.5)
        told = f"{row.name}  {row.z:.3f}" + (f" ± {row.sd:.3f}" if row.n > 1 else "")
        axes.text(0.13, at, told, fontsize=6, va="center", gid="name")


def spread_labels(wanted: Sequence[float], gap: float) -> np.ndarray:
    """Places at least `gap` apart in the wanted order, moved as little as possible (least squares)."""
    at = np.asarray(wanted, float) - gap * np.arange(len(wanted))
    # pool neighbours whose order would break: isotonic regression
    blocks: list[list[float]] = []
    for value in at:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, weight), (other, own) = blocks[-2], blocks.pop()
            blocks[-1] = [(mean * weight + other * own) / (weight + own), weight + own]
    moved = np.concatenate([np.full(int(weight), mean) for mean, weight in blocks]) if blocks else at
    return np.asarray(moved + gap * np.arange(len(wanted)))
