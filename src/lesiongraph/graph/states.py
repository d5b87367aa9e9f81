"""What became of each lesion between two studies: matched, new, gone, merged, split, unmarked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.graph.cost import CostWeights, Floats, Ints, LesionCues
from lesiongraph.graph.cost_matching import cost_matrix
from lesiongraph.graph.matcher import study_pairs

Bools = NDArray[np.bool_]
State = Literal["matched", "new", "gone", "merged", "split", "unmarked", "not covered"]


@dataclass(frozen=True)
class LesionChange:
    """One lesion seen from another study of its patient.

    Attributes
    ----------
    lesion : int
        Its row.
    study, other_study : object
        Its own study and the one it is looked for in.
    state : State
        "gone" (from the earlier study) and "new" (in the later one) say that the other study shows the
        place and holds no mark of it, not that it holds no lesion: about half of all lesions are unmarked.
        "unmarked" says the same of a lesion that is marked beyond the other study: it was neither gone nor
        is it new.
    partners : tuple of int
        Rows of the lesions it is matched with, or merged or split with.
    """

    lesion: int
    study: object
    other_study: object
    state: State
    partners: tuple[int, ...]


def lesion_changes(
    cues: LesionCues,
    studies: ArrayLike,
    groups: ArrayLike,
    limit: float,
    coverage: Mapping[object, ArrayLike],
    *,
    weights: CostWeights | None = None,
    consecutive: bool = True,
) -> list[LesionChange]:
    """Say what became of each lesion of ONE patient, for each pair of studies.

    Two lesions of one group are matched. Then a second pass: a lesion without a partner whose cheapest
    lesion in the other study costs at most `limit`, and has a partner already, makes it

    - "merged" if two or more lesions of the earlier study so share one of the later,
    - "split" if two or more of the later share one of the earlier,

    provided that the shared lesion is at least as long as each of them (where sizes are known): what flowed
    together is not smaller than its parts. All lesions that take part bear the state; groups stay as they
    are. Whatever is left is new or gone if the other study shows its z, give or take its error, and
    unmarked if its group has a mark beyond that study; else it is not covered.

    Parameters
    ----------
    cues : LesionCues
        Of the N lesions of one patient. Without locations nothing can be called new or gone.
    studies : (N,) array
        Sorting in the order of time.
    groups : (N,) array
        `MatchResult.groups`.
    limit : float
        That of the matching.
    coverage : mapping of study to (z_from, z_to), or to several of them (V, 2)
        What each study's series show; a study that is missing covers nothing.
    weights : CostWeights, optional
    consecutive : bool
        Each study with the next one only, or all pairs.

    Raises
    ------
    ValueError
        If lengths differ.
    """
    names, codes = np.unique(np.asarray(studies), return_inverse=True)
    labels = np.asarray(groups)
    if not len(codes) == len(labels) == len(cues):
        raise ValueError(
            f"expected equal lengths, got {len(cues)} cues, {len(codes)} studies, {len(labels)} groups"
        )
    costs = cost_matrix(cues, weights or CostWeights())
    changes = []
    gone: State = "gone"
    new: State = "new"
    for earlier, later in study_pairs(codes.astype(np.int64), consecutive=consecutive):
        a, b = np.flatnonzero(codes == earlier), np.flatnonzero(codes == later)
        pair = names[earlier], names[later]
        matched = labels[a][:, None] == labels[b][None, :]
        merged = _absorbed(costs[np.ix_(a, b)], matched, limit, _long_mm(cues, a), _long_mm(cues, b))
        split = _absorbed(costs[np.ix_(b, a)], matched.T, limit, _long_mm(cues, b), _long_mm(cues, a)).T
        for rows, others, near, ends, alone in (
            (a, b, (matched, merged, split), pair, gone),
            (b, a, (matched.T, merged.T, split.T), pair[::-1], new),
        ):
            covered = _covered(cues, rows, coverage.get(ends[1]))
            beyond = np.isin(labels[rows], labels[codes > later if alone == gone else codes < earlier])
            for k, row in enumerate(rows):
                together, into, apart = (links[k] for links in near)
                lonely: State = "unmarked" if beyond[k] else alone
                state = _state(together, into, apart, covered[k], lonely)
                partners = tuple(int(i) for i in others[together | into | apart])
                changes.append(LesionChange(int(row), *ends, state, partners))
    return changes


def _state(together: Bools, into: Bools, apart: Bools, covered: bool, alone: State) -> State:
    if into.any():
        return "merged"
    if apart.any():
        return "split"
    if together.any():
        return "matched"
    return alone if covered else "not covered"


def _absorbed(costs: Floats, matched: Bools, limit: float, long_mm: Floats, other_mm: Floats) -> Bools:
    """Return the pairs (n, m) of a lesion without a partner and the matched lesion it went into.

    The lesions that share one are marked too, so that all of them bear the state.
    """
    found = np.zeros(costs.shape, dtype=bool)
    if not costs.size:
        return found
    for i in np.flatnonzero(~matched.any(axis=1)):
        j = int(costs[i].argmin())
        sharing = np.append(np.flatnonzero(matched[:, j]), i)
        parts = long_mm[sharing]
        known = np.isfinite(parts).all() and np.isfinite(other_mm[j])
        if len(sharing) > 1 and costs[i, j] <= limit and not (known and parts.max() > other_mm[j]):
            found[sharing, j] = True
    return found


def _long_mm(cues: LesionCues, rows: Ints) -> Floats:
    return np.full(len(rows), np.nan) if cues.sizes_mm is None else cues.sizes_mm[rows, 0]


def _covered(cues: LesionCues, rows: Ints, views: ArrayLike | None) -> Bools:
    """Whether one view shows each lesion's z, give or take its error; an unknown z is not shown."""
    if cues.locations is None or views is None:
        return np.zeros(len(rows), dtype=bool)
    z = cues.locations[rows, 2]
    error = np.zeros(len(rows)) if cues.z_sd is None else np.nan_to_num(cues.z_sd[rows])
    ends = np.sort(np.asarray(views, dtype=np.float64).reshape(-1, 2), axis=1)
    inside = ((z - error)[:, None] >= ends[:, 0]) & ((z + error)[:, None] <= ends[:, 1])
    covered: Bools = inside.any(axis=1)
    return covered
