"""From anatomy, lesions and a scan plan to a CT series in HU with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.fields import Floats
from lesiongraph.phantom.lesion_paint import Mask, paint_lesion
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.painting import paint_slice
from lesiongraph.phantom.scan import REGIONS, ScanPlan, sample_scan
from lesiongraph.phantom.study import Study
from lesiongraph.phantom.tissues import sample_tissues

__all__ = ["REGIONS", "RenderedSeries", "ScanPlan", "render", "sample_scan"]

_NOISE_TILES = 3


@dataclass
class RenderedSeries:
    """A series in the canonical view (columns to the patient's left, rows to the back) with its truth."""

    hu: npt.NDArray[np.int16]  # (n, rows, columns), slice 0 nearest the head
    positions_mm: Doubles  # (n,) body heights
    z01: Doubles  # (n,) true relative z
    lesion_masks: dict[int, tuple[tuple[int, int, int], Mask]]  # identity -> offset (slice, row, col), block
    organ_ranges: dict[str, tuple[int, int]]  # first and last slice of each organ in view


def render(
    anatomy: Anatomy, lesions: Sequence[PhantomLesion], plan: ScanPlan, rng: np.random.Generator
) -> RenderedSeries:
    """Render one series; the same anatomy, lesions, plan and random state give the same pixels.

    Parameters
    ----------
    anatomy : Anatomy
    lesions : sequence of PhantomLesion
        Painted in this order; those outside the scan have no mask.
    plan : ScanPlan
    rng : numpy.random.Generator
        Draws what differs between studies: tissue values, bowel contents, noise.
    """
    z_mm = np.asarray(plan.top_mm + plan.slice_interval_mm * np.arange(plan.slices), float)
    tissues = sample_tissues(plan.contrast_phase, anatomy.age, rng)
    study = Study(anatomy, plan, tissues, z_mm, rng)
    noise = _NoiseSource(plan, rng)
    hu = np.empty((len(z_mm), plan.rows, plan.columns), np.int16)
    cuts: dict[int, list[tuple[int, tuple[slice, slice], Mask]]] = {}
    for i in range(len(z_mm)):
        canvas, cavity = paint_slice(study, i)
        for lesion in lesions:
            cut = paint_lesion(canvas, lesion, float(study.soft_z[i]), tissues, cavity)
            if cut is not None:
                cuts.setdefault(lesion.identity, []).append((i, *cut))
        strength = float(np.clip((study.skin.half_x[i] * study.skin.half_y[i] / 21000) ** 0.8, 0.5, 2.2))
        canvas.hu += noise.draw(strength)
        np.clip(np.rint(canvas.hu), -1024, 3071, out=canvas.hu)
        hu[i] = canvas.hu
    ranges = {organ: (min(seen), max(seen)) for organ, seen in study.organ_slices.items()}
    masks = {identity: _assemble(pieces) for identity, pieces in cuts.items()}
    return RenderedSeries(hu, z_mm, anatomy.relative_z(z_mm), masks, ranges)


class _NoiseSource:
    """Correlated scanner noise, cut at random places from a few tiles: cheap, and never the same twice."""

    def __init__(self, plan: ScanPlan, rng: np.random.Generator) -> None:
        self._rng, self._shape = rng, (plan.rows, plan.columns)
        size = (plan.rows + 96, plan.columns + 96)
        # A smooth kernel cuts the high frequencies; a sharp one leaves them and is noisier.
        sigma = (0.75 if plan.kernel == "smooth" else 0.35) / max(plan.pixel_mm, 0.5) + 0.15
        gain = plan.noise_hu * (1.0 if plan.kernel == "smooth" else 2.0)
        self._tiles: list[Floats] = []
        for _ in range(_NOISE_TILES):
            tile = gaussian_filter(rng.standard_normal(size, dtype=np.float32), sigma)
            self._tiles.append(tile * np.float32(gain / tile.std()))

    def draw(self, strength: float) -> Floats:
        """Return noise (rows, columns) of that relative strength."""
        tile = self._tiles[int(self._rng.integers(len(self._tiles)))]
        r, c = self._rng.integers(0, 97, 2)
        rows, columns = self._shape
        sign = strength if self._rng.random() < 0.5 else -strength
        return tile[r : r + rows, c : c + columns] * np.float32(sign)


def _assemble(
    pieces: list[tuple[int, tuple[slice, slice], Mask]],
) -> tuple[tuple[int, int, int], Mask]:
    """Join the cuts of one lesion into one tight block."""
    rows = [(w[0].start + np.flatnonzero(m.any(1))[[0, -1]]) for _, w, m in pieces]
    columns = [(w[1].start + np.flatnonzero(m.any(0))[[0, -1]]) for _, w, m in pieces]
    r0, r1 = min(r[0] for r in rows), max(r[1] for r in rows)
    c0, c1 = min(c[0] for c in columns), max(c[1] for c in columns)
    first, last = pieces[0][0], pieces[-1][0]
    block = np.zeros((last - first + 1, r1 - r0 + 1, c1 - c0 + 1), bool)
    for (i, (wr, wc), mask), r, c in zip(pieces, rows, columns, strict=True):
        part = mask[r[0] - wr.start : r[1] - wr.start + 1, c[0] - wc.start : c[1] - wc.start + 1]
        block[i - first, r[0] - r0 : r[1] - r0 + 1, c[0] - c0 : c[1] - c0 + 1] = part
    return (int(first), int(r0), int(c0)), block
