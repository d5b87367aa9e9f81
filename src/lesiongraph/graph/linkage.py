"""Linkage under exclusion: groups that never hold two lesions of one study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesiongraph.graph.matcher import ascending


@dataclass(frozen=True)
class ExclusiveLinkage:
    """Join the cheapest pair first, unless a group would then hold two lesions of one study.

    Exclusion of Algorithm 1 looks at single edges, so through a third study a group can still hold two
    lesions of one study, which Merge has called different. Here the whole group is looked at.

    Source
    ------
    Single linkage with cannot-link constraints: Wagstaff et al. 2001; Klein, Kamvar and Manning 2002.
    """

    def match(
        self, costs: NDArray[np.float64], studies: NDArray[np.int64], limit: float
    ) -> NDArray[np.int64]:
        """See `Matcher.match`; the edges are a forest, one edge for each join."""
        first, second = np.triu_indices(len(costs), k=1)
        lengths = costs[first, second]
        near = np.flatnonzero((lengths <= limit) & (studies[first] != studies[second]))
        near = near[np.lexsort((second[near], first[near], lengths[near]))]
        of_node = list(range(len(costs)))  # group of each node
        members = [[node] for node in of_node]
        seen = [1 << int(study) for study in studies]  # of each group, its studies as bits
        kept = []
        for i, j in zip(first[near].tolist(), second[near].tolist(), strict=True):
            a, b = of_node[i], of_node[j]
            if seen[a] & seen[b]:
                continue
            kept.append((i, j))
            for node in members[b]:
                of_node[node] = a
            members[a] += members[b]
            seen[a] |= seen[b]
        return ascending(np.array(kept, dtype=np.int64))
