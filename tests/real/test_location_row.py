"""The location feature's row of Table 1 on real metadata, against an independent calculation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesiongraph.cues import location_vectors
from lesiongraph.evaluation import evaluate_features
from lesiongraph.lesion import LESION_TYPES

pytestmark = pytest.mark.real


def numbers(column: pd.Series) -> np.ndarray:
    return np.array([[float(part) for part in text.split(",")] for text in column])


@pytest.fixture(scope="module")
def rows(real_data: Path) -> pd.DataFrame:
    path = real_data / "deeplesion_metadata_val" / "DL_info.csv"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    table = pd.read_csv(path)
    return table[(table["Coarse_lesion_type"] > 0) & (table["Possibly_noisy"] == 0)]


def sizes_mm(rows: pd.DataFrame) -> np.ndarray:
    return numbers(rows["Lesion_diameters_Pixel_"]) * numbers(rows["Spacing_mm_px_"])[:, :1]


def types(rows: pd.DataFrame) -> list[str]:
    return [LESION_TYPES[code - 1] for code in rows["Coarse_lesion_type"]]


def test_location_row_agrees_with_independent_calculation(rows: pd.DataFrame) -> None:
    locations = numbers(rows["Normalized_lesion_location"])
    row = evaluate_features(
        location_vectors(locations), types(rows), locations, sizes_mm(rows), rows["Patient_index"]
    )
    assert (row.n, row.k) == (2617, 5)
    assert row.type_are == pytest.approx(25.2, abs=0.1)
    assert row.location_are == pytest.approx(2.67, abs=0.01)
    assert row.size_are == pytest.approx(9.3, abs=0.05)
    # K-means depends on its starts.
    assert row.purity == pytest.approx(67.6, abs=2)
    assert row.nmi == pytest.approx(38.7, abs=2)
    assert row.accuracy is None


def test_sizes_in_pixels_do_not_give_the_row(rows: pd.DataFrame) -> None:
    """The unit matters: pixels give 9.9, millimetres 9.3."""
    locations = numbers(rows["Normalized_lesion_location"])
    pixels = numbers(rows["Lesion_diameters_Pixel_"])
    row = evaluate_features(location_vectors(locations), types(rows), None, pixels, None)
    assert row.size_are == pytest.approx(9.91, abs=0.05)
    assert row.location_are is None


def test_other_patients_only_is_harder(rows: pd.DataFrame) -> None:
    locations = numbers(rows["Normalized_lesion_location"])
    features = location_vectors(locations)
    anyone = evaluate_features(features, types(rows), locations, None, rows["Patient_index"])
    others = evaluate_features(
        features, types(rows), locations, None, rows["Patient_index"], other_patients=True
    )
    assert anyone.type_are is not None
    assert others.type_are is not None
    # Measured: 28.0 against 25.2; a filter that does nothing would leave them equal.
    assert others.type_are > anyone.type_are + 2
