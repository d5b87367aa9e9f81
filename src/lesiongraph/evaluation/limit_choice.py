"""Any matcher + validation patients whose truth is known → the limits around which it does best (ADR 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from lesiongraph.errors import NotEnoughDataError
from lesiongraph.evaluation.limits import Floats, Ints, Run, labelled_edges, limit_curve
from lesiongraph.graph import CostCalibration, fit_calibration

LIMIT_RATIO = float(np.exp(0.125))  # of two neighbouring limits that are tried
SMOOTHING_STEPS = 2.0  # standard deviation, in such steps, over which the F1 of neighbours counts
PULL = 0.01  # F1 that a limit e times the usual one must win
_STEPS_DOWN = 32  # to a 55th of the usual inter-study limit


@dataclass(frozen=True)
class ChosenLimits:
    """The limits, what they reach on the patients they were chosen on, and what an edge's length means.

    Attributes
    ----------
    merge_limit, limit : float
        Intra-study and inter-study.
    precision, recall, f1 : float
        Of pairs, there.
    true_pairs : int
        Pairs of marks of one lesion among these patients.
    calibration : CostCalibration or None
        Probability that an edge between studies joins one lesion; None where all edges are true, or none.
    edges, true_edges : int
        What the calibration was fitted on.
    """

    merge_limit: float
    limit: float
    precision: float
    recall: float
    f1: float
    true_pairs: int
    calibration: CostCalibration | None
    edges: int
    true_edges: int


def choose_limits(
    run: Run,
    patients: ArrayLike,
    instances: ArrayLike,
    merge_limits: Sequence[float],
    *,
    usual: tuple[float, float],
    nested: bool = True,
    smoothing_steps: float = SMOOTHING_STEPS,
    pull: float = PULL,
) -> ChosenLimits:
    """Choose, among VALIDATION patients, the limits around which the pair F1 is best.

    A few patients allow many limits without an error. One at the edge of those is a matter of luck, and
    other patients lie beyond it: so the F1 at a pair of limits is averaged with that of its neighbours, and
    what the patients leave open is settled by the limits that serve where nobody knows the truth.

    Parameters
    ----------
    run, patients, instances, nested
        As for `limit_curve`.
    merge_limits : sequence of float
        Intra-study limits to try, ascending in steps of `LIMIT_RATIO`; or one.
    usual : (float, float)
        The intra-study and inter-study limit that would serve without a truth.
    smoothing_steps : float
        Standard deviation, in steps of `LIMIT_RATIO`, of the Gaussian that averages; 0: none.
    pull : float
        F1 that a limit e times the usual one must win; it grows with the square of the logarithm.

    Raises
    ------
    NotEnoughDataError
        If no lesion has two marks.
    ValueError
        If a limit is not above 0, the merge limits are not in such steps, or all above the usual limit.

    Source
    ------
    Ours (ADR 11): the paper states T_1 and varies T_2.
    """
    rows = np.asarray(merge_limits, dtype=np.float64)
    _check(rows, usual)
    owners, truth = (np.unique(np.asarray(names), return_inverse=True)[1] for names in (patients, instances))
    columns = _inter_study_limits(float(run(rows[0], np.inf).distances.max(initial=0.0)), usual[1])
    counts = _count(run, owners, truth, rows, columns, nested=nested)
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    pairs = int(right[0, 0] + missed[0, 0])
    if not pairs:
        raise NotEnoughDataError(
            "Choosing a limit", "a lesion with two marks among the validation patients", 0,
            "Is this the truth of this hospital? Give more patients.",
        )  # fmt: skip
    scores = 2 * right / (2 * right + wrong + missed)
    averaged = gaussian_filter(scores, smoothing_steps, mode="nearest")
    from_usual = np.add.outer(np.log(rows / usual[0]) ** 2, np.log(columns / usual[1]) ** 2)
    merit = np.where(columns < rows[:, None], -np.inf, averaged - pull * from_usual)
    row, column = (int(at) for at in np.unravel_index(int(merit.argmax()), merit.shape))
    merge_limit, limit = float(rows[row]), float(columns[column])
    true, false, _ = (int(n) for n in counts[row, column])
    precision = true / (true + false) if true + false else float("nan")
    lengths, same = labelled_edges(run(merge_limit, np.inf), truth)
    mixed = same.any() and not same.all()
    return ChosenLimits(
        merge_limit, limit, precision, true / pairs, float(scores[row, column]), pairs,
        fit_calibration(lengths, same) if mixed else None, len(same), int(same.sum()),
    )  # fmt: skip


def _check(merge_limits: Floats, usual: tuple[float, float]) -> None:
    if not len(merge_limits) or not all(np.isfinite(x) and x > 0 for x in (*merge_limits, *usual)):
        raise ValueError(f"expected limits above 0, got merge limits {merge_limits}, usual ones {usual}")
    if merge_limits[0] > usual[1]:
        raise ValueError(f"expected a merge limit of at most the usual {usual[1]}, got {merge_limits}")
    if not np.allclose(np.diff(np.log(merge_limits)), np.log(LIMIT_RATIO)):
        raise ValueError(
            f"expected merge limits in steps of LIMIT_RATIO ({LIMIT_RATIO:.4f}), got {merge_limits}"
        )


def _inter_study_limits(longest: float, usual: float) -> Floats:
    """Return limits (L,) with the usual one among them, to beyond the longest edge.

    Beyond it nothing changes on these patients: a limit there has neighbours as good as itself.
    """
    beyond = np.log(max(longest / usual, 1.0)) / np.log(LIMIT_RATIO)
    limits: Floats = usual * LIMIT_RATIO ** np.arange(-_STEPS_DOWN, np.ceil(beyond) + 4 * SMOOTHING_STEPS + 1)
    return limits


def _count(
    run: Run, owners: Ints, truth: Ints, merge_limits: Floats, limits: Floats, *, nested: bool
) -> Ints:
    """Count the pairs (T, L, 3); an inter-study limit below the merge limit counts as that."""
    counts = []
    for merge_limit in merge_limits:
        raised = np.maximum(limits, merge_limit)
        curve = limit_curve(run, owners, truth, float(merge_limit), limits=raised, nested=nested)
        counts.append(curve.counts.sum(axis=0)[np.searchsorted(curve.limits, raised)])
    return np.stack(counts)
