"""One patient over time: marks by study (Fig. 13), lesion graph (Fig. 14), matched groups (Fig. 15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from lesiongraph.figures.theme import Tile, draw_tile, new_figure, type_colour

_GROUP_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A500", "#7B3294")


@dataclass(frozen=True)
class PatientLesion:
    """One mark of the patient."""

    tile: Tile
    study: int  # 0 is the first
    group: int  # matched group, from 1
    lesion_type: str
    long_mm: float


def patient_figure(lesions: Sequence[PatientLesion], study_names: Sequence[str], *, by_group: bool) -> Figure:
    """Draw the marks, a column a study; rows are running numbers (Fig. 13) or matched groups (Fig. 15).

    Frames of one colour are one matched group.
    """
    rows = _rows(lesions, by_group)
    height = 1 + max(rows)
    figure = new_figure(max(3.0, 1.35 * len(study_names)), 1.5 * height + 0.3)
    grid = figure.subplots(height, len(study_names), squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    alone = {g for g in {x.group for x in lesions} if sum(y.group == g for y in lesions) == 1}
    shared: dict[tuple[int, int], int] = {}
    for lesion, row in zip(lesions, rows, strict=True):
        axes = grid[row][lesion.study]
        shared[row, lesion.study] = shared.get((row, lesion.study), 0) + 1
        if shared[row, lesion.study] > 1:  # a merged second series: say so instead of drawing over
            axes.set_title(f"×{shared[row, lesion.study]} series", fontsize=6)
            continue
        axes.set_axis_on()
        frame = "#BBBBBB" if lesion.group in alone else _group_colour(lesion.group)
        draw_tile(axes, lesion.tile, frame=frame, dashed=False)
    for column, name in enumerate(study_names):
        grid[0][column].set_title(name, fontsize=7)
    return figure


def graph_figure(
    lesions: Sequence[PatientLesion],
    study_names: Sequence[str],
    distances: np.ndarray,
    longest: float,
) -> Figure:
    """Draw the intra-patient lesion graph: a node a mark, thicker edges where nearer (Fig. 14).

    Parameters
    ----------
    distances : (N, N)
        Embedding distances.
    """
    rows = _rows(lesions, by_group=False)
    figure = new_figure(max(3.6, 1.5 * len(study_names)), 1.2 + 0.62 * (1 + max(rows)))
    axes = figure.subplots()
    points = np.array([(lesion.study, -row) for lesion, row in zip(lesions, rows, strict=True)], float)
    for i in range(len(lesions)):
        for j in range(i + 1, len(lesions)):
            if distances[i, j] <= longest:
                near = 1 - distances[i, j] / max(longest, 1e-9)
                same = lesions[i].group == lesions[j].group
                axes.plot(
                    *points[[i, j]].T,
                    color="#D7263D" if same else "#999999",
                    linewidth=0.5 + 2.5 * near,
                    alpha=0.85 if same else 0.5,
                    zorder=1,
                )
                middle = points[[i, j]].mean(axis=0)
                axes.text(middle[0], middle[1], f"{distances[i, j]:.2f}", fontsize=5, ha="center", zorder=3)
    for point, lesion in zip(points, lesions, strict=True):
        axes.scatter(point[0], point[1], s=150, color=type_colour(lesion.lesion_type), zorder=2)
        axes.text(
            point[0],
            point[1],
            str(lesion.group),
            color="white",
            fontsize=6,
            ha="center",
            va="center",
            zorder=4,
        )
    axes.set_xticks(range(len(study_names)), study_names, fontsize=6)
    axes.set_yticks([])
    axes.margins(0.12)
    axes.spines["left"].set_visible(False)
    return figure


def _rows(lesions: Sequence[PatientLesion], by_group: bool) -> list[int]:
    """Row of each lesion: its group's, or its running number within its study."""
    if by_group:
        order = {group: row for row, group in enumerate(sorted({lesion.group for lesion in lesions}))}
        return [order[lesion.group] for lesion in lesions]
    seen: dict[int, int] = {}
    rows = []
    for lesion in lesions:
        rows.append(seen.get(lesion.study, 0))
        seen[lesion.study] = rows[-1] + 1
    return rows


def _group_colour(group: int) -> str:
    return _GROUP_COLOURS[(group - 1) % len(_GROUP_COLOURS)]
