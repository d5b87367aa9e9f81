"""What it costs to call two lesions the same: appearance, location and size on one scale."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from lesiongraph.errors import NotEnoughDataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LesionCues:
    """What is known of N lesions; a part that is None is left out of the cost.

    Attributes
    ----------
    embeddings : (N, D) array, optional
    locations : (N, 3) array, optional
        Relative body location x, y, z, 0–1; NaN where one is unknown.
    z_sd : (N,) array, optional
        Expected error of each z; NaN where nothing is known of it.
    sizes_mm : (N, 2) array, optional
        Long and short axis.

    Raises
    ------
    ValueError
        If there is no cue, lengths or shapes differ, an embedding is not finite or a size not positive.
    """

    embeddings: Floats | None = None
    locations: Floats | None = None
    z_sd: Floats | None = None
    sizes_mm: Floats | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, np.asarray(value, dtype=np.float64))
        if self.embeddings is None and self.locations is None and self.sizes_mm is None:
            raise ValueError("cues: give embeddings, locations or sizes_mm")
        columns = {"embeddings": None, "locations": 3, "sizes_mm": 2, "z_sd": 0}
        for name, width in columns.items():
            _check_shape(name, getattr(self, name), len(self), width)
        if self.embeddings is not None and not np.isfinite(self.embeddings).all():
            raise ValueError("embeddings: expected finite values")
        if self.sizes_mm is not None and not (np.nan_to_num(self.sizes_mm, nan=1) > 0).all():
            raise ValueError("sizes_mm: expected lengths above 0, or NaN where unknown")
        if self.z_sd is not None and self.locations is None:
            raise ValueError("z_sd: given without locations")

    def __len__(self) -> int:
        first = next(v for v in (self.embeddings, self.locations, self.sizes_mm) if v is not None)
        return len(first)

    def take(self, rows: Ints) -> LesionCues:
        """Return the cues of some lesions."""
        parts = (getattr(self, field.name) for field in fields(self))
        return LesionCues(*(None if part is None else part[rows] for part in parts))

    def columns(self) -> Floats:
        """Return every value as one (N, …) table: two lesions with the same row cannot be told apart."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return np.concatenate(
            [p.reshape(len(p), int(np.prod(p.shape[1:]))) for p in parts if p is not None], axis=1
        )


@dataclass(frozen=True)
class CostWeights:
    """How much each cue counts, and how far it differs between two marks of one lesion.

    A difference counts in units of its spread, so that a cost of about the root of the number of terms is
    what one lesion shows by itself. The spreads are those of true pairs of DLS, x and y image-relative
    (`benchmarks/dls_matchers.py`); `measured_on` takes them from pairs of one's own.

    Attributes
    ----------
    appearance, location, size : float
        Factor of the squared term; 0 leaves the cue out.
    appearance_sd : float
        Root mean square embedding distance of true pairs. No real pairs with embeddings were at hand: it is
        a start, half of the paper's T_1.
    x_sd, y_sd, z_sd : float
        Spread of the difference. Where both lesions state an error of z, `z_errors` times the root of the
        sum of their squares takes the place of `z_sd`.
    z_errors : float
        Spread of the difference of z in units of the errors stated. They are errors against other patients,
        which two studies of one patient largely share: true pairs of a phantom differ by half of it.
    size_sd : float
        Spread of the difference of the logarithms of an axis.
    """

    appearance: float = 1.0
    location: float = 1.0
    size: float = 1.0
    appearance_sd: float = 0.05
    x_sd: float = 0.034
    y_sd: float = 0.062
    z_sd: float = 0.016
    size_sd: float = 0.23
    z_errors: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if (
                not np.isfinite(value)
                or value < 0
                or (value == 0 and field.name not in ("appearance", "location", "size"))
            ):
                raise ValueError(f"{field.name}: expected a positive number, got {value}")

    @staticmethod
    def measured_on(cues: LesionCues, pairs: Ints) -> CostWeights:
        """Take the spreads from true pairs (P, 2); a cue or coordinate never known keeps its default.

        It then counts the same for every pair.

        The spread is the root mean square difference, not a robust one: a patient who lies differently, or
        a lesion that grew much, is what a match must stand.

        Raises
        ------
        NotEnoughDataError
            If there is no pair, or a spread would be 0: the pairs given do not differ in it.
        """
        first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
        if not len(first):
            raise NotEnoughDataError("Spread of true pairs", "true pairs", 0, "Give more patients.")
        spreads: dict[str, float] = {}
        if cues.embeddings is not None:
            apart = np.linalg.norm(cues.embeddings[first] - cues.embeddings[second], axis=1)
            spreads["appearance_sd"] = _spread(apart, "appearance_sd")
        if cues.locations is not None:
            moved = cues.locations[first] - cues.locations[second]
            for axis, name in enumerate(("x_sd", "y_sd", "z_sd")):
                if np.isfinite(moved[:, axis]).any():
                    spreads[name] = _spread(moved[:, axis], name)
            if cues.z_sd is not None:
                stated = np.hypot(cues.z_sd[first], cues.z_sd[second])
                known = np.isfinite(stated) & (stated > 0) & np.isfinite(moved[:, 2])
                if known.any():
                    spreads["z_errors"] = _spread(moved[known, 2] / stated[known], "z_errors")
        if cues.sizes_mm is not None:
            grown = np.log(cues.sizes_mm[first]) - np.log(cues.sizes_mm[second])
            if np.isfinite(grown).any():
                spreads["size_sd"] = _spread(grown, "size_sd")
        return CostWeights(**spreads)


def pair_costs(cues: LesionCues, weights: CostWeights, first: Ints, second: Ints) -> Floats:
    """Return the cost (…) of each pair of lesions; `first` and `second` are rows that broadcast.

    cost² = appearance · (d / sd)² + location · ((Δx / sd)² + (Δy / sd)² + (Δz / sd)²)
    + size · mean over both axes of (Δ log length / sd)²

    A difference of exactly one spread is what is expected of one lesion, so this is what an unknown
    coordinate or length counts: neither for nor against a match.

    Source
    ------
    Ours. Sec. 4.1 names the cues; the paper matches by the embedding alone.
    """
    total = np.zeros(np.broadcast_shapes(first.shape, second.shape))
    if cues.embeddings is not None and weights.appearance:
        apart = np.linalg.norm(cues.embeddings[first] - cues.embeddings[second], axis=-1)
        total += weights.appearance * (apart / weights.appearance_sd) ** 2
    if cues.locations is not None and weights.location:
        for axis, sd in enumerate((weights.x_sd, weights.y_sd, _z_sd(cues, weights, first, second))):
            along = cues.locations[:, axis]
            total += weights.location * _expected_if_unknown((along[first] - along[second]) / sd)
    if cues.sizes_mm is not None and weights.size:
        logs = np.log(cues.sizes_mm)
        for axis in (0, 1):
            ratio = logs[first, axis] - logs[second, axis]
            total += weights.size / 2 * _expected_if_unknown(ratio / weights.size_sd)
    costs: Floats = np.sqrt(total)
    return costs


def _z_sd(cues: LesionCues, weights: CostWeights, first: Ints, second: Ints) -> Floats | float:
    if cues.z_sd is None:
        return weights.z_sd
    both = np.hypot(cues.z_sd[first], cues.z_sd[second])
    return np.where(np.isfinite(both) & (both > 0), weights.z_errors * both, weights.z_sd)


def _expected_if_unknown(units: Floats) -> Floats:
    return np.where(np.isfinite(units), units, 1.0) ** 2


def _spread(differences: Floats, name: str) -> float:
    known = differences[np.isfinite(differences)]
    spread = float(np.sqrt(np.mean(known**2))) if len(known) else 0.0
    if not spread:
        raise NotEnoughDataError(
            f"{name} of true pairs", "pairs that differ in it", f"{len(known)} that do not",
            "Give more pairs, or leave this cue out.",
        )  # fmt: skip
    return spread


def _check_shape(name: str, value: Floats | None, count: int, width: int | None) -> None:
    """`width` None: any; 0: a column."""
    if value is None:
        return
    wanted = (count,) if width == 0 else (count, value.shape[-1] if width is None else width)
    if value.shape != wanted:
        raise ValueError(f"{name}: expected shape {wanted}, got {value.shape}")
