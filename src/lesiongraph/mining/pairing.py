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
TICK_TWIN_SHARE = 0.5  # ours: up to here it is a tick if it is as long as a certain tick
TICK_ANGLE_DEG = 5.0  # ours: software draws ticks exactly across
TICK_CENTRE = 0.1  # ours: how far from the middle (share of the length) a tick may stand
EXACT_UP_TO = 14  # ours: more lines than this that all cross are paired greedily


@dataclass
class Pairing:
    """Indices into the lines: pairs (first, second), ticks, and lines left alone."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)


def pair_lines(lines: Sequence[Axis], image: ImageRef) -> Pairing:
    """Pair crossing, near-perpendicular lines: as many pairs as possible, then the best fitting."""
    ticks = _ticks(lines, image)
    cost: dict[tuple[int, int], float] = {}
    for i in range(len(lines)):
        for j in range(i + 1, len(lines)):
            if i in ticks or j in ticks or not axes_cross(lines[i], lines[j]):
                continue
            off = abs(90 - angle_between_deg(lines[i], lines[j], image))
            if off <= PERPENDICULAR_TOLERANCE_DEG:
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


def _ticks(lines: Sequence[Axis], image: ImageRef) -> set[int]:
    def share(i: int, j: int) -> float:
        """Length of line i as a share of line j if it stands across its middle, else infinity."""
        where = crossing(lines[i], lines[j])
        if i == j or where is None or lines[j].length_px == 0:
            return float("inf")
        off = abs(90 - angle_between_deg(lines[i], lines[j], image))
        if off > TICK_ANGLE_DEG or any(abs(part - 0.5) > TICK_CENTRE for part in where):
            return float("inf")
        return lines[i].length_px / lines[j].length_px

    shares = [min((share(i, j) for j in range(len(lines))), default=1.0) for i in range(len(lines))]
    certain = [i for i, least in enumerate(shares) if least <= TICK_SHARE]
    lengths = [lines[i].length_px for i in certain]
    twins = [
        i
        for i, least in enumerate(shares)
        if least <= TICK_TWIN_SHARE
        and any(abs(lines[i].length_px - length) <= 0.05 * length for length in lengths)
    ]
    return {*certain, *twins}


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
