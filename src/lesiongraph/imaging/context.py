"""Which slices make the three channels: the key slice and its neighbours 2 mm above and below (Sec. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesiongraph.errors import LesionGraphError

GAP_FACTOR = 1.5
"""Two slices further apart than this many intervals have a hole between them: nothing is interpolated."""

FLAG_REPEATED = "context: slice interval unknown, key slice repeated"
FLAG_END = "context: beyond the end of the series, nearest slice used"
FLAG_GAP = "context: slices missing, nearest slice used"
FLAG_UNREADABLE = "context: neighbour slice unreadable"


class PatchError(LesionGraphError):
    """A patch cannot be cut from what was given; `cause` is the reason alone, fit for counting."""

    def __init__(self, cause: str, detail: str) -> None:
        self.cause = cause
        self.detail = detail
        super().__init__(f"No patch, {cause}: {detail}. Check the mark and its image.")


@dataclass(frozen=True)
class ContextPlan:
    """How context slices are mixed from existing slices.

    Attributes
    ----------
    key_index : int
    slice_indices : tuple of int
        The slices to read, ascending (n).
    weights : (context_slices, n) float32
        Each row sums to 1.
    offsets_mm : tuple of float
        Where each context slice was taken, mm from the key slice towards the feet.
    flags : tuple of str
    interval_mm, step_mm : float
        Slice interval of the series; wanted distance of neighbouring context slices.
    """

    key_index: int
    slice_indices: tuple[int, ...]
    weights: NDArray[np.float32]
    offsets_mm: tuple[float, ...]
    flags: tuple[str, ...]
    interval_mm: float
    step_mm: float

    def without(self, slices: pd.DataFrame, unreadable: Sequence[int]) -> ContextPlan:
        """Return the plan made again as if the `unreadable` slices were missing."""
        kept = slices[~slices["slice_index"].isin(list(unreadable))]
        plan = plan_context(kept, self.key_index, self.interval_mm, len(self.weights), self.step_mm)
        return ContextPlan(
            plan.key_index,
            plan.slice_indices,
            plan.weights,
            plan.offsets_mm,
            (FLAG_UNREADABLE, *plan.flags),
            plan.interval_mm,
            plan.step_mm,
        )


def plan_context(
    slices: pd.DataFrame, key_index: int, interval_mm: float, count: int, step_mm: float
) -> ContextPlan:
    """Plan `count` context slices `step_mm` apart round the key slice, head to foot.

    A wanted position between two slices is interpolated linearly; beyond the end, or inside a gap of more
    than `GAP_FACTOR` intervals, the nearest existing slice serves; the key slice is repeated where the
    interval is NaN or not positive, or its position is unknown. All but the first are flagged.

    Parameters
    ----------
    slices : DataFrame
        Columns `slice_index` and `position_mm` (growing towards the feet), any order.
    key_index : int
    interval_mm : float
    count : int
        Odd.
    step_mm : float

    Raises
    ------
    ValueError
        If `count` is not odd.
    PatchError
        If the key slice is not in `slices`.

    Source
    ------
    Sec. 3: "3 neighboring slices (interpolated at 2 mm slice intervals)"; facts §1, row "context".
    """
    if count < 1 or count % 2 == 0:
        raise ValueError(f"context slices: expected an odd number, got {count}")
    indices = slices["slice_index"].to_numpy(dtype=np.int64)
    positions = slices["position_mm"].to_numpy(dtype=np.float64)
    if key_index not in indices:
        raise PatchError("key slice not in the series", f"slice {key_index} of {len(indices)} known slices")
    key_mm = float(positions[indices == key_index][0])
    known = np.isfinite(positions)
    if not (math.isfinite(interval_mm) and interval_mm > 0 and math.isfinite(key_mm)):
        mixes = [_Mix(((key_index, 1.0),), 0.0, FLAG_REPEATED) for _ in range(count)]
    else:
        order = np.argsort(positions[known], kind="stable")
        line = _SliceLine(indices[known][order], positions[known][order], key_index, key_mm, interval_mm)
        mixes = [line.mix((i - count // 2) * step_mm) for i in range(count)]
    return _plan(mixes, key_index, interval_mm, step_mm)


@dataclass(frozen=True)
class _Mix:
    parts: tuple[tuple[int, float], ...]  # (slice index, weight)
    offset_mm: float
    flag: str = ""


@dataclass(frozen=True)
class _SliceLine:
    """The slices of a series along the head–foot axis."""

    indices: NDArray[np.int64]
    positions: NDArray[np.float64]
    key_index: int
    key_mm: float
    interval_mm: float

    def mix(self, offset_mm: float) -> _Mix:
        """Return how the slice `offset_mm` towards the feet of the key slice is made."""
        if offset_mm == 0.0:
            return _Mix(((self.key_index, 1.0),), 0.0)
        target = self.key_mm + offset_mm
        after = int(np.searchsorted(self.positions, target - 1e-6))
        if after < len(self.positions) and abs(self.positions[after] - target) <= 1e-6:
            return _Mix(((int(self.indices[after]), 1.0),), offset_mm)
        if after in (0, len(self.positions)):
            return self._nearest(min(after, len(self.positions) - 1), FLAG_END)
        above, below = self.positions[after - 1], self.positions[after]
        share = float((target - above) / (below - above))
        if below - above > GAP_FACTOR * self.interval_mm:
            return self._nearest(after - 1 if share < 0.5 else after, FLAG_GAP)
        parts = ((int(self.indices[after - 1]), 1.0 - share), (int(self.indices[after]), share))
        return _Mix(parts, offset_mm)

    def _nearest(self, place: int, flag: str) -> _Mix:
        return _Mix(((int(self.indices[place]), 1.0),), float(self.positions[place] - self.key_mm), flag)


def _plan(mixes: list[_Mix], key_index: int, interval_mm: float, step_mm: float) -> ContextPlan:
    needed = sorted({index for mix in mixes for index, _ in mix.parts})
    weights = np.zeros((len(mixes), len(needed)), dtype=np.float32)
    for row, mix in enumerate(mixes):
        for index, share in mix.parts:
            weights[row, needed.index(index)] += share
    return ContextPlan(
        key_index=key_index,
        slice_indices=tuple(needed),
        weights=weights,
        offsets_mm=tuple(mix.offset_mm for mix in mixes),
        flags=tuple(dict.fromkeys(mix.flag for mix in mixes if mix.flag)),
        interval_mm=interval_mm,
        step_mm=step_mm,
    )
