"""The most probable outline of a cut body: a superellipse, from the evidence in view and usual proportions.

Minimises a sum of squares over the centre (x, y) and the logarithms of the half axes (a, b), in mm: what is
seen must fit (skin on the outline, seen edges on the box, cut points inside, spine on the midline and in the
back), what is not seen follows the usual half axes. The curvature at the minimum gives the standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesiongraph.imaging.body_evidence import CutBody

Doubles = NDArray[np.float64]

EXPONENT = 2.1  # of the superellipse: uncut trunks fill 0.80 of their box
SKIN_MM = 7.0  # how far real skin strays from a superellipse
SKIN_RUN_MM = 30.0  # over which it strays the same way: points nearer to each other are no news
SKIN_SOFT = 3.0  # standard errors beyond which a skin point counts linearly (an arm, a breast)
CUT_MM = 5.0  # how far a point of the cut may lie outside
SEEN_MM = 2.0  # of a seen edge
VIEW_MM = 60.0  # how far from the body's centre people centre a view
SPINE_X_MM = 8.0  # the spine's distance from the midline
SPINE_Y, SPINE_Y_ERROR = 0.48, 0.15  # its place behind the centre, in half depths
SPINE_WRONG = 0.1  # how often what looks like a spine is none
UNKNOWN_SCALE = 0.5  # of the logarithm of both half axes where the spacing is unknown
MOST_STEPS = 25
NUDGES = np.array([0.5, 0.5, 0.003, 0.003])  # mm, mm, and logarithms: for the derivatives


@dataclass(frozen=True)
class UsualSize:
    """Half width and half depth of a kind of body part: means and covariance of their logarithms (mm).

    Attributes
    ----------
    half_mm : (2,)
        Geometric means, (x, y).
    covariance : (2, 2)
    share : float
        How often a slice shows this part.
    """

    half_mm: tuple[float, float]
    covariance: tuple[tuple[float, float], tuple[float, float]]
    share: float


TRUNK = UsualSize((177.0, 123.0), ((0.016, 0.009), (0.009, 0.030)), 0.98)  # benchmarks/imaging.py prints it
HEAD = UsualSize((75.0, 98.0), ((0.020, 0.005), (0.005, 0.020)), 0.02)  # an adult head: 150 by 195 mm
USUAL = (TRUNK, HEAD)


@dataclass(frozen=True)
class Outline:
    """The fitted superellipse's box, mm.

    Attributes
    ----------
    box : (4,)
        x0, y0, x1, y1.
    error : (4,)
        Standard errors.
    """

    box: Doubles
    error: Doubles


def fit_outline(body: CutBody, usual: tuple[UsualSize, ...] = USUAL, *, scale_known: bool = True) -> Outline:
    """Return the most probable outline.

    Parameters
    ----------
    body : CutBody
    usual : tuple of UsualSize
        The kinds of body part it may be.
    scale_known : bool
        False where the slice has no spacing: then only the proportion of `usual` is used.
    """
    best: tuple[float, Doubles, Doubles] | None = None
    for size in usual:
        covariance = np.array(size.covariance) + (0.0 if scale_known else UNKNOWN_SCALE**2)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance))
        mean = np.log(size.half_mm)
        rarity = np.log(np.linalg.det(covariance)) - 2 * np.log(size.share)

        def misfits(shapes: Doubles, mean: Doubles = mean, whiten: Doubles = whiten) -> Doubles:
            return np.concatenate([(shapes[:, 2:] - mean) @ whiten.T, _misfits(body, shapes)], axis=1)

        for start in _starts(body, mean):
            shape, cost, curvature = _least_squares(misfits, start)
            if best is None or cost + rarity < best[0]:
                best = (cost + rarity, shape, curvature)
    if best is None:
        raise ValueError("usual: expected at least one kind of body part, got none")
    _, (x, y, log_a, log_b), curvature = best
    a, b = np.exp(log_a), np.exp(log_b)
    edges = np.array([[1, 0, -a, 0], [0, 1, 0, -b], [1, 0, a, 0], [0, 1, 0, b]])
    covariance = edges @ np.linalg.inv(curvature) @ edges.T
    return Outline(np.array([x - a, y - b, x + a, y + b]), np.sqrt(np.diag(covariance)))


def _starts(body: CutBody, mean: Doubles) -> list[Doubles]:
    """Start from the middle of what is seen, and from the spine."""
    seen_half = (body.box[2:] - body.box[:2]) / 2
    halves = np.maximum(mean, np.log(seen_half))
    starts = [np.concatenate([(body.box[:2] + body.box[2:]) / 2, halves])]
    if body.spine is not None:
        behind = np.array([0.0, SPINE_Y * np.exp(halves[1])])
        starts.append(np.concatenate([body.spine - behind, halves]))
    return starts


def _misfits(body: CutBody, shapes: Doubles) -> Doubles:
    """Return what is wrong with each of k shapes (k, 4), in standard errors, (k, n)."""
    centres, halves = shapes[:, :2], np.exp(shapes[:, 2:])
    news = np.sqrt(min(1.0, body.pixel_mm / SKIN_RUN_MM))
    off_skin = _beyond(body.skin, centres, halves) / SKIN_MM / SKIN_SOFT
    skin = np.sign(off_skin) * SKIN_SOFT * np.sqrt(2 * (np.sqrt(1 + off_skin**2) - 1))
    cut = np.maximum(0, _beyond(body.inside, centres, halves)) / CUT_MM
    edges = np.concatenate([centres - halves, centres + halves], axis=1)
    outwards = np.array([-1, -1, 1, 1])
    short = (
        np.maximum(0, (body.box - edges) * outwards) / CUT_MM
    )  # the body reaches at least to the view's edge
    sides = np.where(body.cut, short, (edges - body.box) / SEEN_MM)
    parts = [news * skin, news * cut, sides, (centres - body.centre) / VIEW_MM]
    if body.spine is not None:
        off_x = (centres[:, 0] - body.spine[0]) / SPINE_X_MM
        off_y = ((body.spine[1] - centres[:, 1]) / halves[:, 1] - SPINE_Y) / SPINE_Y_ERROR
        likely = (1 - SPINE_WRONG) * np.exp(-(off_x**2 + off_y**2) / 2) + SPINE_WRONG
        parts.append(np.sqrt(-2 * np.log(likely))[:, None])
    return np.concatenate(parts, axis=1)


def _beyond(points: Doubles, centres: Doubles, halves: Doubles) -> Doubles:
    """Return about how far (mm) points (n, 2) lie outside each shape, (k, n); negative inside."""
    offsets = np.abs(points[None] - centres[:, None]) / halves[:, None]
    radii = (offsets**EXPONENT).sum(axis=2) ** (1 / EXPONENT)
    return np.asarray((radii - 1) * np.sqrt(halves.prod(axis=1))[:, None])


def _least_squares(misfits: Callable[[Doubles], Doubles], start: Doubles) -> tuple[Doubles, float, Doubles]:
    """Return the shape of least squares (Levenberg–Marquardt), its cost and the curvature (4, 4)."""
    shape, damping = start, 0.01
    values, slopes = _linearised(misfits, shape)
    for _ in range(MOST_STEPS):
        curvature = slopes @ slopes.T
        damped = curvature + damping * np.diag(np.diag(curvature))
        tried = shape - np.linalg.solve(damped, slopes @ values)
        values_there, slopes_there = _linearised(misfits, tried)
        cost, cost_there = float(values @ values), float(values_there @ values_there)
        if cost_there < cost:
            shape, values, slopes, damping = tried, values_there, slopes_there, damping / 3
            if cost - cost_there < 1e-4 * cost:
                break
        else:
            damping *= 8
    return shape, float(values @ values), slopes @ slopes.T


def _linearised(misfits: Callable[[Doubles], Doubles], shape: Doubles) -> tuple[Doubles, Doubles]:
    """Return the misfits (n,) of a shape and their slopes (4, n)."""
    values = misfits(np.concatenate([shape[None], shape + np.diag(NUDGES)]))  # (5, n)
    return values[0], (values[1:] - values[0]) / NUDGES[:, None]
