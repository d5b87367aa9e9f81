"""Loose lines on one image → pairs that are a lesion's two diameters; ticks and lone lines apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

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
EXACT_UP_TO = 14  # ours: more lines than this that all cross are paired greedily


@dataclass
class Pairing:
    """Indices into the lines: pairs (first, second), ticks, and lines left alone."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)


def pair_lines(lines: Sequence[Axis], image: ImageRef, tick_lengths_px: Sequence[float] = ()) -> Pairing:
    """Pair crossing, near-perpendicular lines: as many pairs as possible, then the best fitting.

    `tick_lengths_px` are lengths of ticks seen elsewhere in the same object: one workstation draws all
    its ticks alike.
    """
    ticks = set(find_ticks(lines, image, tick_lengths_px))
    cost: dict[tuple[int, int], float] = {}
    for i in range(len(lines)):
        for j in range(i + 1, len(lines)):
            if i not in ticks and j not in ticks and _may_be_diameters(lines[i], lines[j], image):
                off = abs(90 - angle_between_deg(lines[i], lines[j], image))
                cost[i, j] = off / PERPENDICULAR_TOLERANCE_DEG + _eccentricity(lines[i], lines[j])
    pairs: list[tuple[int, int]] = []
    for component in _components(cost):
        pairs += _best_pairs(component, cost)
    paired = {index for pair in pairs for index in pair}
    single = [i for i in range(len(lines)) if i not in paired and i not in ticks]
    return Pairing(sorted(pairs), sorted(ticks), single)


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
    square = {
        (i, j)
        for i in range(len(lines))
        for j in range(len(lines))
        if i != j and _stands_across(lines[i], lines[j], image)
    }
    across = {(i, j) for i, j in square if lines[i].length_px < lines[j].length_px}
    ticks = {i for i, j in across if lines[i].length_px <= TICK_SHARE * lines[j].length_px}
    known = [*tick_lengths_px, *(lines[i].length_px for i in ticks)]
    ticks |= {i for i, _ in across if any(_same_length(lines[i].length_px, length) for length in known)}
    for i, a in across:
        for j, b in square:  # a tick may be longer than the short axis of a tiny lesion
            distinct = len({i, a, j, b}) == 4 and _same_length(lines[i].length_px, lines[j].length_px)
            if distinct and _may_be_diameters(lines[a], lines[b], image):
                ticks |= {i, j}
    return sorted(ticks)


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


def _components(cost: dict[tuple[int, int], float]) -> list[list[int]]:
    """Return the sets of lines that hang together by possible pairs."""
    neighbours: dict[int, set[int]] = {}
    for i, j in cost:
        neighbours.setdefault(i, set()).add(j)
        neighbours.setdefault(j, set()).add(i)
    components, seen = [], set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        reached, waiting = {start}, [start]
        while waiting:
            new = neighbours[waiting.pop()] - reached
            reached |= new
            waiting += new
        seen |= reached
        components.append(sorted(reached))
    return components


def _best_pairs(members: list[int], cost: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Return the most pairs among `members`, of least total cost."""
    if len(members) > EXACT_UP_TO:
        return _greedy_pairs(members, cost)

    @cache
    def best(free: tuple[int, ...]) -> tuple[int, float, tuple[tuple[int, int], ...]]:
        if len(free) < 2:
            return 0, 0.0, ()
        first, rest = free[0], free[1:]
        choices = [best(rest)]
        for position, other in enumerate(rest):
            if (first, other) in cost:
                count, total, pairs = best(rest[:position] + rest[position + 1 :])
                choices.append((count - 1, total + cost[first, other], ((first, other), *pairs)))
        return min(choices)  # fewest = most negative: one pair counts −1

    return list(best(tuple(members))[2])


def _greedy_pairs(members: list[int], cost: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    free, pairs = set(members), []
    for i, j in sorted(cost, key=lambda pair: (cost[pair], pair)):
        if i in free and j in free:
            free -= {i, j}
            pairs.append((i, j))
    return pairs
