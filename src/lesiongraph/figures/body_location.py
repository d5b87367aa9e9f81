"""z of whole series: against position, at equal z side by side, and of the same landmark in many patients."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lesiongraph.figures.theme import WRONG_COLOUR, in_house_style, new_canvas, place, write_at

Borders = Sequence[tuple[str, float, float]]  # region, z from, z to; head to foot
REAL_COLOUR, PHANTOM_COLOUR, LEFT_OUT_COLOUR = "#0072B2", "#9A9A9A", "#D55E00"
BAND_COLOURS = ("#FFFFFF", "#EFF3F7")  # neighbouring regions differ
_PANEL_IN, _PANEL_HEIGHT_IN, _TITLE_IN = 1.42, 1.12, 0.36
_LEFT_IN, _GAP_IN = 0.62, 0.14
_TILE_IN, _NAME_IN = 1.0, 1.35
_SCALE_BAR_MM = 100.0


@dataclass(frozen=True)
class SeriesCurve:
    """One series for `series_figure`.

    `position_mm` (n,) grows towards the feet; `z` (n,) of single slices, `z_refit` (n,) of the series;
    `z_left_out` (n,), if any, by a model that never saw the patient. `marks`: (position in mm, z that the
    atlas gives the landmark).
    """

    name: str
    position_mm: np.ndarray
    z: np.ndarray
    z_refit: np.ndarray
    r: float
    mm_per_z: float
    flags: Sequence[str] = ()
    marks: Sequence[tuple[float, float]] = ()
    z_left_out: np.ndarray | None = None
    note: str = ""


@in_house_style
def series_figure(curves: Sequence[SeriesCurve], regions: Borders, columns: int = 6) -> Figure:
    """Draw z against position, one panel a series; all panels share both axes, so slopes compare by eye."""
    rows = -(-len(curves) // columns)
    step = _TITLE_IN + _PANEL_HEIGHT_IN
    figure = new_canvas(_LEFT_IN + columns * (_PANEL_IN + _GAP_IN), rows * step + 0.75)
    longest = max(float(np.ptp(curve.position_mm)) for curve in curves)
    seen = np.concatenate([curve.z for curve in curves])
    low, high = float(max(0, seen.min() - 0.03)), float(min(1, seen.max() + 0.03))
    for i, curve in enumerate(curves):
        row, column = divmod(i, columns)
        left = _LEFT_IN + column * (_PANEL_IN + _GAP_IN)
        axes = place(figure, left, row * step + _TITLE_IN, _PANEL_IN, _PANEL_HEIGHT_IN)
        _draw_bands(axes, regions, named=column == 0)
        _draw_curve(axes, curve)
        axes.set(xlim=(-0.03 * longest, 1.03 * longest), ylim=(high, low))  # head on top
        axes.tick_params(length=2, labelleft=column == 0, labelbottom=i + columns >= len(curves))
        _title(figure, curve, left, row * step)
    _series_legend(figure, rows * step + 0.42, left_out=any(c.z_left_out is not None for c in curves))
    return figure


def _draw_bands(axes: Axes, regions: Borders, named: bool) -> None:
    for i, (name, start, end) in enumerate(regions):
        axes.axhspan(start, end, color=BAND_COLOURS[i % 2], linewidth=0, zorder=0, gid="region")
        if named:
            where = axes.get_yaxis_transform()
            style = {"fontsize": 5.5, "color": "#6A7A8A", "va": "center", "clip_on": True}
            axes.text(0.98, (start + end) / 2, name, transform=where, ha="right", **style)  # type: ignore[arg-type]


def _draw_curve(axes: Axes, curve: SeriesCurve) -> None:
    x = curve.position_mm - curve.position_mm[0]
    if curve.z_left_out is not None:
        axes.plot(x, curve.z_left_out, ".", color=LEFT_OUT_COLOUR, markersize=1.6, gid="left out")
    axes.plot(x, curve.z, ".", color=PHANTOM_COLOUR, markersize=1.8, gid="slices")
    axes.plot(x, curve.z_refit, color=REAL_COLOUR, linewidth=1.0, gid="refit")
    for position, z in curve.marks:
        axes.plot(
            position - curve.position_mm[0],
            z,
            "d",
            color="black",
            markersize=3.2,
            mfc="none",
            mew=0.7,
            gid="mark",
        )


def _title(figure: Figure, curve: SeriesCurve, left: float, top: float) -> None:
    write_at(figure, left, top + 0.05, shortened(curve.name), fontsize=5.8, fontweight="bold", va="top")
    rise = f", 1 z = {curve.mm_per_z:.0f} mm" if np.isfinite(curve.mm_per_z) else ""
    told = f"r {curve.r:.3f}{rise}{', ' + curve.note if curve.note else ''}"
    write_at(figure, left, top + 0.15, told, fontsize=5.5, va="top", color="#444444")
    if curve.flags:
        write_at(
            figure, left, top + 0.245, "; ".join(curve.flags), fontsize=5.5, va="top", color=WRONG_COLOUR
        )


def shortened(name: str, most: int = 27) -> str:
    """Leave out a long name's middle: its end tells series of one patient apart."""
    if len(name) <= most:
        return name
    tail = most // 2
    return name[: most - tail - 1] + "…" + name[-tail:]


def _series_legend(figure: Figure, top: float, left_out: bool) -> None:
    parts = [("●", PHANTOM_COLOUR, "single slice"), ("—", REAL_COLOUR, "refitted series")]
    parts += (
        [("●", LEFT_OUT_COLOUR, "single slice, by a model that never saw the patient")] if left_out else []
    )
    parts += [("◇", "black", "landmark seen in the series, at the z the atlas gives it")]
    left = _LEFT_IN
    for sign, colour, text in parts:
        write_at(figure, left, top, sign, fontsize=7, color=colour, va="top")
        write_at(figure, left + 0.13, top, text, fontsize=6.5, va="top")
        left += 0.4 + 0.048 * len(text)
    axes_told = "x: mm towards the feet from the first slice; y: z, head on top; bands: regions"
    write_at(figure, _LEFT_IN, top + 0.15, axes_told, fontsize=6.5, va="top", color="#444444")


@dataclass(frozen=True)
class PatientSlices:
    """One patient for `equal_z_figure`: column → (slice, mm per px), None where the scan has no such z.

    Slices are HU (rows, columns), canonical view.
    """

    name: str
    slices: Sequence[tuple[np.ndarray, float] | None]
    note: str = ""


@in_house_style
def equal_z_figure(
    patients: Sequence[PatientSlices], titles: Sequence[str], field_mm: float = 420.0
) -> Figure:
    """Draw slices of different patients at equal z: a column should show the same organs in every row.

    Parameters
    ----------
    patients : one row each
    titles : one a column
    field_mm : float
        Side of every picture, so that bodies compare in size; the white bar is 100 mm.
    """
    titles = [wrapped(title) for title in titles]
    head = 0.08 + 0.115 * max(title.count("\n") + 1 for title in titles)
    figure = new_canvas(_NAME_IN + len(titles) * (_TILE_IN + 0.04), head + len(patients) * (_TILE_IN + 0.04))
    for column, title in enumerate(titles):
        left = _NAME_IN + column * (_TILE_IN + 0.04) + _TILE_IN / 2
        write_at(figure, left, head - 0.05, title, ha="center", va="bottom", fontsize=6.5, linespacing=1.15)
    for row, patient in enumerate(patients):
        top = head + row * (_TILE_IN + 0.04)
        middle = top + _TILE_IN / 2
        label = patient.name.replace("_", "_\n", 1) if len(patient.name) > 20 else patient.name
        write_at(figure, 0.05, middle, label, va="center", fontsize=6.5, fontweight="bold")
        if patient.note:
            write_at(figure, 0.05, middle + 0.24, patient.note, va="center", fontsize=5.5, color="#555555")
        for column, shown in enumerate(patient.slices):
            axes = place(figure, _NAME_IN + column * (_TILE_IN + 0.04), top, _TILE_IN, _TILE_IN)
            _draw_slice(axes, shown, field_mm)
    return figure


def wrapped(title: str, most: int = 19) -> str:
    """Break each line of a title where it is longer than a picture is wide."""
    return "\n".join(part for line in title.split("\n") for part in textwrap.wrap(line, most))


def _draw_slice(axes: Axes, shown: tuple[np.ndarray, float] | None, field_mm: float) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if shown is None:
        axes.set_facecolor("#F2F2F2")
        axes.text(0.5, 0.5, "not in the scan", ha="center", va="center", fontsize=5.5, color="#999999",
                  transform=axes.transAxes, gid="absent")  # fmt: skip
        return
    hu, mm = shown
    height, width = hu.shape
    axes.set_facecolor("black")
    axes.imshow(hu, cmap="gray", vmin=-175, vmax=275, extent=(0, width * mm, height * mm, 0))
    centre_y, centre_x = _body_centre(hu)
    axes.set_xlim(centre_x * mm - field_mm / 2, centre_x * mm + field_mm / 2)
    axes.set_ylim(centre_y * mm + field_mm / 2, centre_y * mm - field_mm / 2)
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    bar = [right - 0.04 * field_mm - _SCALE_BAR_MM, right - 0.04 * field_mm]
    axes.plot(bar, [bottom - 0.05 * field_mm] * 2, color="white", linewidth=1.0, gid="scale bar",
              path_effects=[withStroke(linewidth=1.8, foreground="black")])  # fmt: skip


def _body_centre(hu: np.ndarray) -> tuple[float, float]:
    """Middle (row, column) of what is denser than lung, without thin outliers such as the table."""
    solid = hu > -300
    middles = []
    for axis in (1, 0):
        filled = np.flatnonzero(solid.mean(axis=axis) > 0.08)
        middles.append(float(filled[[0, -1]].mean()) if len(filled) else hu.shape[1 - axis] / 2)
    return middles[0], middles[1]


@dataclass(frozen=True)
class LandmarkDots:
    """z of one landmark in many patients: group ("real", "phantom") → z of each."""

    name: str
    groups: Mapping[str, Sequence[float]] = field(default_factory=dict)


@in_house_style
def landmark_figure(landmarks: Sequence[LandmarkDots], regions: Borders) -> Figure:
    """Draw z of each landmark in every patient, real above phantom, with mean and standard deviation."""
    height = 0.24 * len(landmarks)
    figure = new_canvas(6.6, height + 0.75)
    axes = place(figure, 1.35, 0.25, 4.2, height)
    values = [z for landmark in landmarks for group in landmark.groups.values() for z in group]
    low, high = max(0.0, min(values) - 0.03), min(1.0, max(values) + 0.03)
    for i, (name, start, end) in enumerate(regions):
        axes.axvspan(start, end, color=BAND_COLOURS[i % 2], linewidth=0, zorder=0, gid="region")
        start, end = max(start, low), min(end, high)
        if start < end:
            where = axes.get_xaxis_transform()
            axes.text((start + end) / 2, 1.01, name, transform=where, ha="center", fontsize=6.5)
    axes.set_xlim(low, high)
    for i, landmark in enumerate(landmarks):
        for group, colour, offset in (("real", REAL_COLOUR, -0.17), ("phantom", PHANTOM_COLOUR, 0.17)):
            z = np.asarray(landmark.groups.get(group, ()), float)
            if not len(z):
                continue
            axes.plot(z, np.full(len(z), i + offset), ".", color=colour, markersize=2.5, alpha=0.6, gid=group)
            sd = float(z.std(ddof=1)) if len(z) > 1 else float("nan")
            axes.errorbar(z.mean(), i + offset, xerr=sd, fmt="|", color="black", elinewidth=0.8, markersize=5)
            told = f"{z.mean():.3f} ± {sd:.3f} ({len(z)})" if len(z) > 1 else f"{z.mean():.3f} (1)"
            axes.text(1.02, i + offset, told, transform=axes.get_yaxis_transform(), fontsize=5.5, va="center",
                      color=colour if group == "real" else "#666666")  # fmt: skip
    axes.set_yticks(range(len(landmarks)), [landmark.name for landmark in landmarks])
    axes.set_ylim(len(landmarks) - 0.5, -0.5)
    axes.set_xlabel("z")
    left = 1.35 + 4.2 + 0.08
    write_at(figure, left, 0.23, "mean ± sd (patients)", fontsize=6, va="bottom")
    write_at(figure, left, height + 0.42, "real", fontsize=6.5, va="top", color=REAL_COLOUR)
    write_at(figure, left + 0.3, height + 0.42, "phantom", fontsize=6.5, va="top", color="#666666")
    return figure
