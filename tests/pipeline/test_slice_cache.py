"""Neighbouring lesions share slices: each is decoded once, and memory stays bounded."""

import numpy as np
import pytest

from lesiongraph.errors import UnreadableImageError
from lesiongraph.pipeline.slice_cache import CachedReader


class Counting:
    """Slice i is filled with i; slice 13 cannot be read."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def read(self, slice_indices):
        if 13 in slice_indices:
            raise UnreadableImageError("thirteen", "damaged")
        self.asked += slice_indices
        return np.stack([np.full((2, 3), index, np.int16) for index in slice_indices])


def test_a_slice_is_read_once_and_order_and_repeats_are_kept():
    inner = Counting()
    reader = CachedReader(inner)
    assert reader.read([3, 4, 5])[:, 0, 0].tolist() == [3, 4, 5]
    assert reader.read([5, 4, 6, 4])[:, 0, 0].tolist() == [5, 4, 6, 4]
    assert inner.asked == [3, 4, 5, 6]


def test_the_slices_used_longest_ago_go_first():
    inner = Counting()
    reader = CachedReader(inner, kept=2)
    for wanted in ([1, 2], [1], [3], [1], [2]):
        reader.read(wanted)
    assert inner.asked == [1, 2, 3, 2]


def test_more_slices_than_are_kept_come_whole():
    assert CachedReader(Counting(), kept=2).read(range(6))[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_caller_who_writes_into_its_slices_does_not_change_the_cache():
    reader = CachedReader(Counting())
    reader.read([7])[:] = -1
    assert reader.read([7]).tolist() == np.full((1, 2, 3), 7).tolist()


def test_an_unreadable_slice_is_no_empty_one():
    reader = CachedReader(Counting())
    reader.read([12])
    with pytest.raises(UnreadableImageError):
        reader.read([12, 13])
    assert reader.read([12]).shape == (1, 2, 3)
