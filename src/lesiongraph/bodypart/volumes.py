"""Volumes to learn from, and how their slices are drawn: equidistant samples, hard volumes more often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart.augment import body_views
from lesiongraph.bodypart.slices import SliceMode, slice_to_learn


@dataclass(frozen=True)
class TrainingVolume:
    """One volume to learn from, head to foot.

    `slices` (n, 128, 128) uint8 from `slice_input`; `interval_mm` between neighbours, NaN if unknown; `name`
    for reports; `weight` says how often to draw it beside the others. `frames` (n, FRAME_PX, FRAME_PX) and
    `boxes` (n, 4) from `slice_to_learn` are what random views are cut from; the paper's design does without.
    """

    slices: NDArray[np.uint8]
    interval_mm: float
    name: str
    weight: float = 1.0
    frames: NDArray[np.uint8] | None = None
    boxes: NDArray[np.float32] | None = None

    @classmethod
    def read(
        cls,
        hu: Iterable[NDArray[np.generic]],
        spacing_mm: tuple[float, float],
        name: str,
        *,
        interval_mm: float = float("nan"),
        weight: float = 1.0,
        mode: SliceMode = "body",
    ) -> TrainingVolume:
        """Make a volume of canonical HU slices (rows, columns), head to foot; in-plane spacing (y, x) mm."""
        slices, frames, boxes = [], [], []
        for one in hu:
            picture, frame, box = slice_to_learn(one, spacing_mm, mode=mode)
            slices.append(picture)
            frames.append(frame)
            boxes.append(box)
        return cls(np.stack(slices), interval_mm, name, weight, np.stack(frames), np.stack(boxes))

    def as_body(self) -> TrainingVolume:
        """Return the volume with its slices cut to the body's box, whatever they were before.

        Raises
        ------
        ValueError
            If it has no frames.
        """
        if self.frames is None or self.boxes is None:
            raise ValueError(f"{self.name}: no frames to cut the body from")
        views = body_views(self.frames, self.boxes, self.slices.shape[-1])[:, 0]
        return replace(self, slices=views.round().byte().numpy())

    def followed_by(self, other: TrainingVolume, name: str) -> TrainingVolume:
        """Return this volume with the slices of another behind it, at this one's interval.

        Raises
        ------
        ValueError
            If one of them has no frames.
        """
        if self.frames is None or self.boxes is None or other.frames is None or other.boxes is None:
            raise ValueError(f"{name}: both parts need frames and boxes")
        return replace(
            self,
            name=name,
            slices=np.concatenate([self.slices, other.slices]),
            frames=np.concatenate([self.frames, other.frames]),
            boxes=np.concatenate([self.boxes, other.boxes]),
        )

    def chosen(self, indices: NDArray[np.integer], interval_mm: float) -> TrainingVolume:
        """Return the volume of some of the slices."""
        return replace(
            self,
            slices=self.slices[indices],
            interval_mm=interval_mm,
            frames=None if self.frames is None else self.frames[indices],
            boxes=None if self.boxes is None else self.boxes[indices],
        )


def training_volumes(series: TrainingVolume, position_mm: NDArray[np.float64]) -> list[TrainingVolume]:
    """Cut a series into volumes of equidistant slices, which Eq. 2 asks for.

    A gap of more than 2.1 times the usual interval ends a volume (DeepLesion's series are pieces); within
    one, where slices were thinned out unevenly, those nearest to a grid of the widest gap are taken. Of
    slices at one place the first is taken; a series that lies all at one place gives no volume.

    Parameters
    ----------
    series : TrainingVolume
        All slices; its interval is not looked at.
    position_mm : ndarray, shape (n,)
        Growing towards the feet; any NaN: the interval is unknown and taken as constant.
    """
    everything = np.arange(len(series.slices))
    if len(everything) < 2 or not np.isfinite(position_mm).all():
        return [series.chosen(everything, float("nan"))]
    gaps = np.diff(position_mm)
    if not (gaps > 0).any():
        return []
    breaks = np.flatnonzero(gaps > 2.1 * np.median(gaps[gaps > 0])) + 1
    volumes = []
    for run in np.split(everything, breaks):
        step = float(np.diff(position_mm[run]).max()) if len(run) > 1 else 0.0
        if step <= 0:
            continue
        start, end = position_mm[run[0]], position_mm[run[-1]]
        grid = np.arange(start, end + 0.5 * step, step)  # (grid points,)
        nearest = np.abs(position_mm[run][None, :] - grid[:, None]).argmin(axis=1)
        volumes.append(series.chosen(run[np.unique(nearest)], step))
    return volumes


def sample_indices(n: int, m: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """Draw j, j+k, ..., j+k(m-1): k uniform in 1..n//m, j biased to both ends of the volume.

    Source: Eq. 2; facts, section 1 ("start biased to both ends"): j is drawn from a range wider by a fifth
    on either side and clipped, so that first and last slices are seen as often as middle ones.
    """
    k = int(rng.integers(1, n // m + 1))
    last = n - 1 - k * (m - 1)
    j = int(np.clip(np.rint(rng.uniform(-0.2 * n, last + 0.2 * n)), 0, last))
    return j + k * np.arange(m), k


def hardness_weights(r: NDArray[np.float64], most: float = 4.0) -> NDArray[np.float64]:
    """How often to draw each volume in the second training: up to `most` times for the lowest r.

    The paper oversamples volumes of low r without saying by how much; the factor here grows linearly from
    1 at the best r to `most` at the worst, and stays 1 where all volumes are equally good (within 0.01).
    """
    shortfall = r.max() - r
    factor = 1 + (most - 1) * shortfall / max(float(shortfall.max()), 0.01)
    return np.asarray(factor / factor.sum())
