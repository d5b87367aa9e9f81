"""What a person said of pairs of lesions, and how every matcher keeps to it: must-links and cannot-links."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lesiongraph.graph.algorithm1 import extract, renumber
from lesiongraph.graph.matcher import ascending

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _no_pairs() -> Ints:
    return np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Links:
    """Pairs of lesions (rows) that must be one lesion, and pairs that cannot be.

    A must-link holds transitively; a cannot-link then holds between all that its two ends are one with.

    Attributes
    ----------
    must, cannot : (P, 2) int array

    Raises
    ------
    ValueError
        If a pair cannot be one lesion that the must-links make one.

    Source
    ------
    Wagstaff et al. 2001 (constrained clustering).
    """

    must: Ints = field(default_factory=_no_pairs)
    cannot: Ints = field(default_factory=_no_pairs)

    def __post_init__(self) -> None:
        for name in ("must", "cannot"):
            object.__setattr__(self, name, ascending(getattr(self, name)))
        count = int(max(self.must.max(initial=-1), self.cannot.max(initial=-1))) + 1
        group = extract(self.must, count)
        torn = self.cannot[group[self.cannot[:, 0]] == group[self.cannot[:, 1]]]
        if len(torn):
            raise ValueError(f"links: {torn[0].tolist()} cannot be one lesion, yet must-links make them one")

    def __bool__(self) -> bool:
        return bool(len(self.must) or len(self.cannot))

    def of(self, rows: Ints) -> Links:
        """Return the links among some lesions, as positions in `rows`; one that leads out of them is lost."""
        place = {int(row): i for i, row in enumerate(rows)}

        def among(pairs: Ints) -> Ints:
            kept = [(place[a], place[b]) for a, b in pairs.tolist() if a in place and b in place]
            return np.array(kept, dtype=np.int64).reshape(-1, 2)

        return Links(among(self.must), among(self.cannot))

    def check_within(self, owners: ArrayLike) -> None:
        """Raise ValueError where a must-link joins lesions of two patients: no matching ever does."""
        names = np.asarray(owners)
        across = self.must[names[self.must[:, 0]] != names[self.must[:, 1]]]
        if len(across):
            raise ValueError(f"links: {across[0].tolist()} are lesions of two patients")


class BoundNodes:
    """One patient's lesions, or the nodes they were merged into, under links.

    Parameters
    ----------
    group : (M,) int array
        What is one lesion with each node so far; the must-links' own at first.
    apart : (M, M) bool array
        Pairs that cannot be one lesion.
    studies : (M,) int array
        0, 1, …
    by_hand : (M,) bool array
        Nodes that a person matched.
    """

    def __init__(
        self, group: Ints, apart: NDArray[np.bool_], studies: Ints, by_hand: NDArray[np.bool_]
    ) -> None:
        self.group, self.apart, self.studies, self.by_hand = group, apart, studies, by_hand

    @staticmethod
    def of(links: Links, studies: Ints) -> BoundNodes:
        """Carry must-links on, and cannot-links over what they join."""
        group = extract(links.must, len(studies))
        apart = np.zeros((len(studies), len(studies)), dtype=bool)
        a, b = links.cannot.T
        apart[a, b] = apart[b, a] = True
        by_hand = np.zeros(len(studies), dtype=bool)
        by_hand[links.must] = True
        return BoundNodes(group, _between(apart, group), studies, by_hand)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Pairs (M, M) that are one lesion so far."""
        same: NDArray[np.bool_] = self.group[:, None] == self.group[None, :]
        return same

    def merge(self, pairs: Ints, costs: Floats) -> Ints:
        """Return the pairs of one study that are merged, of those wanted, cheapest first.

        A pair is left out if it joins what cannot be one, or two lesions each matched by a person into one
        further study.
        """
        return self._join(pairs, costs, of_one_study=True)

    def take(self, heads: Ints) -> BoundNodes:
        """Return the same of merged nodes; `heads` is one lesion of each."""
        apart = _between(self.apart, self.group)[np.ix_(heads, heads)]
        hands = np.isin(self.group, self.group[self.by_hand])
        return BoundNodes(renumber(self.group[heads]), apart, self.studies[heads], hands[heads])

    def costs(self, costs: Floats) -> Floats:
        """Return costs (M, M) under which a matcher keeps to the links as far as single edges go.

        What must be one costs nothing; what cannot be, infinitely much; and what a person matched into a
        study has no second partner there (Exclusion, the person's edge being the shortest).
        """
        seen = np.zeros((int(self.group.max()) + 1, int(self.studies.max()) + 1), dtype=bool)
        seen[self.group, self.studies] = True
        taken = seen[self.group][:, self.studies]
        barred = self.apart | taken | taken.T
        return np.where(self.same, 0.0, np.where(barred, np.inf, costs))

    def settle(self, edges: Ints, costs: Floats) -> Ints:
        """Return a matcher's edges with those that must be there, less those that lead to what cannot be.

        Edges are taken up in the order of their cost. One is left out if its group would hold two lesions
        that cannot be one, or a second lesion of a study into which a person matched.
        """
        given = _spanning(self.same, self.studies)
        return ascending(np.concatenate([given, self._join(edges, costs, of_one_study=False)]))

    def _join(self, pairs: Ints, costs: Floats, *, of_one_study: bool) -> Ints:
        same = self.same  # of the person's own: always kept by merge, drawn by settle
        order = np.lexsort((pairs[:, 1], pairs[:, 0], costs[pairs[:, 0], pairs[:, 1]]))
        kept = []
        for i, j in pairs[order].tolist():
            if same[i, j]:
                if of_one_study:
                    kept.append((i, j))
                continue
            a, b = self.group == self.group[i], self.group == self.group[j]
            if self.group[i] != self.group[j]:
                if not self._may_join(a, b, int(self.studies[i]) if of_one_study else -1):
                    continue
                self.group[b] = self.group[i]
            kept.append((i, j))
        return np.array(kept, dtype=np.int64).reshape(-1, 2)

    def _may_join(self, a: NDArray[np.bool_], b: NDArray[np.bool_], merged_in: int) -> bool:
        if self.apart[np.ix_(a, b)].any():
            return False
        both = set(self.studies[a].tolist()) & set(self.studies[b].tolist()) - {merged_in}
        return not both or not (self.by_hand[a].any() or self.by_hand[b].any())


def _between(apart: NDArray[np.bool_], group: Ints) -> NDArray[np.bool_]:
    """Carry `apart` (M, M) over the members of each group."""
    size = int(group.max(initial=-1)) + 1
    groups = np.zeros((size, size), dtype=bool)
    a, b = np.nonzero(apart)
    groups[group[a], group[b]] = True
    whole: NDArray[np.bool_] = groups[np.ix_(group, group)]
    return whole


def _spanning(same: NDArray[np.bool_], studies: Ints) -> Ints:
    """Return edges (E, 2) that join the nodes of each group, each to the next in time."""
    edges = []
    for row in np.unique(same, axis=0):
        nodes = np.flatnonzero(row)
        nodes = nodes[np.argsort(studies[nodes], kind="stable")].tolist()
        edges += list(pairwise(nodes))
    return np.array(edges, dtype=np.int64).reshape(-1, 2)
