"""Losses over a batch of unit vectors that were tried beside Eq. 3 and did not win (docs/experiments.md).

Each takes vectors (B, D) and type codes (B,) and gives a number. Those that the packaged
embedder learned from are in `embedding.batch_losses`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ALPHA, BETA, BASE, MARGIN = 2.0, 50.0, 0.5, 0.1  # of multi-similarity, as its authors choose them
PROXY_ALPHA, PROXY_MARGIN = 32.0, 0.1


def multi_similarity(vectors: Tensor, types: Tensor) -> Tensor:
    """Pairs mined by relative similarity, weighed softly.

    Source: Wang et al., Multi-Similarity Loss with General Pair Weighting, CVPR 2019, Eq. 15.
    """
    similarity = vectors @ vectors.T
    itself = torch.eye(len(types), dtype=torch.bool)
    same = (types[:, None] == types[None, :]) & ~itself
    other = types[:, None] != types[None, :]
    hardest_negative = similarity.masked_fill(~other, -2).amax(1, keepdim=True)
    hardest_positive = similarity.masked_fill(~same, 2).amin(1, keepdim=True)
    positive = same & (similarity - MARGIN < hardest_negative)
    negative = other & (similarity + MARGIN > hardest_positive)
    pull = torch.where(positive, torch.exp(-ALPHA * (similarity - BASE)), 0).sum(1)
    push = torch.where(negative, torch.exp(BETA * (similarity - BASE)), 0).sum(1)
    return (torch.log1p(pull) / ALPHA + torch.log1p(push) / BETA).mean()


def proxy_anchor(vectors: Tensor, types: Tensor, proxies: Tensor) -> Tensor:
    """Each type's proxy as the anchor of the whole batch.

    Source: Kim et al., Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, Eq. 4.
    """
    similarity = vectors @ functional.normalize(proxies, dim=1).T  # (B, types)
    own = functional.one_hot(types, len(proxies)).bool()
    pull = torch.where(own, torch.exp(-PROXY_ALPHA * (similarity - PROXY_MARGIN)), 0).sum(0)
    push = torch.where(~own, torch.exp(PROXY_ALPHA * (similarity + PROXY_MARGIN)), 0).sum(0)
    return torch.log1p(pull)[own.any(0)].mean() + torch.log1p(push).mean()
