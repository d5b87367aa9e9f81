"""Optimal assignment: the one-to-one matching of two studies whose total cost is least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lesiongraph.graph.matcher import ascending, study_pairs


@dataclass(frozen=True)
class OptimalAssignment:
    """Match two studies so that the sum of the costs is least; leaving a pair unmatched costs `limit`.

    Source
    ------
    Kuhn 1955 (the Hungarian method), as `scipy.optimize.linear_sum_assignment` (Crouse 2016).
    """

    consecutive: bool = True

    def match(
        self, costs: NDArray[np.float64], studies: NDArray[np.int64], limit: float
    ) -> NDArray[np.int64]:
        """See `Matcher.match`."""
        found = [np.empty((0, 2), dtype=np.int64)]
        for earlier, later in study_pairs(studies, consecutive=self.consecutive):
            rows, columns = np.flatnonzero(studies == earlier), np.flatnonzero(studies == later)
            block = costs[np.ix_(rows, columns)]
            # A pair dearer than the limit costs what leaving it unmatched costs, and is then left so.
            a, b = linear_sum_assignment(np.minimum(block, limit))
            kept = block[a, b] <= limit
            found.append(np.column_stack([rows[a[kept]], columns[b[kept]]]))
        return ascending(np.concatenate(found))
