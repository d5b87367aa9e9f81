"""Mutual-nearest matching: two lesions that are each other's cheapest in the other study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesiongraph.graph.algorithm1 import exclude


@dataclass(frozen=True)
class MutualNearest:
    """Match each other's cheapest, between all pairs of studies or between neighbours in time.

    Between all pairs this is Threshold and Exclusion of Algorithm 1, on any cost.

    Source
    ------
    Sec. 5.1, Algorithm 1, lines 3 and 4.
    """

    consecutive: bool = False

    def match(
        self, costs: NDArray[np.float64], studies: NDArray[np.int64], limit: float
    ) -> NDArray[np.int64]:
        """See `Matcher.match`."""
        pairs = np.stack(np.triu_indices(len(costs), k=1), axis=1).astype(np.int64)
        step = np.abs(studies[pairs[:, 0]] - studies[pairs[:, 1]])
        lengths = costs[pairs[:, 0], pairs[:, 1]]
        allowed = (lengths <= limit) & ((step == 1) if self.consecutive else (step > 0))
        return exclude(pairs[allowed], lengths[allowed], studies)[0]
