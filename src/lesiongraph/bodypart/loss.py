"""What the scores of m equidistant slices should obey: Eq. 2, and its form with distances in mm."""

from __future__ import annotations

import torch
from torch import Tensor

MM_PER_SCORE = 100.0  # the physical loss makes one unit of score about 100 mm


def ssbr_loss(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Order and distance terms of the self-supervised body part regressor.

    Parameters
    ----------
    scores : Tensor, shape (B, m)
        Each row: the scores of m equidistant slices of one volume, head to foot.

    Returns
    -------
    order, distance : Tensor, shape ()
        Summed over a row as in Eq. 2, averaged over the B rows.

    Raises
    ------
    ValueError
        If there are fewer than three slices a row.

    Source: Sec. 4.1, Eq. 2.
    """
    if scores.ndim != 2 or scores.shape[1] < 3:
        raise ValueError(f"scores: expected shape (B, m >= 3), got {tuple(scores.shape)}")
    delta = scores[:, 1:] - scores[:, :-1]  # (B, m - 1)
    order = -torch.nn.functional.logsigmoid(delta).sum(dim=1)
    second = delta[:, 1:] - delta[:, :-1]  # (B, m - 2)
    distance = torch.nn.functional.smooth_l1_loss(second, torch.zeros_like(second), reduction="none")
    return order.mean(), distance.sum(dim=1).mean()


def physical_loss(scores: Tensor, step_mm: Tensor) -> Tensor:
    """Smooth L1 between score differences and distances in mm, over all pairs of a row.

    Bodies differ in length, so this cannot reach zero; it fixes the score's scale, which Eq. 2 leaves open,
    and so makes scores of different volumes agree.

    Parameters
    ----------
    scores : Tensor, shape (B, m)
        Head to foot.
    step_mm : Tensor, shape (B,)
        Distance between neighbouring slices of a row; NaN where unknown, such rows do not count. Best on the
        CPU, wherever the scores are: which rows count is then known without waiting for a GPU.

    Returns
    -------
    Tensor, shape ()

    Source: ours; the idea of distances in mm instead of equal steps is bpreg's (facts, section 5).
    """
    known = torch.isfinite(step_mm).nonzero()[:, 0]
    if not len(known):
        return scores.sum() * 0.0
    device = scores.device
    first, second = torch.triu_indices(scores.shape[1], scores.shape[1], offset=1, device=step_mm.device)
    wanted = (second - first)[None, :] * step_mm[known, None] / MM_PER_SCORE
    scores, first, second = scores[known.to(device)], first.to(device), second.to(device)
    return torch.nn.functional.smooth_l1_loss(scores[:, second] - scores[:, first], wanted.to(device))
