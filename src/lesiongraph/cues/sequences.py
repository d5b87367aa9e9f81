"""Training sequences A–E: anchors with ever less similar companions (Sec. 4.2)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from lesiongraph.cues.candidates import LETTERS, CandidateFinder, Rows
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.recipe import CUES

RELAXED_NEIGHBOURS = 10
_DRAWS_BEFORE_SCAN = 8


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
        self._finder = CandidateFinder(types, locations, sizes, t_low, t_high, cues=cues)
        self.cues, self.letters = self._finder.cues, self._finder.letters
        self.t_low, self.t_high, self.relax = t_low, t_high, relax
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
        """Return all rows that may stand at `letter` beside `anchor` by the strict definitions, ascending."""
        return self._finder.candidates(anchor, letter)

    # ------------------------------------------------------------------ drawing one sequence

    def _complete(self, sequence: Rows, rng: np.random.Generator) -> None:
        anchor = int(sequence[0])
        near = self._finder.near_candidates(anchor)
        if self.relax and not self._strict[anchor]:
            sequence[1], sequence[2] = self._relaxed_pair(anchor, near, rng)
        else:
            for letter, rows in near.items():
                sequence[LETTERS.index(letter)] = rng.choice(rows)
        if "D" in self.letters:
            sequence[3] = self._draw_far(anchor, sequence[1:3], rng)
        if "E" in self.letters:
            sequence[4] = self._finder.draw_other_type(anchor, rng)

    def _draw_far(self, anchor: int, taken: Rows, rng: np.random.Generator) -> int:
        """D; with `relax` farther than what was `taken` as B and C, which may then be far themselves."""
        rows = self._finder.group(anchor).rows
        taken = taken[taken >= 0]
        floor = self._finder.distances(anchor, taken, "location").max() if self.relax else 0.0
        # Most lesions of a type are far away: a few blind draws hit one, uniformly, without a scan.
        drawn = rng.choice(rows, size=_DRAWS_BEFORE_SCAN)
        far = drawn[self._finder.distances(anchor, drawn, "location") > max(self.t_high, floor)]
        if len(far):
            return int(far[0])
        strict = self._finder.candidates(anchor, "D")
        strict = strict[self._finder.distances(anchor, strict, "location") > floor]
        if len(strict) or not self.relax:
            return int(rng.choice(strict))
        others = rows[~np.isin(rows, [anchor, *taken])]
        return int(others[self._finder.distances(anchor, others, "location").argmax()])

    def _relaxed_pair(self, anchor: int, near: dict[str, Rows], rng: np.random.Generator) -> tuple[int, int]:
        """B and C of an anchor that lacks strict candidates; B is never farther in size than C."""
        rows = self._finder.group(anchor).rows
        rows = rows[rows != anchor]
        if "location" in self.cues:
            order = np.argsort(self._finder.distances(anchor, rows, "location"), kind="stable")
            # The farthest of the type is left over, to be D: without a strict D it may be near, too.
            near = {letter: strict[strict != rows[order[-1]]] for letter, strict in near.items()}
            rows = rows[order[: max(1, min(RELAXED_NEIGHBOURS, len(rows) - 1))]]
        if "size" not in self.cues:
            return int(rows[0]), -1
        by_size = rows[np.argsort(self._finder.distances(anchor, rows, "size"), kind="stable")]
        b = int(rng.choice(near["B"])) if len(near["B"]) else int(by_size[0])
        c = int(rng.choice(near["C"])) if len(near["C"]) else int(by_size[-1])
        if b == c:  # the one strict B was also the farthest in size, or the one strict C the closest
            b, c = int(by_size[0]), int(by_size[-1])
        apart = self._finder.distances(anchor, np.array([b, c]), "size")
        return (b, c) if apart[0] <= apart[1] else (c, b)

    # ------------------------------------------------------------------ building and counting

    def _find_anchors(self) -> dict[str, int]:
        finder = self._finder
        has = finder.find_candidates()
        fits = np.zeros(len(finder), dtype=bool)
        # With `relax`, B, C, D need only be distinct lesions of the anchor's type.
        needed = len(self.letters.replace("E", ""))
        for group in finder.groups:
            fits[group.rows] = len(group.rows) >= needed
        used = finder.group_of_row >= 0
        counts = {"lesions": len(finder), "left_out": int((~used).sum())}
        for letter, flags in has.items():
            counts[f"without_{letter.lower()}"] = int((used & ~flags).sum())
        self._strict = used & np.logical_and.reduce(list(has.values()))
        valid = self._strict
        if self.relax:
            valid = used & fits & has.get("E", used)
            for letter in self.letters[1:].replace("E", ""):
                counts[f"relaxed_{letter.lower()}"] = int((valid & ~has[letter]).sum())
        self._anchors = np.flatnonzero(valid)
        counts["anchors"] = len(self._anchors)
        if not len(self._anchors):
            self._raise_no_anchor(counts)
        return counts

    def _raise_no_anchor(self, counts: dict[str, int]) -> None:
        listed = ", ".join(f"{name} {value}" for name, value in counts.items())
        next_step = f"Raise t_low (now {self.t_low}), lower t_high (now {self.t_high})"
        next_step += ", or give more lesions." if self.relax else ", sample with relax, or give more lesions."
        raise NotEnoughDataError(
            "Training sequences", f"a lesion with candidates for {', '.join(self.letters[1:])}",
            f"none ({listed})", next_step,
        )  # fmt: skip
