"""Which slices make the context of a key slice, and how much of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imaging_fakes import slice_rows

from lesiongraph.imaging import PatchError
from lesiongraph.imaging.context import FLAG_END, FLAG_GAP, FLAG_REPEATED, plan_context


def _mix(plan, channel):
    """{slice index: weight} of one channel."""
    weights = plan.weights[channel]
    return {i: pytest.approx(w, abs=1e-6) for i, w in zip(plan.slice_indices, weights, strict=True) if w}


def test_thick_slices_are_interpolated_between_the_two_straddling():
    plan = plan_context(slice_rows([0, 5, 10]), 1, 5.0, 3, 2.0)
    assert _mix(plan, 0) == {0: 0.4, 1: 0.6}
    assert _mix(plan, 1) == {1: 1.0}
    assert _mix(plan, 2) == {1: 0.6, 2: 0.4}
    assert plan.offsets_mm == (-2.0, 0.0, 2.0)
    assert plan.flags == ()


def test_thin_slices_do_not_need_the_next_ones():
    plan = plan_context(slice_rows(np.arange(9) * 1.0), 4, 1.0, 3, 2.0)
    assert plan.slice_indices == (2, 4, 6)
    plan = plan_context(slice_rows(np.arange(9) * 1.25), 4, 1.25, 3, 2.0)
    assert _mix(plan, 2) == {5: 0.4, 6: 0.6}
    assert plan.slice_indices == (2, 3, 4, 5, 6)


@pytest.mark.parametrize("interval", [math.nan, 0.0, -5.0, math.inf])
def test_without_a_usable_interval_the_key_slice_is_repeated(interval):
    plan = plan_context(slice_rows([0, 5, 10]), 1, interval, 3, 2.0)
    assert plan.slice_indices == (1,)
    assert plan.offsets_mm == (0.0, 0.0, 0.0)
    assert plan.flags == (FLAG_REPEATED,)


def test_unknown_position_of_the_key_slice_repeats_it():
    assert plan_context(slice_rows([0, math.nan, 10]), 1, 5.0, 3, 2.0).flags == (FLAG_REPEATED,)


def test_beyond_the_ends_the_nearest_slice_serves():
    first = plan_context(slice_rows([0, 1, 2]), 0, 1.0, 3, 2.0)
    assert _mix(first, 0) == {0: 1.0}
    assert first.offsets_mm == (0.0, 0.0, 2.0)
    assert first.flags == (FLAG_END,)
    last = plan_context(slice_rows([0, 1, 2, 3.5]), 2, 1.0, 3, 2.0)
    assert _mix(last, 2) == {3: 1.0}
    assert last.offsets_mm == (-2.0, 0.0, 1.5)


def test_nothing_is_interpolated_across_a_gap():
    plan = plan_context(slice_rows([0, 1, 2, 9, 10]), 2, 1.0, 3, 2.0)
    assert _mix(plan, 2) == {2: 1.0}
    assert plan.flags == (FLAG_GAP,)
    plan = plan_context(slice_rows([0, 1, 2, 5, 6]), 2, 1.0, 3, 2.0)
    assert _mix(plan, 2) == {3: 1.0}  # 3 mm away is nearer to 2 mm than 0 mm is
    assert plan.offsets_mm[2] == 3.0


def test_order_and_numbering_of_the_slices_do_not_matter():
    slices = slice_rows([0, 5, 10, 15])
    slices["slice_index"] += 40  # a disjoint piece of a series
    plan = plan_context(slices.sample(frac=1, random_state=1), 42, 5.0, 3, 2.0)
    assert _mix(plan, 0) == {41: 0.4, 42: 0.6}


def test_bad_input_stops_at_the_door():
    with pytest.raises(ValueError, match="odd"):
        plan_context(slice_rows([0, 5]), 0, 5.0, 2, 2.0)
    with pytest.raises(PatchError, match="key slice"):
        plan_context(slice_rows([0, 5]), 7, 5.0, 3, 2.0)


@given(
    st.lists(st.floats(0.3, 12.0), min_size=1, max_size=12),
    st.data(),
)
def test_weights_are_shares_and_place_each_channel_where_it_says(gaps, data):
    positions = np.concatenate([[50.0], 50.0 + np.cumsum(gaps)])
    key = data.draw(st.integers(0, len(gaps)))
    plan = plan_context(slice_rows(positions), key, float(np.median(gaps)), 3, 2.0)
    assert plan.weights.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert plan.weights.min() >= 0
    assert len(plan.slice_indices) <= 5
    placed = plan.weights.astype(float) @ positions[list(plan.slice_indices)] - positions[key]
    assert placed == pytest.approx(plan.offsets_mm, abs=1e-3)
