"""The sequence loss: three hinges over a lesion sequence A–E (Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def sequence_loss(sequences: Tensor, margins: Sequence[float]) -> Tensor:
    """Return Eq. 3 for a mini-batch of sequences, or its part for sequences of fewer letters.

    With d_ij² the squared Euclidean distance of two embeddings,
    L = 1/(2S) Σ [max(0, d_AB² − d_AC² + m1) + max(0, d_AC² − d_AD² + m2) + max(0, d_AD² − d_AE² + m3)].
    A letter that is not used leaves the chain with its margin, and its neighbours meet: A, B, E give
    max(0, d_AB² − d_AE² + m3) (ADR 10).

    Parameters
    ----------
    sequences : Tensor (S, L, D)
        Embeddings of the lesions of each sequence: A, B, and those of C, D, E that are used (L = 3 to 5).
    margins : L − 2 floats
        Of m1 (before C), m2 (before D), m3 (before E) those of the letters used.

    Returns
    -------
    Tensor ()

    Raises
    ------
    ValueError
        If the shapes are others.

    Source: Sec. 4.2, Eq. 3.
    """
    if sequences.ndim != 3 or not 3 <= sequences.shape[1] <= 5 or len(margins) != sequences.shape[1] - 2:
        raise ValueError(
            "expected embeddings (S, L, D) of 3 to 5 letters and L − 2 margins, "
            f"got {tuple(sequences.shape)} and {len(margins)}"
        )
    anchor, others = sequences[:, :1], sequences[:, 1:]
    squared = (anchor - others).square().sum(dim=2)  # (S, L − 1): AB, then those used of AC, AD, AE
    margin = torch.tensor(tuple(margins), dtype=sequences.dtype, device=sequences.device)
    hinges = (squared[:, :-1] - squared[:, 1:] + margin).clamp(min=0)
    return hinges.sum() / (2 * len(sequences))


def drop_unused_letters(
    sequences: NDArray[np.int64], margins: Sequence[float]
) -> tuple[NDArray[np.int64], tuple[float, ...]]:
    """Return sequences without their empty letters, and the margins of those that stay.

    Parameters
    ----------
    sequences : (S, 5) int array
        From `cues.SequenceSampler`: −1 all the way down for a letter whose cue is not used.
    margins : three floats
        m1, m2, m3: of C, D, E.

    Raises
    ------
    ValueError
        If a letter is empty in some sequences only, A or B is, or C, D and E all are.

    Source: ADR 10.
    """
    used: NDArray[np.bool_] = np.logical_and.reduce(sequences >= 0, axis=0)
    if (sequences[:, ~used] >= 0).any() or not used[:2].all() or not used[2:].any():
        raise ValueError(f"expected A, B and at least one of C, D, E in all sequences, got letters {used}")
    kept = tuple(margin for margin, there in zip(margins, used[2:], strict=True) if there)
    return sequences[:, used], kept
