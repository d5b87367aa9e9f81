"""Two regressors on the same slices → z of the one laid onto z of the other.

A model trained by `locate --fit` finds its own scale. The packaged model scores the same slices; a robust
line from the new score to the packaged z makes both z mean the same place, and the atlas hold for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart.atlas import ALIGNED_TO, ALIGNMENT_SD
from lesiongraph.bodypart.locate import locate_scores, shows_patient
from lesiongraph.bodypart.model import SsbrModel, ZMap
from lesiongraph.bodypart.series_fit import theil_sen_slope
from lesiongraph.bodypart.volumes import TrainingVolume

LEAST_R = 0.8  # a volume whose packaged scores follow its slices less than this cannot tell where it lies
LEAST_VOLUMES = 2
_SLICES_A_VOLUME = 64  # looked at, at most: an archive has 200,000, and a line needs no more
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Alignment:
    """What `align_z` found.

    Attributes
    ----------
    residual_z : float
        Robust standard deviation between the two models' z over all slices used; NaN where not aligned.
    volume_sd_z : float
        Standard deviation of the volumes' median differences: how far whole volumes disagree.
    volumes, volumes_used : int
        Given, and those the reference can tell (r of 0.8 and more, inside its trained range).
    """

    residual_z: float
    volume_sd_z: float
    volumes: int
    volumes_used: int

    @property
    def found(self) -> bool:
        """Whether the model's z was laid onto the reference's."""
        return bool(np.isfinite(self.residual_z))

    def describe(self, reference: str) -> str:
        """Say it in one sentence for a run report."""
        used = f"{self.volumes_used} of {self.volumes} volumes"
        if not self.found:
            return (
                f"z of the fitted model could not be laid onto that of {reference}, which follows the slices "
                f"of {used} only (r of {LEAST_R:g} needed): do not compare z of the two; there is no atlas"
            )
        return (
            f"z of the fitted model was laid onto that of {reference} over {used}: they differ by "
            f"{self.residual_z:.3f} of z a slice, {self.volume_sd_z:.3f} a volume (standard deviations)"
        )


def align_z(
    model: SsbrModel,
    reference: SsbrModel,
    volumes: Sequence[TrainingVolume],
    for_reference: Iterable[TrainingVolume] | None = None,
) -> Alignment:
    """Replace `model`'s z map by one that gives the reference's z, where the reference can tell.

    The line is Theil-Sen's over slices drawn evenly from the volumes; it maps onto the linear part of the
    reference's z, so that tails do not bend it. The model's notes then name the reference (sha256) and the
    residual, which `Atlas.for_model` reads.

    Parameters
    ----------
    model : SsbrModel
        Freshly trained; changed in place if the alignment succeeds, else left with its own z.
    reference : SsbrModel
        The packaged model.
    volumes : sequence of TrainingVolume
        Cut with the `slice_mode` of the model.
    for_reference : iterable of TrainingVolume, optional
        The same volumes cut with the reference's `slice_mode`, where that is another.

    Raises
    ------
    ValueError
        If the two models look at slices in different ways and `for_reference` is not given.
    """
    if model.slice_mode != reference.slice_mode and for_reference is None:
        raise ValueError(f"slice modes differ: {model.slice_mode!r} and {reference.slice_mode!r}")
    both = zip(volumes, volumes if for_reference is None else for_reference, strict=True)
    pairs = [_scores_and_z(model, reference, volume, as_known) for volume, as_known in both]
    told = [pair for pair in pairs if pair is not None]
    failed = Alignment(float("nan"), float("nan"), len(volumes), len(told))
    if len(told) < LEAST_VOLUMES:
        return failed
    scores, z = (np.concatenate([_evenly(pair[i]) for pair in told]) for i in (0, 1))
    order = np.random.default_rng(0).permutation(len(scores))  # Theil-Sen thins long series by their order
    slope = theil_sen_slope(scores[order], z[order]) if np.ptp(scores) > 0 else 0.0
    if not slope > 0:
        return failed
    offset = float(np.median(z - slope * scores))
    residual = _MAD_TO_SD * float(np.median(np.abs(z - slope * scores - offset)))
    levels = [float(np.median(at - slope * score - offset)) for score, at in told]
    model.z_map = ZMap(slope, offset, reference.z_map.tail)
    model.notes[ALIGNED_TO] = reference.sha256
    model.notes[ALIGNMENT_SD] = f"{residual:.5f}"
    return Alignment(residual, float(np.std(levels)), len(volumes), len(told))


def _scores_and_z(
    model: SsbrModel, reference: SsbrModel, volume: TrainingVolume, as_known: TrainingVolume
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The model's scores and the reference's z of a volume's slices; None where the reference cannot tell."""
    step = math.ceil(len(volume.slices) / _SLICES_A_VOLUME)
    own, other = volume.slices[::step], as_known.slices[::step]
    interval_mm = volume.interval_mm if np.isfinite(volume.interval_mm) else 1.0
    position = step * interval_mm * np.arange(len(own))
    body = shows_patient(other)
    known = reference.score(other)
    found = locate_scores(reference, known, body, position)
    use = body & reference.in_trained_range(known)
    if not found.r >= LEAST_R or use.sum() < 2:
        return None
    return model.score(own[use]), reference.to_z(known[use])


def _evenly(values: NDArray[np.float64], most: int = 24) -> NDArray[np.float64]:
    """At most so many values, spread over the volume: a long volume must not outweigh the others."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    spread: NDArray[np.float64] = values[chosen]
    return spread
