import numpy as np
import pytest

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.errors import NotEnoughDataError


def test_dimension_without_positive_value_stays() -> None:
    assert location_vectors([[0.0, 0.5, 0.5], [0.0, 1.0, 0.25]])[:, 0].tolist() == [0.0, 0.0]


def test_no_rows() -> None:
    assert size_vectors(np.empty((0, 2))).shape == (0, 2)


def test_missing_value_is_an_error_that_counts() -> None:
    with pytest.raises(NotEnoughDataError, match="1 of 2 rows"):
        location_vectors([[0.1, 0.2, np.nan], [0.1, 0.2, 0.3]])


def test_wrong_shape_and_percentile() -> None:
    with pytest.raises(ValueError, match=r"\(N, 2\), got \(3, 3\)"):
        size_vectors(np.ones((3, 3)))
    with pytest.raises(ValueError, match="percentile"):
        size_vectors(np.ones((3, 2)), percentile=0)
