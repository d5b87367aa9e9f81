"""What the student is told: the teacher's maps, its pooled features, and which boxes look alike to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lesiongraph.embedding.roi_pool import box_windows, roi_pool, whole_windows
from lesiongraph.embedding.trunk import MAP_STRIDES

GRID = 5  # what the embedder's FC layers see; its maximum is the initial feature
SHARPNESS = 2.0  # of the softmax over neighbours, in standard deviations of the teacher's cosines


@dataclass(frozen=True)
class Boxes:
    """K rounds of one box and one large window of context a crop: each (K, crops, 4)."""

    lesions: Tensor
    context: Tensor

    @property
    def owner(self) -> Tensor:
        """Crop of each box (K · crops,), round by round."""
        rounds, crops = self.lesions.shape[:2]
        return torch.arange(crops).repeat(rounds)


def pool_scales(maps: list[Tensor], boxes: Boxes) -> list[Tensor]:
    """Pool boxes on the first three maps, the whole crop and windows of context on the last.

    Returns
    -------
    five Tensors (K · crops, C_i, 5, 5): conv2_2, conv3_3, conv4_3, conv5_3 whole, conv5_3 context
    """
    pooled = [
        _pool_rounds(cells, boxes.lesions, stride)
        for cells, stride in zip(maps, MAP_STRIDES[:-1], strict=False)
    ]
    extents = torch.tensor(maps[-1].shape[2:]).expand(len(maps[-1]), 2)
    pooled.append(roi_pool(maps[-1], whole_windows(extents), GRID)[boxes.owner])
    pooled.append(_pool_rounds(maps[-1], boxes.context, MAP_STRIDES[-1]))
    return pooled


def _pool_rounds(cells: Tensor, boxes: Tensor, stride: int) -> Tensor:
    extents = torch.tensor(cells.shape[2:]).expand(len(cells), 2)
    return torch.cat([roi_pool(cells, box_windows(one, stride, extents), GRID) for one in boxes])


def relation_losses(ours: list[Tensor], theirs: list[Tensor], owner: Tensor) -> Tensor:
    """Mean over scales of how far the cosines of pairs are from the teacher's.

    Of each scale at 1×1 and, at half the weight, at 5×5; and of the joined initial feature.
    """
    pairs = owner[:, None] != owner[None]
    losses, joined_ours, joined_theirs = [], [], []
    for a, b in zip(ours, theirs, strict=True):
        top_a, top_b = _cosines(a.amax((2, 3))), _cosines(b.amax((2, 3)))
        losses.append(relation_loss(top_a, top_b, pairs))
        losses.append(0.5 * relation_loss(_cosines(a.flatten(1)), _cosines(b.flatten(1)), pairs))
        joined_ours.append(top_a)
        joined_theirs.append(top_b)
    # the initial feature is the four unit vectors joined: its cosine is the mean of theirs
    joined = [torch.stack(parts[:4]).mean(0) for parts in (joined_ours, joined_theirs)]
    return torch.stack(losses).mean() + relation_loss(joined[0], joined[1], pairs)


def relation_loss(ours: Tensor, theirs: Tensor, pairs: Tensor) -> Tensor:
    """Return how far cosines (n, n) are from the teacher's over the chosen pairs.

    One minus their correlation, a tenth of their squared difference over the spread, and the divergence
    of the softmax over each row: near neighbours count most.
    """
    a, b = ours[pairs], theirs[pairs]
    mean, spread = b.mean(), b.std() + 1e-6
    off_a, off_b = a - a.mean(), b - mean
    correlation = (off_a * off_b).sum() / (off_a.norm() * off_b.norm() + 1e-9)
    apart = ((a - b) / spread).square().mean()
    logits = [(one - mean) / spread * SHARPNESS for one in (ours, theirs)]
    masked = [one.masked_fill(~pairs, -1e4) for one in logits]
    rows = [functional.log_softmax(one, dim=1) for one in masked]
    near = functional.kl_div(rows[0], rows[1], reduction="batchmean", log_target=True)
    return (1 - correlation) + 0.1 * apart + near


def _cosines(features: Tensor) -> Tensor:
    unit = functional.normalize(features, dim=1)
    return unit @ unit.T
