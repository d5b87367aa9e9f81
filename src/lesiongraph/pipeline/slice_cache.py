"""A reader that remembers the slices it read last: neighbouring lesions share most of theirs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from lesiongraph.mining import SliceReader

SLICES_KEPT = 16  # 8 MB of 512×512 HU; the patches of one lesion need at most five


class CachedReader:
    """Wraps the reader of one series; at most `kept` decoded slices stay in memory.

    A slice of JPEG 2000 takes some 65 ms to decode, and lesions marked side by side need the same ones.
    """

    def __init__(self, reader: SliceReader, kept: int = SLICES_KEPT) -> None:
        self._reader = reader
        self._kept = kept
        self._slices: OrderedDict[int, np.ndarray] = OrderedDict()

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return the slices, (n, rows, columns) int16 HU, as stored; errors are the reader's own."""
        wanted = [int(index) for index in slice_indices]
        missing = [index for index in dict.fromkeys(wanted) if index not in self._slices]
        if missing:
            for index, hu in zip(missing, self._reader.read(missing), strict=True):
                self._slices[index] = hu.copy()  # a view would keep its whole batch in memory
        for index in wanted:
            self._slices.move_to_end(index)
        found = np.stack([self._slices[index] for index in wanted])
        while len(self._slices) > self._kept:
            self._slices.popitem(last=False)
        return found
