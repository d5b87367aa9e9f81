"""Sec. 4.1, 6.1: cues scaled to a maximum of 1; types spread from seeds."""

import numpy as np
import pytest

from lesiongraph.cues import location_vectors, size_vectors


def test_each_dimension_is_divided_by_its_own_maximum() -> None:
    locations = np.array([[0.2, 0.5, 0.8], [0.4, 0.25, 0.1]])
    assert location_vectors(locations).tolist() == [[0.5, 1.0, 1.0], [1.0, 0.5, 0.125]]
    sizes = np.array([[10.0, 4.0], [40.0, 8.0], [20.0, 2.0]])
    assert size_vectors(sizes).tolist() == [[0.25, 0.5], [1.0, 1.0], [0.5, 0.25]]


def test_t_low_of_sizes_is_seven_mm_with_the_largest_lesion_and_two_with_a_percentile() -> None:
    """Facts: one lesion of 343 mm makes T_low = 0.02 worth about 7 mm."""
    sizes = np.vstack([np.full((999, 2), 15.0), [[343.0, 200.0]]])
    assert 0.02 / size_vectors(sizes)[0, 0] * 15.0 == pytest.approx(6.86)
    assert 0.02 / size_vectors(sizes, percentile=99)[0, 0] * 15.0 == pytest.approx(0.3)


def test_location_above_one_is_scaled_too() -> None:
    assert location_vectors([[1.25, 0.5, 0.5], [0.5, 0.5, 0.5]])[:, 0].tolist() == [1.0, 0.4]
