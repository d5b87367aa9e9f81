"""How wrong pseudo-labels are, where the truth is known, before and after refinement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.cues.labels import PseudoLabels
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.lesion import LESION_TYPES

ABSTAINED = ""


@dataclass(frozen=True)
class LabelNoise:
    """Labels against truth. A lesion without a label is never counted as right, nor as wrong.

    Attributes
    ----------
    types : tuple of str
        Rows of `confusion`.
    confusion : (T, T + 1) int array
        Lesions of each true type (row) by label (column); the last column holds those without a label.
    """

    types: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Lesions with a known type."""
        return int(self.confusion.sum())

    @property
    def coverage(self) -> float:
        """Share of the lesions that have a label."""
        return float(self.confusion[:, :-1].sum() / self.n)

    @property
    def precision(self) -> float:
        """Share of the labels that are right; NaN without labels."""
        return _ratio(np.trace(self.confusion[:, :-1]), self.confusion[:, :-1].sum())

    @property
    def recalls(self) -> dict[str, float]:
        """Share of each true type's lesions that are labelled right; types that do not occur are absent."""
        rows = zip(self.types, self.confusion.diagonal(), self.confusion.sum(axis=1), strict=True)
        return {name: _ratio(right, n) for name, right, n in rows if n}

    @property
    def precisions(self) -> dict[str, float]:
        """Share of each type's labels that are right; NaN for a type that is never given."""
        given = self.confusion[:, :-1].sum(axis=0)
        rows = zip(self.types, self.confusion.diagonal(), given, strict=True)
        return {name: _ratio(right, n) for name, right, n in rows}

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls, so that a rare type weighs as much as a common one."""
        return float(np.mean(list(self.recalls.values())))


@dataclass(frozen=True)
class CoverageCurve:
    """Precision as ever less sure labels are admitted; arrays of shape (K,), from few labels to all."""

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    precision: NDArray[np.float64]

    def precision_at(self, coverage: float) -> float:
        """Return the precision of the surest share `coverage` of the lesions (or the next larger share)."""
        return float(self.precision[np.searchsorted(self.coverage, coverage - 1e-9)])


@dataclass(frozen=True)
class RefinementEffect:
    """The noise before and after, and what became of each label.

    Attributes
    ----------
    fates : (3, 3) int array
        Row: before was right, wrong, without a label; column: the same after.
    changed : int
        Labels that differ, also from one wrong type to another.
    """

    before: LabelNoise
    after: LabelNoise
    fates: NDArray[np.int64]
    changed: int

    @property
    def mended(self) -> int:
        """Labels that were wrong and became right."""
        return int(self.fates[1, 0])

    @property
    def spoilt(self) -> int:
        """Labels that were right and became wrong."""
        return int(self.fates[0, 1])


def measure_noise(truth: ArrayLike, labels: ArrayLike, types: Sequence[str] = LESION_TYPES) -> LabelNoise:
    """Compare labels with the true types; lesions whose truth is unknown (empty) are left out.

    Parameters
    ----------
    truth, labels : (N,) arrays of str
        An empty label stands for an abstention.
    types : sequence of str

    Raises
    ------
    ValueError
        If the lengths differ, or a type is not among `types`: it must not vanish from the counts.
    NotEnoughDataError
        If no truth is known.
    """
    true, given = _known(truth, labels)
    strange = sorted({*true.tolist(), *given.tolist()} - {*types, ABSTAINED})
    if strange:
        raise ValueError(f"expected types out of {', '.join(types)}; got {strange}")
    place = {name: i for i, name in enumerate([*types, ABSTAINED])}
    confusion = np.zeros((len(types), len(types) + 1), dtype=np.int64)
    np.add.at(confusion, ([place[name] for name in true], [place[name] for name in given]), 1)
    return LabelNoise(tuple(types), confusion)


def coverage_curve(truth: ArrayLike, labels: PseudoLabels) -> CoverageCurve:
    """Return the precision of the labels whose confidence reaches each threshold; equal ones come together.

    Parameters
    ----------
    truth : (N,) array of str
        Lesions whose truth is unknown (empty) are left out.
    labels : PseudoLabels
        Without abstentions: the curve is what shows where to abstain.

    Raises
    ------
    ValueError
        If the lengths differ, or a lesion has no label.
    NotEnoughDataError
        If no truth is known.
    """
    true, given = _known(truth, labels.types)
    if (given == ABSTAINED).any():
        raise ValueError(f"labels: expected one for each lesion, {int((given == ABSTAINED).sum())} abstain")
    known = np.asarray(truth).astype(str) != ""
    order = np.argsort(-labels.confidence[known], kind="stable")
    confidence = labels.confidence[known][order]
    right = np.cumsum((true == given)[order])
    last = np.flatnonzero(np.append(confidence[1:] != confidence[:-1], True))
    return CoverageCurve(confidence[last], (last + 1) / len(true), right[last] / (last + 1))


def measure_refinement(
    truth: ArrayLike, before: ArrayLike, after: ArrayLike, types: Sequence[str] = LESION_TYPES
) -> RefinementEffect:
    """Say whether refinement made the labels cleaner.

    Parameters
    ----------
    truth, before, after : (N,) arrays of str
        As for `measure_noise`.

    Source
    ------
    Sec. 4.3: "retrain the initial classifier to get cleaner pseudo-labels".
    """
    noise_before, noise_after = measure_noise(truth, before, types), measure_noise(truth, after, types)
    true, first = _known(truth, before)
    _, second = _known(truth, after)
    fates = np.zeros((3, 3), dtype=np.int64)
    np.add.at(fates, (_fate(true, first), _fate(true, second)), 1)
    return RefinementEffect(noise_before, noise_after, fates, int(np.sum(first != second)))


def _fate(truth: NDArray[np.str_], labels: NDArray[np.str_]) -> NDArray[np.int64]:
    fate: NDArray[np.int64] = np.where(labels == ABSTAINED, 2, np.where(labels == truth, 0, 1))
    return fate


def _known(truth: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    true, given = np.asarray(truth).astype(np.str_), np.asarray(labels).astype(np.str_)
    if true.shape != given.shape or true.ndim != 1:
        raise ValueError(f"expected truth and labels of one length, got {true.shape} and {given.shape}")
    known = true != ""
    if not known.any():
        raise NotEnoughDataError(
            "Noise of the pseudo-labels", "a lesion of known type", 0, "Give the truth of some lesions."
        )
    return true[known], given[known]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
