"""How alike two trunks see: the order of all pairwise cosines on crops that neither learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from distilling.crops import Crop
from lesiongraph.embedding import MAP_NAMES, Trunk, pooled_maps

Scales = list[NDArray[np.float64]]


def unit_scales(trunk: Trunk, crops: Sequence[Crop]) -> Scales:
    """Return the 1×1 features of the four scales, each (N, C_i) of unit length."""
    scales = [one[:, :, 0, 0].astype(np.float64) for one in pooled_maps(crops, trunk, roi_size=1)]
    return [one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-12) for one in scales]


def agreement(ours: Scales, theirs: Scales) -> dict[str, float]:
    """Return the Spearman correlation of all pairwise cosines: of the initial feature, and by scale."""
    pairs = np.triu_indices(len(ours[0]), 1)
    cosines = [[(one @ one.T)[pairs] for one in scales] for scales in (ours, theirs)]
    by_scale = {
        name: float(spearmanr(a, b).statistic) for name, a, b in zip(MAP_NAMES, *cosines, strict=True)
    }
    joined = [np.sum(one, axis=0) for one in cosines]
    return {"all": float(spearmanr(*joined).statistic), **by_scale}
