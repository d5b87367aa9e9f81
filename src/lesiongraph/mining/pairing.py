"""Loose lines on one image → pairs that are a lesion's two diameters; ticks and lone lines apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from lesiongraph.lesion import Axis
from lesiongraph.mining.marks import (
    PERPENDICULAR_TOLERANCE_DEG,
    ImageRef,
    angle_between_deg,
    axes_cross,
    crossing,
)

TICK_SHARE = 0.2  # ours: a line this short, across the middle of another, is a tick (Agfa)
TICK_ANGLE_DEG = 5.0  # ours: software draws ticks exactly across; integer coordinates blur that
TICK_CENTRE = 0.1  # ours: how far from the middle (share of the length) a tick may stand
SAME_LENGTH = 0.03  # ours: the ticks of one workstation are equally long
LINES_MAX = 400  # ours: every line is compared with every other; more on one image are no measurements
TOGETHER_MAX = 100  # ours: the matching takes the cube of the lines that hang together by crossings
UNPAIRED_COST = 1.5  # ours, of a line left alone: one perfect pair beats two at the end of the tolerances
# ours: lines that something says belong together may be drawn as loosely as a named long and short axis
JOINED_LEAST_DEG = 45.0
JOINED_CROSSING = 0.5
_COST_STEPS = 10**6  # the matching is exact on whole numbers only

Affinity = Callable[[int, int], float]


@dataclass
class Pairing:
    """Indices into the lines: pairs (first, second), ticks, lines left alone, lines too many to pair."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)
    too_many: list[int] = field(default_factory=list)


def pair_lines(
    lines: Sequence[Axis],
    image: ImageRef,
    tick_lengths_px: Sequence[float] = (),
    apart: Affinity | None = None,
) -> Pairing:
    """Pair crossing, near-perpendicular lines, all of them together as well as can be.

    A pair costs its angle's distance from 90° (1 at the tolerance), how far from both middles it crosses
    (about 1 at their ends) and what `apart` adds; a line left alone costs `UNPAIRED_COST`. The pairs chosen
    have the least total cost of all choices (Edmonds' matching), whatever their number.

    Parameters
    ----------
    lines : sequence of Axis
    image : ImageRef
    tick_lengths_px : sequence of float
        Lengths of ticks seen elsewhere in the same object: one workstation draws all its ticks alike.
    apart : callable, optional
        (i, j) → what else speaks against the pair (another layer, a text that says another size); below 0
        what speaks for it, which also allows looser drawing.
    """
    if len(lines) > LINES_MAX:
        return Pairing(too_many=list(range(len(lines))))
    ticks = find_ticks(lines, image, tick_lengths_px)
    measured = [i for i in range(len(lines)) if i not in set(ticks)]
    possible: nx.Graph[int] = nx.Graph()
    for i, j in itertools.combinations(measured, 2):
        if not _may_be_joined(lines[i], lines[j], image):
            continue
        told = apart(i, j) if apart is not None else 0.0
        if told < 0 or _may_be_diameters(lines[i], lines[j], image):
            gain = 2 * UNPAIRED_COST - told - _cost(lines[i], lines[j], image)
            possible.add_edge(i, j, weight=round(gain * _COST_STEPS))
    pairs: list[tuple[int, int]] = []
    too_many: list[int] = []
    for together in sorted(map(sorted, nx.connected_components(possible))):
        if len(together) > TOGETHER_MAX:
            too_many += together
            continue
        chosen = nx.max_weight_matching(possible.subgraph(together))
        pairs += [(min(pair), max(pair)) for pair in chosen]
    taken = set(ticks).union(too_many, *pairs)
    single = [i for i in range(len(lines)) if i not in taken]
    return Pairing(sorted(pairs), ticks, single, sorted(too_many))


def longer_first(first: Axis, second: Axis, image: ImageRef) -> tuple[Axis, Axis]:
    """Return two lines that nobody named as (long axis, short axis), in mm where the spacing is known."""
    known = np.isfinite([image.spacing_x_mm, image.spacing_y_mm]).all()
    first_length, second_length = (
        line.length_mm(image.spacing) if known else line.length_px for line in (first, second)
    )
    return (first, second) if first_length >= second_length else (second, first)


def _cost(first: Axis, second: Axis, image: ImageRef) -> float:
    off = abs(90 - angle_between_deg(first, second, image))
    return off / PERPENDICULAR_TOLERANCE_DEG + _eccentricity(first, second)


def _eccentricity(first: Axis, second: Axis) -> float:
    """How far from both middles two lines cross; diameters of one lesion cross near the middle."""
    where = crossing(first, second)
    return 2.0 if where is None else sum(abs(share - 0.5) for share in where)


def find_ticks(lines: Sequence[Axis], image: ImageRef, tick_lengths_px: Sequence[float] = ()) -> list[int]:
    """Return which lines are ticks: small lines that a workstation adds across the middle of a line.

    A tick looks like a short axis. It is told by being very short against its line; by being as long as a
    tick seen elsewhere; or by a twin: two equal lines, each across the middle of one of two lines that
    cross each other.
    """
    if len(lines) > LINES_MAX:
        return []
    count = range(len(lines))
    square = np.array([[i != j and _stands_across(lines[i], lines[j], image) for j in count] for i in count])
    across = [(i, j) for i, j in np.argwhere(square).tolist() if lines[i].length_px < lines[j].length_px]
    ticks = {i for i, j in across if lines[i].length_px <= TICK_SHARE * lines[j].length_px}
    known = [*tick_lengths_px, *(lines[i].length_px for i in ticks)]
    ticks |= {i for i, _ in across if any(_same_length(lines[i].length_px, length) for length in known)}
    return sorted(ticks | _twins(lines, image, across, square))


def _twins(
    lines: Sequence[Axis], image: ImageRef, across: list[tuple[int, int]], square: np.ndarray
) -> set[int]:
    """Return lines i, j of one length, i across a and j across b, where a and b may be two diameters.

    A tick may be longer than the short axis of a tiny lesion: only i need be shorter than its line. The four
    are different lines. Counted as walks i → a → b → j, less those that come back to i or j.
    """
    if not across:
        return set()
    shorter = np.zeros(square.shape, int)
    shorter[tuple(np.transpose(across))] = 1
    stands = square.astype(int)
    ends = sorted({j for _, j in across} | set(np.flatnonzero(square.any(axis=0)).tolist()))
    crossed = np.zeros(square.shape, int)
    for a in ends:
        for b in ends:
            crossed[a, b] = a != b and _may_be_diameters(lines[a], lines[b], image)
    walks = shorter @ crossed @ stands.T
    through_j = shorter * np.diag(crossed @ stands.T)[None, :]  # a = j
    through_i = np.diag(shorter @ crossed)[:, None] * stands.T  # b = i
    both = shorter * crossed.T * stands.T  # a = j and b = i
    lengths = np.array([line.length_px for line in lines])
    alike = np.abs(lengths[:, None] - lengths) <= SAME_LENGTH * np.maximum(lengths[:, None], lengths)
    np.fill_diagonal(alike, val=False)
    return set(np.argwhere(alike & (walks - through_j - through_i + both > 0)).ravel().tolist())


def _stands_across(tick: Axis, line: Axis, image: ImageRef) -> bool:
    """Whether one line stands square on the middle of the other, with its own middle."""
    where = crossing(tick, line)
    if where is None or any(abs(share - 0.5) > TICK_CENTRE for share in where):
        return False
    return abs(90 - angle_between_deg(tick, line, image)) <= TICK_ANGLE_DEG


def _same_length(first_px: float, second_px: float) -> bool:
    return abs(first_px - second_px) <= SAME_LENGTH * max(first_px, second_px)


def _may_be_diameters(first: Axis, second: Axis, image: ImageRef) -> bool:
    off = abs(90 - angle_between_deg(first, second, image))
    return off <= PERPENDICULAR_TOLERANCE_DEG and axes_cross(first, second)


def _may_be_joined(first: Axis, second: Axis, image: ImageRef) -> bool:
    off = angle_between_deg(first, second, image)
    return off >= JOINED_LEAST_DEG and axes_cross(first, second, JOINED_CROSSING)
