"""What every lesion index offers, so that an embedded library or a server can stand behind it later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Allowed: TypeAlias = NDArray[np.bool_] | Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""A filter: (N,) for all queries, (Q, N) one row a query, or a function that gives (B, N) for B query rows.

The function serves large batches: no (Q, N) mask ever exists.
"""


class LesionIndex(Protocol):
    """Nearest lesions by Euclidean distance, under filters."""

    def __len__(self) -> int:
        """Number of vectors held."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions of a vector."""
        ...

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        allowed: Allowed | None = None,
        exclude: ArrayLike | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return distances (Q, k) and rows (Q, k), nearest first; +inf and −1 where fewer are allowed."""
        ...
