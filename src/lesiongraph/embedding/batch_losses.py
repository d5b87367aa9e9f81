"""Losses over a batch of lesions with known cues, beside Eq. 3: what the packaged embedder learned from.

Ours: docs/adr/0015-packaged-embedder.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SQUARED = 1e-6  # keeps the logarithm of two equal embeddings finite …
_LEAST_LABEL_SQUARED = 1e-4  # … and that of two equal labels


def supervised_contrastive_loss(
    vectors: Tensor, types: Tensor, temperature: float = 0.1, among: Tensor | None = None
) -> Tensor:
    """Pull lesions of one type together, against all others of the batch.

    With s_ij = v_i · v_j / temperature and P(i) the others of i's type, the mean over the lesions i that have
    such others of −1/|P(i)| Σ_{p ∈ P(i)} log(exp s_ip / Σ_{a ≠ i} exp s_ia).

    Parameters
    ----------
    vectors : Tensor (B, D), unit vectors
    types : Tensor (B,) int
        Codes; −1 for an unknown type: such lesions take no part.
    temperature : float
    among : Tensor (B,) int, optional
        Lesions are compared within such a group only: with instances for `types` and types for `among`,
        views of one lesion are pulled together against others of its type.

    Returns
    -------
    Tensor ()
        0 where no two lesions share a type.

    Source: Khosla et al., Supervised Contrastive Learning (2020), Eq. 2.
    """
    known = types >= 0
    vectors, types = vectors[known], types[known]
    compared = ~torch.eye(len(types), dtype=torch.bool, device=types.device)
    if among is not None:
        compared = compared & (among[known][:, None] == among[known][None, :])
    logits = (vectors @ vectors.T / temperature).masked_fill(~compared, float("-inf"))
    positive = (types[:, None] == types[None, :]) & compared
    alone = ~compared.any(1, keepdim=True)  # the logarithm of nothing would turn gradients into NaN
    log_share = logits - logits.masked_fill(alone, 0).logsumexp(1, keepdim=True)
    count = positive.sum(1)
    if not count.any():
        return vectors.sum() * 0
    of_anchor = -log_share.masked_fill(~positive, 0).sum(1) / count.clamp(min=1)
    return of_anchor[count > 0].mean()


def log_ratio_loss(vectors: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """Make ratios of embedding distances follow ratios of label distances, within each group.

    For each lesion, the variance over the others of its group of log d²(embeddings) − log d²(labels); the
    mean over lesions with two others or more. The variance is the paper's sum over pairs of neighbours of
    squared differences, up to a constant factor.

    Parameters
    ----------
    vectors : Tensor (B, D), unit vectors
    labels : Tensor (B, d)
        Continuous: location, or the logarithm of size.
    groups : Tensor (B,) int
        Lesions are compared within a group only: the type, as in the hierarchy of Sec. 4.2. −1: no part.

    Source: Kim et al., Deep Metric Learning Beyond Binary Supervision (CVPR 2019), Eq. 4.
    """
    embedded = (2 - 2 * vectors @ vectors.T).clamp(min=_LEAST_SQUARED).log()
    labelled = torch.cdist(labels, labels).square().clamp(min=_LEAST_LABEL_SQUARED).log()
    others = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    compared = (groups[:, None] == groups[None, :]) & (groups >= 0)[:, None] & others
    count = compared.sum(1)
    if not (count > 1).any():
        return vectors.sum() * 0
    gap = torch.where(compared, embedded - labelled, 0)
    mean = gap.sum(1, keepdim=True) / count[:, None].clamp(min=1)
    spread = torch.where(compared, (gap - mean).square(), 0).sum(1) / count.clamp(min=1)
    return spread[count > 1].mean()
