"""What a labeller of lesion types gives, and the one protocol behind which labellers stand (Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.lesion import LESION_TYPES


@dataclass(frozen=True)
class PseudoLabels:
    """Predicted types and how sure the labeller was.

    Attributes
    ----------
    types : (N,) array of str
        Empty where the labeller abstains: `SequenceSampler` then leaves the lesion out of sequences that
        use the type, and counts it.
    confidence : (N,) float array
        0 to 1, larger is surer. A probability only where the labeller says that it calibrates.
    """

    types: NDArray[np.str_]
    confidence: NDArray[np.float64]

    def abstaining_below(self, threshold: float) -> PseudoLabels:
        """Return the labels with the type left empty where the confidence is below `threshold`."""
        types = np.where(self.confidence >= threshold, self.types, "").astype(np.str_)
        return PseudoLabels(types, self.confidence)


class TypeLabeller(Protocol):
    """Learns types from seeds and labels the pool."""

    def fit(self, features: ArrayLike, types: ArrayLike) -> Self:
        """Learn from the seeds' features (N, D) and types (N,); return self."""
        ...

    def predict(self, features: ArrayLike) -> PseudoLabels:
        """Label every lesion of the pool, features (M, D)."""
        ...


def count_seeds(types: ArrayLike, expected: Sequence[str] = LESION_TYPES) -> dict[str, int]:
    """Return how many seeds each type has, zero included: a type without seeds can never be predicted.

    Parameters
    ----------
    types : (N,) array of str
    expected : sequence of str
        The types that should occur, in the order of the result; others that occur follow, sorted.
    """
    found = np.asarray(types).astype(str).tolist()
    names = [*expected, *sorted(set(found) - {*expected, ""})]
    return {name: found.count(name) for name in names}


def read_features(features: ArrayLike) -> NDArray[np.float64]:
    """Return features as a finite (N, D) float64 array.

    Raises
    ------
    ValueError
        If the shape is not (N, D).
    NotEnoughDataError
        If a value is not finite.
    """
    matrix = np.asarray(features, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"features: expected an array of shape (N, D), got {matrix.shape}")
    bad = int((~np.isfinite(matrix).all(axis=1)).sum())
    if bad:
        raise NotEnoughDataError(
            "Lesion features", "a finite value in every dimension", f"{bad} of {len(matrix)} rows without",
            "Leave those lesions out, or run the stage that gives the value.",
        )  # fmt: skip
    return matrix


def read_seeds(features: ArrayLike, types: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return seeds as checked arrays (N, D) and (N,).

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    NotEnoughDataError
        If fewer than two types occur, or a seed has no type.
    """
    matrix = read_features(features)
    labels = np.asarray(types).astype(np.str_)
    if labels.shape != (len(matrix),):
        raise ValueError(f"types: expected shape ({len(matrix)},), got {labels.shape}")
    found = sorted(set(labels.tolist()) - {""})
    if len(found) < 2 or (labels == "").any():
        raise NotEnoughDataError(
            "Type classifier", "seeds of at least two types, each seed typed",
            f"{len(labels)} seeds, types {found}, {int((labels == '').sum())} untyped",
            "Add typed lesions to the seed subset.",
        )  # fmt: skip
    return matrix, labels
