"""Members of Eq. 3's sequences chosen by how far they are now, in two ways that mistrust the extremes.

With pseudo-labels the hardest members are the likeliest to be labelled wrong, so neither takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lesiongraph.cues import SequenceSampler

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]
Mining = Literal["random", "semi-hard", "trimmed"]
REFRESH = 25  # steps between two embeddings of the whole pool, from which distances are taken
SKIPPED, TAKEN = 0.1, 0.3  # of `trimmed`: the hardest tenth is left, the next fifth chosen from


class Miner:
    """Redraws B to E of drawn sequences among all strict candidates of their letter.

    `semi-hard`: C, D, E farther than the letter before them, but by less than the margin, as the triplet
    loss's semi-hard negatives (Schroff et al., FaceNet, CVPR 2015, Sec. 3.2); B as drawn.
    `trimmed`: of the candidates that violate the margin the hardest tenth is left out, one of the next
    fifth taken; B among the farthest in the same way.
    A letter without such a candidate stays as it was drawn.
    """

    def __init__(
        self, sampler: SequenceSampler, places: Floats, margins: Sequence[float], how: Mining
    ) -> None:
        self._sampler, self._places, self._how = sampler, places, how
        self._margins = dict(zip("CDE", margins, strict=True))
        self._known: dict[tuple[int, str], Ints] = {}

    def redraw(self, sequences: Ints, vectors: Floats, rng: np.random.Generator) -> Ints:
        """Return sequences (n, 5) with members chosen by the distances of `vectors` (N, D), unit length."""
        return np.stack([self._redrawn(one.copy(), vectors, rng) for one in sequences])

    def _redrawn(self, sequence: Ints, vectors: Floats, rng: np.random.Generator) -> Ints:
        anchor = int(sequence[0])
        squared = 2 - 2 * vectors @ vectors[anchor]
        for place, letter in enumerate("BCDE", start=1):
            rows = self._candidates(anchor, letter)
            if letter == "D":  # as the sampler draws it: farther than B and C, which may be far themselves
                rows = rows[self._far(anchor, rows) > self._far(anchor, sequence[1:3]).max()]
            before = squared[sequence[place - 1]] if letter != "B" else 0.0
            if len(chosen := self._chosen(letter, rows, squared[rows], before)):
                sequence[place] = rng.choice(chosen)
        return sequence

    def _chosen(self, letter: str, rows: Ints, squared: Floats, before: float) -> Ints:
        if letter == "B":
            return _trimmed(rows, -squared) if self._how == "trimmed" else rows[:0]
        violating = squared < before + self._margins[letter]
        if self._how == "trimmed":
            return _trimmed(rows[violating], squared[violating])
        return rows[violating & (squared > before)]

    def _candidates(self, anchor: int, letter: str) -> Ints:
        if (anchor, letter) not in self._known:
            self._known[anchor, letter] = self._sampler.candidates(anchor, letter)
        return self._known[anchor, letter]

    def _far(self, anchor: int, rows: Ints) -> NDArray[np.float64]:
        return np.linalg.norm(self._places[rows] - self._places[anchor], axis=1)


def _trimmed(rows: Ints, ease: Floats) -> Ints:
    """Return of `rows`, the hardest (least `ease`) first, those after the hardest tenth and up to 30 %."""
    first, last = int(np.ceil(SKIPPED * len(rows))), int(np.ceil(TAKEN * len(rows)))
    return rows[np.argsort(ease, kind="stable")][first:last]
