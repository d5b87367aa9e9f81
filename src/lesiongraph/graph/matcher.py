"""The protocol of a matcher: one patient's costs → the edges between lesions held to be the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Matcher(Protocol):
    """Picks edges; what they connect is one lesion (`algorithm1.extract`)."""

    def match(
        self, costs: NDArray[np.float64], studies: NDArray[np.int64], limit: float
    ) -> NDArray[np.int64]:
        """Return the edges (E, 2), first < second, ascending.

        Parameters
        ----------
        costs : (M, M) array
            Symmetric, of ONE patient's nodes: lesions, or marks of one study that were merged.
        studies : (M,) int array
            0, 1, … in the order of time.
        limit : float
            No edge costs more.

        Returns
        -------
        edges : (E, 2) int array
            No node has two edges into one study, and none into its own.
        """
        ...


def ascending(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges (E, 2) with first < second, in ascending order."""
    ends = np.sort(np.asarray(edges, dtype=np.int64).reshape(-1, 2), axis=1)
    ordered: NDArray[np.int64] = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    return ordered


def study_pairs(studies: NDArray[np.int64], *, consecutive: bool) -> list[tuple[int, int]]:
    """Pairs of studies, earlier first: all of them, or each with the next one."""
    numbers = [int(s) for s in np.unique(studies)]
    if consecutive:
        return list(pairwise(numbers))
    return [(s, t) for k, s in enumerate(numbers) for t in numbers[k + 1 :]]
