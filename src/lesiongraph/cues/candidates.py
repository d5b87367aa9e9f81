"""Who may stand at each letter of a sequence: the definitions of Sec. 4.2, looked up, never tabulated.

A k-d tree per type finds the lesions close in location, so that memory grows with N, not N².
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from lesiongraph.errors import UsageError
from lesiongraph.recipe import CUES

LETTERS = "ABCDE"
LETTER_OF_CUE = {"type": "E", "location": "D", "size": "C"}  # the letter that is dissimilar in that cue
_BLOCK = 256

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """The lesions of one type, with the tree of the cue in which B must be near."""

    rows: Rows
    tree: cKDTree | None


class CandidateFinder:
    """Groups of lesions and the strict candidates of each letter; parameters as for `SequenceSampler`.

    Attributes
    ----------
    letters : str
        The letters in use, "A" and "B" first.
    groups : list of Group
        One per type; a single one where the type is not a cue.
    group_of_row : (N,) int array
        −1 for a lesion that takes no part.
    """

    def __init__(
        self,
        types: ArrayLike,
        locations: ArrayLike,
        sizes: ArrayLike,
        t_low: float,
        t_high: float,
        *,
        cues: Iterable[str],
    ) -> None:
        chosen = set(cues)
        if not chosen or chosen - set(CUES):
            raise UsageError(f"cues: expected some of {', '.join(CUES)}, got {sorted(chosen)}")
        if not 0 < t_low <= t_high:
            raise UsageError(f"expected 0 < t_low <= t_high, got t_low={t_low}, t_high={t_high}")
        self.cues = tuple(cue for cue in CUES if cue in chosen)
        used = {LETTER_OF_CUE[cue] for cue in chosen}
        self.letters = "".join(letter for letter in LETTERS if letter in "AB" or letter in used)
        self.t_low, self.t_high = t_low, t_high
        self._types = np.asarray(types)
        self._vectors = {
            "location": _vectors(locations, "locations", len(self._types)),
            "size": _vectors(sizes, "sizes", len(self._types)),
        }
        self._order, self.group_of_row, self.groups = self._build_groups()

    def __len__(self) -> int:
        return len(self._types)

    def group(self, anchor: int) -> Group:
        """Return the lesions of the anchor's type."""
        return self.groups[int(self.group_of_row[anchor])]

    def candidates(self, anchor: int, letter: str) -> Rows:
        """Return all rows that may stand at `letter` beside `anchor` by the strict definitions, ascending.

        This is the definition itself, in one scan over the anchor's type; `sample` takes shortcuts to the
        same distribution.
        """
        group = self.group(anchor)
        if letter == "E":
            others: Rows = np.setdiff1d(self._order, group.rows)
            return others
        rows = _where(group.rows, group.rows != anchor)
        if letter == "D":
            return _where(rows, self.distances(anchor, rows, "location") > self.t_high)
        if "location" in self.cues:
            rows = _where(rows, self.distances(anchor, rows, "location") < self.t_low)
        if "size" in self.cues:
            apart = self.distances(anchor, rows, "size")
            rows = _where(rows, apart < self.t_low if letter == "B" else apart > self.t_high)
        return rows

    def near_candidates(self, anchor: int) -> dict[str, Rows]:
        """Return the strict candidates of B and, where size is used, C: as `candidates`, from the tree."""
        group = self.group(anchor)
        letters = [letter for letter in "BC" if letter in self.letters]
        if group.tree is None or "location" not in self.cues:
            return {letter: self.candidates(anchor, letter) for letter in letters}
        ball = group.tree.query_ball_point(self._vectors["location"][anchor], self._reach())
        rows = np.sort(group.rows[np.asarray(ball, dtype=np.int64)])
        rows = rows[(rows != anchor) & (self.distances(anchor, rows, "location") < self.t_low)]
        if "size" not in self.cues:
            return {"B": rows}
        apart = self.distances(anchor, rows, "size")
        return {"B": rows[apart < self.t_low], "C": rows[apart > self.t_high]}

    def draw_other_type(self, anchor: int, rng: np.random.Generator) -> int:
        """Draw E from `_order`, in which the rows of one type lie together, stepping over the anchor's."""
        label = self.group_of_row[anchor]
        start, size = self._starts[label], len(self.groups[label].rows)
        position = int(rng.integers(len(self._order) - size))
        return int(self._order[position if position < start else position + size])

    def find_candidates(self) -> dict[str, NDArray[np.bool_]]:
        """Return for each letter after A which lesions have a candidate for it, (N,) bool each."""
        has = {letter: np.zeros(len(self), dtype=bool) for letter in self.letters[1:]}
        for group in self.groups:
            if "E" in has:
                has["E"][group.rows] = len(self._order) > len(group.rows)
            if "D" in has:
                has["D"][group.rows] = self._has_far(group, "location")
            self._mark_near(group, has)
        return has

    def distances(self, anchor: int, rows: Rows, cue: str) -> NDArray[np.float64]:
        """Return the distances of the anchor to `rows` in a cue's vectors."""
        return self._pair_distances(np.full(len(rows), anchor), rows, cue)

    def _build_groups(self) -> tuple[Rows, Rows, list[Group]]:
        usable = np.ones(len(self._types), dtype=bool)
        for cue in self.cues:
            usable &= (
                self._types.astype(str) != ""
                if cue == "type"
                else np.isfinite(self._vectors[cue]).all(axis=1)
            )
        rows = np.flatnonzero(usable)
        labels = self._types[rows] if "type" in self.cues else np.zeros(len(rows))
        names, inverse = np.unique(labels, return_inverse=True)
        order = rows[np.argsort(inverse, kind="stable")]
        group_of_row = np.full(len(self._types), -1, dtype=np.int64)
        group_of_row[rows] = inverse
        groups = [self._group(rows[inverse == label]) for label in range(len(names))]
        self._starts = np.cumsum([0, *(len(group.rows) for group in groups)])
        return order, group_of_row, groups

    def _group(self, rows: Rows) -> Group:
        tree = cKDTree(self._vectors["location"][rows]) if "location" in self.cues else None
        return Group(rows, tree)

    def _mark_near(self, group: Group, has: dict[str, NDArray[np.bool_]]) -> None:
        if "location" in self.cues:
            for start in range(0, len(group.rows), _BLOCK):
                self._mark_near_block(group, group.rows[start : start + _BLOCK], has)
        elif "size" in self.cues:
            has["B"][group.rows] = self._has_close_size(group)
            has["C"][group.rows] = self._has_far(group, "size")
        else:
            has["B"][group.rows] = len(group.rows) > 1

    def _mark_near_block(self, group: Group, anchors: Rows, has: dict[str, NDArray[np.bool_]]) -> None:
        assert group.tree is not None
        balls = group.tree.query_ball_point(self._vectors["location"][anchors], self._reach())
        lengths = [len(ball) for ball in balls]
        first = np.repeat(anchors, lengths)
        second = group.rows[np.concatenate([np.asarray(ball, dtype=np.int64) for ball in balls])]
        near = (first != second) & (self._pair_distances(first, second, "location") < self.t_low)
        first, second = first[near], second[near]
        if "size" not in self.cues:
            has["B"][first] = True
            return
        apart = self._pair_distances(first, second, "size")
        has["B"][first[apart < self.t_low]] = True
        has["C"][first[apart > self.t_high]] = True

    def _has_close_size(self, group: Group) -> NDArray[np.bool_]:
        if len(group.rows) < 2:
            return np.zeros(len(group.rows), dtype=bool)
        vectors = self._vectors["size"][group.rows]
        nearest = cKDTree(vectors).query(vectors, k=2)[1]
        own = nearest[:, 0] == np.arange(len(group.rows))
        other = group.rows[np.where(own, nearest[:, 1], nearest[:, 0])]
        return self._pair_distances(group.rows, other, "size") < self.t_low

    def _has_far(self, group: Group, cue: str) -> NDArray[np.bool_]:
        """Whether each lesion of the group has one of the same type beyond `t_high` in `cue`."""
        vectors = self._vectors[cue][group.rows]
        found = np.zeros(len(group.rows), dtype=bool)
        # The outermost lesions of the type settle nearly all; only lesions near all of them need a scan.
        for extreme in {int(i) for i in (*vectors.argmin(axis=0), *vectors.argmax(axis=0))}:
            found |= self.distances(int(group.rows[extreme]), group.rows, cue) > self.t_high
        for position in np.flatnonzero(~found):
            found[position] = bool(
                (self.distances(int(group.rows[position]), group.rows, cue) > self.t_high).any()
            )
        return found

    def _reach(self) -> float:
        return self.t_low * (1 + 1e-9)  # the tree's rounding must not lose a candidate; checked again after

    def _pair_distances(self, first: Rows, second: Rows, cue: str) -> NDArray[np.float64]:
        vectors = self._vectors[cue]
        return _norms(vectors[first] - vectors[second])


def _where(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    chosen: Rows = rows[kept]
    return chosen


def _norms(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.sqrt(np.einsum("nd,nd->n", differences, differences))
    return norms


def _vectors(values: ArrayLike, name: str, rows: int) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"{name}: expected an array of shape ({rows}, D), got {array.shape}")
    return array
