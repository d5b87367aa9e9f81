"""The sequence loss: three hinges over a lesion sequence A–E (Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sequence_loss(sequences: Tensor, margins: Sequence[float]) -> Tensor:
    """Return Eq. 3 for a mini-batch of sequences.

    With d_ij² the squared Euclidean distance of two embeddings,
    L = 1/(2S) Σ [max(0, d_AB² − d_AC² + m1) + max(0, d_AC² − d_AD² + m2) + max(0, d_AD² − d_AE² + m3)].

    Parameters
    ----------
    sequences : Tensor (S, 5, D)
        Embeddings of the lesions A, B, C, D, E of each sequence.
    margins : three floats
        m1, m2, m3.

    Returns
    -------
    Tensor ()

    Raises
    ------
    ValueError
        If the shapes are others.

    Source: Sec. 4.2, Eq. 3.
    """
    if sequences.ndim != 3 or sequences.shape[1] != 5 or len(margins) != 3:
        raise ValueError(
            f"expected embeddings (S, 5, D) and 3 margins, got {tuple(sequences.shape)} and {len(margins)}"
        )
    anchor, others = sequences[:, :1], sequences[:, 1:]
    squared = (anchor - others).square().sum(dim=2)  # (S, 4): AB, AC, AD, AE
    margin = torch.tensor(tuple(margins), dtype=sequences.dtype, device=sequences.device)
    hinges = (squared[:, :-1] - squared[:, 1:] + margin).clamp(min=0)
    return hinges.sum() / (2 * len(sequences))
