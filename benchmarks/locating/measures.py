"""Figures of merit of scores and z; numpy in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

Doubles = NDArray[np.float64]
CHEST, ABDOMEN, PELVIS = 0, 1, 2


def correlation(position: Doubles, score: Doubles) -> float:
    """Pearson's r between position and score; against slice index where positions are unknown (NaN)."""
    if len(score) < 3 or np.ptp(score) == 0:
        return 0.0
    x = position if np.isfinite(position).all() else np.arange(len(score), dtype=float)
    return float(np.corrcoef(x, score)[0, 1])


@dataclass(frozen=True)
class Spread:
    """How far the same landmark's z scatters between patients."""

    per_landmark: dict[str, tuple[float, float, int]]  # mean z, sd, patients
    pooled: float  # root mean square of the deviations from each landmark's mean, with n - 1
    patients: int

    def to_scale(self, reference: Mapping[str, float]) -> float:
        """The pooled sd, stretched so that the landmarks' means rise as their reference z does.

        Without it a scorer that gives every slice the same number would be perfectly consistent.
        """
        names = [name for name in self.per_landmark if name in reference]
        if len(names) < 2:
            return float("nan")
        known = np.array([reference[name] for name in names])
        rise = abs(float(np.polyfit(known, [self.per_landmark[name][0] for name in names], 1)[0]))
        return self.pooled / rise if rise > 1e-9 else float("inf")


def landmark_spread(marked: Mapping[str, Mapping[str, float]]) -> Spread:
    """Standard deviation of z of each landmark over patients, and the pooled one.

    Parameters
    ----------
    marked : mapping
        Patient -> landmark -> z. Landmarks seen in one patient only count for nothing.
    """
    by_landmark: dict[str, list[float]] = {}
    for landmarks in marked.values():
        for name, z in landmarks.items():
            by_landmark.setdefault(name, []).append(z)
    several = {name: np.array(zs) for name, zs in by_landmark.items() if len(zs) > 1}
    squares = sum(float(((zs - zs.mean()) ** 2).sum()) for zs in several.values())
    freedom = sum(len(zs) - 1 for zs in several.values())
    rows = {name: (float(zs.mean()), float(zs.std(ddof=1)), len(zs)) for name, zs in several.items()}
    ordered = dict(sorted(rows.items(), key=lambda row: row[1][0]))
    return Spread(ordered, float(np.sqrt(squares / freedom)) if freedom else float("nan"), len(marked))


def three_classes(index: ArrayLike, dome: float, crest: float) -> NDArray[np.int64]:
    """Class of each slice: the abdomen starts at the liver's upper border, the pelvis at the ilium's.

    Source: Sec. 8.2. A border outside the volume is -inf or inf.
    """
    at = np.asarray(index, dtype=float)
    return (at >= dome).astype(np.int64) + (at >= crest)


def best_thresholds(z: Doubles, classes: NDArray[np.int64]) -> tuple[float, float]:
    """The two thresholds on z that classify the most slices right (Sec. 8.2)."""
    return _best_cut(z, classes >= ABDOMEN), _best_cut(z, classes >= PELVIS)


def _best_cut(z: Doubles, after: NDArray[np.bool_]) -> float:
    order = np.argsort(z, kind="stable")
    ranked, below = z[order], after[order]
    # cutting before rank i: right are those before it that lie above, and those from it on that lie below
    right = np.concatenate([[0], np.cumsum(~below)]) + np.concatenate([np.cumsum(below[::-1])[::-1], [0]])
    best = np.flatnonzero(right == right.max())
    i = int(best[len(best) // 2])  # the middle of equally good cuts
    if i in (0, len(z)):
        return float(ranked[0] if i == 0 else np.nextafter(ranked[-1], np.inf))
    return float((ranked[i - 1] + ranked[i]) / 2)


def classify(z: Doubles, thresholds: tuple[float, float]) -> NDArray[np.int64]:
    """Class of each z by two thresholds."""
    return (z >= thresholds[0]).astype(np.int64) + (z >= max(thresholds))


def border_distance_mm(position: Doubles, dome: float, crest: float) -> Doubles:
    """Distance of each slice to the nearer border in mm; borders are slice indices.

    A border outside the volume (-inf, inf) lies at its end or beyond: the distance is the least possible.
    """
    index = np.arange(len(position), dtype=float)
    borders = np.interp([dome, crest], index, position)
    return np.asarray(np.abs(position[:, None] - borders[None, :]).min(axis=1))


def spearman_with_interval(
    score: Doubles, known: Doubles, patients: Sequence[str], draws: int = 1000
) -> tuple[float, float, float]:
    """Spearman's rho with a 95 % interval from drawing patients with replacement."""
    rng = np.random.default_rng(0)
    names = np.asarray(patients)
    rows = [np.flatnonzero(names == name) for name in dict.fromkeys(patients)]
    values = []
    for _ in range(draws):
        drawn = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        if np.ptp(score[drawn]) > 0 and np.ptp(known[drawn]) > 0:
            values.append(spearmanr(score[drawn], known[drawn])[0])
    low, high = np.quantile(values, [0.025, 0.975])
    return float(spearmanr(score, known)[0]), float(low), float(high)
