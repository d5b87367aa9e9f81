"""Real DICOM mined with and without de-identification: the same lesions in the same images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread

from lesiongraph.mining import Deidentifier, KeyFile, MiningResult, Originals, mine_sources, mirror_folders
from lesiongraph.mining.readers import read_hu

GEOMETRY = ["x0", "y0", "x1", "y1", "long_x0", "long_y0", "long_x1", "long_y1"]
GEOMETRY += ["short_x0", "short_y0", "short_x1", "short_y1", "long_mm", "short_mm", "spacing_x_mm"]
LESION = ["source", "slice_index", "type", "status", "reason", "patient_sex", "flags"]
SERIES = ["columns", "rows", "slices", "flags", "flip_x", "flip_y", "kernel"]
SERIES_MM = ["spacing_x_mm", "spacing_y_mm", "slice_interval_mm", "slice_thickness_mm"]


@pytest.fixture(scope="module")
def sources(real_data) -> list[Path]:
    """Every collection: annotated CT, RTSTRUCT, SEG, SR, two dates of a patient, a patient without id."""
    return [real_data / "dicom", real_data / "dicom_sr"]


@pytest.fixture(scope="module")
def both(sources, tmp_path_factory) -> tuple[MiningResult, MiningResult, Path, Path]:
    folder = tmp_path_factory.mktemp("real-deid")
    with KeyFile.create(folder / "real.key") as key:
        mirror_folders(sources, folder / "mirror", Deidentifier(key))
    return mine_sources(sources), mine_sources([folder / "mirror"]), folder / "mirror", folder / "real.key"


@pytest.fixture(scope="module")
def original_of(both):
    with KeyFile(both[3]) as key:
        yield Originals(key)


def _matched(kept: pd.DataFrame, cleaned: pd.DataFrame, column: str, original_of) -> pd.DataFrame:
    """Return the cleaned rows in the order of the kept ones, found by their original UID."""
    back = cleaned.assign(back=[original_of.uid(uid) for uid in cleaned[column]])
    return back.set_index("back").loc[kept[column]].reset_index(drop=True)


def test_lesions_are_the_same(both, original_of):
    kept, cleaned, _, _ = both
    assert len(kept.lesions) == len(cleaned.lesions) > 20
    numbered = []
    for frame, name in ((kept.lesions, lambda uid: uid), (cleaned.lesions, original_of.uid)):
        read_from = [
            name(str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID))
            for path in frame.source_path
        ]
        place = frame.source_item.str.extract(r"^(\S+ ?\d*)")[0]
        rows = frame.assign(read_from=read_from, place=place)
        numbered.append(rows.sort_values(["read_from", "place", "x0"], kind="stable"))
    a, b = (frame.reset_index(drop=True) for frame in numbered)
    assert a[["read_from", "place"]].equals(b[["read_from", "place"]])
    np.testing.assert_array_equal(a[GEOMETRY].to_numpy(float), b[GEOMETRY].to_numpy(float))
    pd.testing.assert_frame_equal(a[LESION], b[LESION])


def test_series_are_the_same(both, original_of):
    kept, cleaned, _, _ = both
    a = kept.series.reset_index(drop=True)
    b = _matched(a, cleaned.series, "series_instance_uid", original_of)
    assert len(a) == len(cleaned.series) > 8
    pd.testing.assert_frame_equal(a[SERIES], b[SERIES])
    np.testing.assert_array_equal(a[SERIES_MM].to_numpy(float), b[SERIES_MM].to_numpy(float))


def test_days_between_the_studies_of_a_patient_stay_and_the_dates_do_not(both, original_of):
    kept, cleaned, _, _ = both
    a = kept.series[["series_instance_uid", "patient_id", "study_date"]].reset_index(drop=True)
    b = _matched(a, cleaned.series, "series_instance_uid", original_of)
    days_a, days_b = pd.to_datetime(a.study_date), pd.to_datetime(b.study_date)
    assert (days_a - days_b).dt.days.ge(3653).all()
    for _, rows in a.groupby("patient_id").groups.items():
        assert (days_a[rows] - days_b[rows]).nunique() == 1
    flt = a.patient_id == "ACRIN-FLT-Breast_001"
    assert sorted(days_b[flt].diff().dropna().dt.days.abs()) == [64]


def test_pixels_are_the_same(both, original_of):
    kept, cleaned, _, _ = both
    a = kept.slices.groupby("series_instance_uid").head(1).reset_index(drop=True)
    b = _matched(a, cleaned.slices, "sop_instance_uid", original_of)
    for before, after in zip(a.path, b.path, strict=True):
        np.testing.assert_array_equal(read_hu(Path(before)), read_hu(Path(after)))


def test_no_original_uid_patient_id_or_path_is_left(both, sources):
    kept, _, mirror, _ = both
    content = b"".join(path.read_bytes() for path in sorted(mirror.rglob("*.dcm")))
    wanted = set(kept.slices.sop_instance_uid) | set(kept.series.study_instance_uid)
    wanted |= set(kept.series.series_instance_uid) | set(kept.series.patient_id)
    wanted |= {part.name for source in sources for part in source.iterdir()}
    wanted -= {""}
    assert len(wanted) > 500
    assert [word for word in sorted(wanted) if word.encode() in content] == []
