"""Training sequences A–E: anchors with ever less similar companions (Sec. 4.2).

Candidates are looked up, never tabulated: a k-d tree per type finds the lesions close in location, so that
memory grows with N, not N².
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from lesiongraph.errors import NotEnoughDataError, UsageError

LETTERS = "ABCDE"
CUES = ("type", "location", "size")  # from the highest in the hierarchy to the lowest (Sec. 4.2)
LETTER_OF_CUE = {"type": "E", "location": "D", "size": "C"}  # the letter that is dissimilar in that cue
RELAXED_NEIGHBOURS = 10
_DRAWS_BEFORE_SCAN = 8
_BLOCK = 256

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Group:
    """The lesions of one type, with the tree of the cue in which B must be near."""

    rows: Rows
    tree: cKDTree | None


class SequenceSampler:
    """Draw sequences of five lesions that respect the hierarchy of cues.

    B is similar to the anchor A in type, location and size; C in type and location but dissimilar in size;
    D in type but dissimilar in location; E differs in type. Similar means a Euclidean distance below
    `t_low`, dissimilar one above `t_high`; the same type is the same label.

    Parameters
    ----------
    types : (N,) array
        Pseudo-labels. Lesions with an empty label take no part and are counted.
    locations : (N, 3) array
        From `location_vectors`. Lesions with NaN in a cue that is used take no part and are counted.
    sizes : (N, 2) array
        From `size_vectors`.
    t_low, t_high : float
    cues : iterable of str
        The cues used, of "type", "location", "size" (the middle part of Table 1). A letter whose cue is
        not used stays empty (−1 in `sample`); the others ignore that cue.
    relax : bool
        Ours, off by default. On small data few lesions are closer than `t_low`. An anchor without a
        candidate then gets the best there is: the ten nearest lesions of its type in location stand for
        "similar in location", the closest in size of them is B and the farthest in size is C; D is the
        farthest in location. How many anchors needed that is counted per letter.

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    UsageError
        If a cue is unknown, or the thresholds are not 0 < t_low <= t_high.
    NotEnoughDataError
        If no lesion can be an anchor.

    Source
    ------
    Sec. 4.2; thresholds Sec. 6.1.
    """

    def __init__(
        self,
        types: ArrayLike,
        locations: ArrayLike,
        sizes: ArrayLike,
        t_low: float,
        t_high: float,
        *,
        cues: Iterable[str] = CUES,
        relax: bool = False,
    ) -> None:
        chosen = set(cues)
        if not chosen or chosen - set(CUES):
            raise UsageError(f"cues: expected some of {', '.join(CUES)}, got {sorted(chosen)}")
        if not 0 < t_low <= t_high:
            raise UsageError(f"expected 0 < t_low <= t_high, got t_low={t_low}, t_high={t_high}")
        self.cues = tuple(cue for cue in CUES if cue in chosen)
        self.letters = "".join(
            letter for letter in LETTERS if letter in "AB" or letter in {LETTER_OF_CUE[c] for c in chosen}
        )
        self.t_low, self.t_high, self.relax = t_low, t_high, relax
        self._types = np.asarray(types)
        self._vectors = {
            "location": _vectors(locations, "locations", len(self._types)),
            "size": _vectors(sizes, "sizes", len(self._types)),
        }
        self._order, self._group_of_row, self._groups = self._build_groups()
        self.counts = self._find_anchors()

    @property
    def anchors(self) -> Rows:
        """Rows that can be A, ascending."""
        return self._anchors

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """Return `n` sequences; equal generators give equal sequences.

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator

        Returns
        -------
        (n, 5) int64 array
            Rows of A, B, C, D, E; −1 for a letter whose cue is not used.
        """
        sequences = np.full((n, len(LETTERS)), -1, dtype=np.int64)
        sequences[:, 0] = rng.choice(self._anchors, size=n)
        for sequence in sequences:
            self._complete(sequence, rng)
        return sequences

    def candidates(self, anchor: int, letter: str) -> Rows:
        """Return all rows that may stand at `letter` beside `anchor` by the strict definitions, ascending.

        This is the definition itself, in one scan over the anchor's type; `sample` takes shortcuts to the
        same distribution.
        """
        group = self._groups[self._group_of_row[anchor]]
        if letter == "E":
            others: Rows = np.setdiff1d(self._order, group.rows)
            return others
        rows = _where(group.rows, group.rows != anchor)
        if letter == "D":
            return _where(rows, self._distances(anchor, rows, "location") > self.t_high)
        if "location" in self.cues:
            rows = _where(rows, self._distances(anchor, rows, "location") < self.t_low)
        if "size" in self.cues:
            apart = self._distances(anchor, rows, "size")
            rows = _where(rows, apart < self.t_low if letter == "B" else apart > self.t_high)
        return rows

    # ------------------------------------------------------------------ drawing one sequence

    def _complete(self, sequence: Rows, rng: np.random.Generator) -> None:
        anchor = int(sequence[0])
        near = self._near_candidates(anchor)
        if self.relax and any(not len(rows) for rows in near.values()):
            sequence[1], sequence[2] = self._relaxed_pair(anchor, near, rng)
        else:
            for letter, rows in near.items():
                sequence[LETTERS.index(letter)] = rng.choice(rows)
        if "D" in self.letters:
            sequence[3] = self._draw_far(anchor, sequence[1:3], rng)
        if "E" in self.letters:
            sequence[4] = self._draw_other_type(anchor, rng)

    def _near_candidates(self, anchor: int) -> dict[str, Rows]:
        """Strict candidates of B and, where size is used, C."""
        group = self._groups[self._group_of_row[anchor]]
        letters = [letter for letter in "BC" if letter in self.letters]
        if group.tree is None or "location" not in self.cues:
            return {letter: self.candidates(anchor, letter) for letter in letters}
        ball = group.tree.query_ball_point(self._vectors["location"][anchor], self._reach())
        rows = np.sort(group.rows[np.asarray(ball, dtype=np.int64)])
        rows = rows[(rows != anchor) & (self._distances(anchor, rows, "location") < self.t_low)]
        if "size" not in self.cues:
            return {"B": rows}
        apart = self._distances(anchor, rows, "size")
        return {"B": rows[apart < self.t_low], "C": rows[apart > self.t_high]}

    def _draw_far(self, anchor: int, taken: Rows, rng: np.random.Generator) -> int:
        """D; with `relax` farther than what was `taken` as B and C, which may then be far themselves."""
        rows = self._groups[self._group_of_row[anchor]].rows
        taken = taken[taken >= 0]
        floor = self._distances(anchor, taken, "location").max() if self.relax else 0.0
        # Most lesions of a type are far away: a few blind draws hit one, uniformly, without a scan.
        drawn = rng.choice(rows, size=_DRAWS_BEFORE_SCAN)
        far = drawn[self._distances(anchor, drawn, "location") > max(self.t_high, floor)]
        if len(far):
            return int(far[0])
        strict = self.candidates(anchor, "D")
        strict = _where(strict, self._distances(anchor, strict, "location") > floor)
        if len(strict) or not self.relax:
            return int(rng.choice(strict))
        others = rows[~np.isin(rows, [anchor, *taken])]
        return int(others[self._distances(anchor, others, "location").argmax()])

    def _draw_other_type(self, anchor: int, rng: np.random.Generator) -> int:
        """Draw from `_order`, in which the rows of one type lie together, stepping over the anchor's."""
        label = self._group_of_row[anchor]
        start = self._starts[label]
        size = len(self._groups[label].rows)
        position = int(rng.integers(len(self._order) - size))
        return int(self._order[position if position < start else position + size])

    def _relaxed_pair(self, anchor: int, near: dict[str, Rows], rng: np.random.Generator) -> tuple[int, int]:
        """B and C of an anchor that lacks strict candidates; B is never farther in size than C."""
        rows = self._groups[self._group_of_row[anchor]].rows
        rows = rows[rows != anchor]
        if "location" in self.cues:
            order = np.argsort(self._distances(anchor, rows, "location"), kind="stable")
            # One of the type is left over, to be D: farther away than B and C.
            rows = rows[order[: max(1, min(RELAXED_NEIGHBOURS, len(rows) - 1))]]
        if "size" not in self.cues:
            return int(rows[0]), -1
        by_size = rows[np.argsort(self._distances(anchor, rows, "size"), kind="stable")]
        b = int(rng.choice(near["B"])) if len(near["B"]) else int(by_size[0])
        c = int(rng.choice(near["C"])) if len(near["C"]) else int(by_size[-1])
        if b == c:  # the one strict B was also the farthest in size, or the one strict C the closest
            b, c = int(by_size[0]), int(by_size[-1])
        apart = self._distances(anchor, np.array([b, c]), "size")
        return (b, c) if apart[0] <= apart[1] else (c, b)

    # ------------------------------------------------------------------ building and counting

    def _build_groups(self) -> tuple[Rows, Rows, list[_Group]]:
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

    def _group(self, rows: Rows) -> _Group:
        tree = cKDTree(self._vectors["location"][rows]) if "location" in self.cues else None
        return _Group(rows, tree)

    def _find_anchors(self) -> dict[str, int]:
        has = {letter: np.zeros(len(self._types), dtype=bool) for letter in self.letters[1:]}
        fits = np.zeros(len(self._types), dtype=bool)
        # With `relax`, B, C, D need only be distinct lesions of the anchor's type.
        needed = len(self.letters.replace("E", ""))
        for group in self._groups:
            fits[group.rows] = len(group.rows) >= needed
            if "E" in has:
                has["E"][group.rows] = len(self._order) > len(group.rows)
            if "D" in has:
                has["D"][group.rows] = self._has_far(group, "location")
            self._mark_near(group, has)
        used = self._group_of_row >= 0
        counts = {"lesions": len(self._types), "left_out": int((~used).sum())}
        for letter, flags in has.items():
            counts[f"without_{letter.lower()}"] = int((used & ~flags).sum())
        strict = used & np.logical_and.reduce(list(has.values()))
        valid = strict
        if self.relax:
            valid = used & fits & has.get("E", used)
            for letter in self.letters[1:].replace("E", ""):
                counts[f"relaxed_{letter.lower()}"] = int((valid & ~has[letter]).sum())
        self._anchors = np.flatnonzero(valid)
        counts["anchors"] = len(self._anchors)
        if not len(self._anchors):
            self._raise_no_anchor(counts)
        return counts

    def _mark_near(self, group: _Group, has: dict[str, NDArray[np.bool_]]) -> None:
        if "location" in self.cues:
            for start in range(0, len(group.rows), _BLOCK):
                self._mark_near_block(group, group.rows[start : start + _BLOCK], has)
        elif "size" in self.cues:
            has["B"][group.rows] = self._has_close_size(group)
            has["C"][group.rows] = self._has_far(group, "size")
        else:
            has["B"][group.rows] = len(group.rows) > 1

    def _mark_near_block(self, group: _Group, anchors: Rows, has: dict[str, NDArray[np.bool_]]) -> None:
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

    def _has_close_size(self, group: _Group) -> NDArray[np.bool_]:
        if len(group.rows) < 2:
            return np.zeros(len(group.rows), dtype=bool)
        vectors = self._vectors["size"][group.rows]
        nearest = cKDTree(vectors).query(vectors, k=2)[1]
        own = nearest[:, 0] == np.arange(len(group.rows))
        other = group.rows[np.where(own, nearest[:, 1], nearest[:, 0])]
        return self._pair_distances(group.rows, other, "size") < self.t_low

    def _has_far(self, group: _Group, cue: str) -> NDArray[np.bool_]:
        """Whether each lesion of the group has one of the same type beyond `t_high` in `cue`."""
        vectors = self._vectors[cue][group.rows]
        found = np.zeros(len(group.rows), dtype=bool)
        # The outermost lesions of the type settle nearly all; only lesions near all of them need a scan.
        for extreme in {int(i) for i in (*vectors.argmin(axis=0), *vectors.argmax(axis=0))}:
            found |= self._distances(int(group.rows[extreme]), group.rows, cue) > self.t_high
        for position in np.flatnonzero(~found):
            found[position] = bool(
                (self._distances(int(group.rows[position]), group.rows, cue) > self.t_high).any()
            )
        return found

    def _raise_no_anchor(self, counts: dict[str, int]) -> None:
        listed = ", ".join(f"{name} {value}" for name, value in counts.items())
        next_step = f"Raise t_low (now {self.t_low}), lower t_high (now {self.t_high})"
        next_step += ", or give more lesions." if self.relax else ", sample with relax, or give more lesions."
        raise NotEnoughDataError(
            "Training sequences", f"a lesion with candidates for {', '.join(self.letters[1:])}",
            f"none ({listed})", next_step,
        )  # fmt: skip

    # ------------------------------------------------------------------ distances

    def _reach(self) -> float:
        return self.t_low * (1 + 1e-9)  # the tree's rounding must not lose a candidate; checked again after

    def _distances(self, anchor: int, rows: Rows, cue: str) -> NDArray[np.float64]:
        return self._pair_distances(np.full(len(rows), anchor), rows, cue)

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
