"""One patient over time: marks by study (Fig. 13), lesion graph (Fig. 14), matched groups (Fig. 15)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from lesiongraph.figures.theme import (
    in_house_style,
    new_canvas,
    new_figure,
    place,
    type_colour,
    write_at,
)
from lesiongraph.figures.tiles import CAPTION_IN, TILE_IN, Tile, draw_tile

_GROUP_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#B8A500", "#7B3294")
_ALONE_COLOUR = "#BBBBBB"
_WITHIN_COLOUR = "#D7263D"
_BETWEEN_COLOUR = "#9A9A9A"
_LABEL_IN = 0.72
_HEAD_IN = 0.34
_GAP_IN = 0.1
_MOST_EDGE_LABELS = 40


@dataclass(frozen=True)
class PatientLesion:
    """One mark of the patient."""

    tile: Tile
    study: int  # 0 is the first
    group: int  # matched group, from 1
    lesion_type: str
    long_mm: float


@in_house_style
def patient_figure(lesions: Sequence[PatientLesion], study_names: Sequence[str], *, by_group: bool) -> Figure:
    """Draw the marks, a column a study; rows are running numbers (Fig. 13) or matched groups (Fig. 15).

    Frames of one colour are one matched group; grey frames were matched to nothing. Marks of one study
    that were merged (two series) stand in one group's row and are drawn once, with their number.
    """
    rows, labels = _rows(lesions, by_group)
    left = _LABEL_IN if by_group else 0.06
    step = TILE_IN + CAPTION_IN + _GAP_IN
    figure = new_canvas(left + len(study_names) * (TILE_IN + _GAP_IN), _HEAD_IN + len(labels) * step)
    for column, name in enumerate(study_names):
        middle = left + column * (TILE_IN + _GAP_IN) + TILE_IN / 2
        write_at(figure, middle, 0.04, name, ha="center", va="top", fontsize=7)
    if by_group:
        for row, label in enumerate(labels):
            top = _HEAD_IN + row * step + TILE_IN / 2
            write_at(figure, 0.06, top, label, va="center", fontsize=7)
    alone = _alone(lesions)
    drawn: dict[tuple[int, int], tuple[Axes, int]] = {}
    for lesion, row in zip(lesions, rows, strict=True):
        place_key = row, lesion.study
        if place_key in drawn:  # a merged second series: say so instead of drawing over
            axes, count = drawn[place_key]
            drawn[place_key] = axes, count + 1
            axes.set_title(f"{count + 1} marks merged", fontsize=6, pad=2)
            continue
        axes = place(
            figure, left + lesion.study * (TILE_IN + _GAP_IN), _HEAD_IN + row * step, TILE_IN, TILE_IN
        )
        drawn[place_key] = axes, 1
        frame = _ALONE_COLOUR if lesion.group in alone else _group_colour(lesion.group)
        draw_tile(axes, lesion.tile, frame=frame, dashed=False)
    return figure


@in_house_style
def graph_figure(
    lesions: Sequence[PatientLesion],
    study_names: Sequence[str],
    distances: np.ndarray,
    longest: float,
) -> Figure:
    """Draw the intra-patient lesion graph: a node a mark, thicker edges where nearer (Fig. 14).

    Nodes carry their group's number. Red edges lead to the next mark of the group in time; a grey edge
    leads to a mark's nearest neighbour outside its group, which is what it could have been matched with,
    where that is at most `longest` away. The shortest forty carry their distance.

    Parameters
    ----------
    distances : (N, N)
        Embedding distances.
    longest : float
    """
    rows, labels = _rows(lesions, by_group=True)
    figure = new_figure(max(4.6, 1.25 * len(study_names) + 1.2), 1.2 + 0.72 * len(labels))
    axes = figure.subplots()
    points = _spread(lesions, rows)
    for rank, (distance, i, j) in enumerate(_edges(lesions, distances, longest)):
        same = lesions[i].group == lesions[j].group
        label = f"{distance:.2f}" if rank < _MOST_EDGE_LABELS else ""
        _edge(axes, points[[i, j]], 1 - distance / max(longest, 1e-9), same, label)
    for point, lesion in zip(points, lesions, strict=True):
        axes.scatter(point[0], point[1], s=190, color=type_colour(lesion.lesion_type), zorder=4, gid="node")
        axes.text(
            point[0], point[1], str(lesion.group), color="white", fontsize=7, fontweight="bold",
            ha="center", va="center", zorder=5,
        )  # fmt: skip
    axes.set_xlim(-0.5, len(study_names) - 0.5)
    axes.set_ylim(-len(labels) + 0.4, 0.6)
    axes.set_xticks(range(len(study_names)), study_names)
    axes.set_yticks(-np.arange(len(labels)), labels)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _type_legend(axes, lesions)
    return figure


def _edges(
    lesions: Sequence[PatientLesion], distances: np.ndarray, longest: float
) -> list[tuple[float, int, int]]:
    """Return the edges to draw as (distance, i, j), shortest first."""
    groups = np.array([lesion.group for lesion in lesions])
    pairs: set[tuple[int, int]] = set()
    for group in np.unique(groups):
        members = sorted(np.flatnonzero(groups == group).tolist(), key=lambda i: lesions[i].study)
        pairs.update(pairwise(members))
    outside = np.where(groups[:, None] == groups, np.inf, distances)
    for i, j in enumerate(outside.argmin(axis=1).tolist()):
        if outside[i, j] <= longest:
            pairs.add((min(i, j), max(i, j)))
    return sorted((float(distances[i, j]), i, j) for i, j in pairs)


def _edge(axes: Axes, ends: np.ndarray, nearness: float, same: bool, label: str) -> None:
    """Draw one edge; within a row it rises over the nodes between its ends."""
    start, stop = ends
    over = abs(stop[0] - start[0]) - 1 if abs(start[1] - stop[1]) < 0.2 else 0.0
    rise = np.array([0, min(0.45, 0.2 * max(over, 0.0))])
    middle = ends.mean(axis=0) + rise
    # a quadratic curve's middle lies half-way to its control point
    path = Path([start, middle + rise, stop], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    axes.add_patch(
        PathPatch(
            path, fill=False, edgecolor=_WITHIN_COLOUR if same else _BETWEEN_COLOUR,
            linewidth=0.6 + 2.6 * max(nearness, 0.0), alpha=0.9 if same else 0.55,
            zorder=2 if same else 1, gid="edge",
        )
    )  # fmt: skip
    if label and np.abs(stop - start).max() > 0.5:  # between merged marks there is no room
        axes.text(
            middle[0], middle[1], label, fontsize=6, ha="center", va="center", zorder=3, gid="distance",
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85},
        )  # fmt: skip


def _spread(lesions: Sequence[PatientLesion], rows: Sequence[int]) -> np.ndarray:
    """Return node positions (N, 2); marks merged within a study stand a little apart."""
    seen: Counter[tuple[int, int]] = Counter()
    points = []
    for lesion, row in zip(lesions, rows, strict=True):
        points.append((lesion.study + 0.3 * seen[row, lesion.study], -row))
        seen[row, lesion.study] += 1
    return np.array(points, float)


def _rows(lesions: Sequence[PatientLesion], by_group: bool) -> tuple[list[int], list[str]]:
    """Row of each lesion, and a label for each row.

    By group: a row a group of several marks; marks matched to nothing share the rows below, as many as
    the fullest study needs. Otherwise: the running number within the study.
    """
    alone = _alone(lesions) if by_group else {lesion.group for lesion in lesions}
    together = [group for group in sorted({x.group for x in lesions}) if group not in alone]
    order = {group: row for row, group in enumerate(together)}
    seen: Counter[int] = Counter()
    rows = []
    for lesion in lesions:
        if lesion.group in order:
            rows.append(order[lesion.group])
        else:
            rows.append(len(order) + seen[lesion.study])
            seen[lesion.study] += 1
    labels = [f"group {group}\n{_type_of(lesions, group)}" for group in together]
    return rows, labels + ["matched\nto nothing"] * (1 + max(rows, default=-1) - len(labels))


def _type_of(lesions: Sequence[PatientLesion], group: int) -> str:
    """The type of a group's marks; "mixed" where they differ."""
    names = {lesion.lesion_type for lesion in lesions if lesion.group == group and lesion.lesion_type}
    return "no type" if not names else names.pop() if len(names) == 1 else "mixed types"


def _alone(lesions: Sequence[PatientLesion]) -> set[int]:
    """Groups of a single mark."""
    counts = Counter(lesion.group for lesion in lesions)
    return {group for group, count in counts.items() if count == 1}


def _group_colour(group: int) -> str:
    return _GROUP_COLOURS[(group - 1) % len(_GROUP_COLOURS)]


def _type_legend(axes: Axes, lesions: Sequence[PatientLesion]) -> None:
    names = sorted({lesion.lesion_type for lesion in lesions})
    handles = [
        Line2D([], [], marker="o", linestyle="", color=type_colour(name), label=name or "no type")
        for name in names
    ]
    handles.append(Line2D([], [], color=_WITHIN_COLOUR, linewidth=2, label="within a group"))
    handles.append(Line2D([], [], color=_BETWEEN_COLOUR, linewidth=2, label="between groups"))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncol=min(6, len(handles)))
