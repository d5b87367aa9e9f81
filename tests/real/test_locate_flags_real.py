"""Real series that are no trunk are told; trunks are not."""

from pathlib import Path

import pytest

from lesiongraph.pipeline.locate_slices import locate_slices

pytestmark = pytest.mark.real


def summary(path: Path):
    rows, report = locate_slices([path])
    assert rows.z.notna().all()
    (row,) = report.details["series"]
    return row


def test_a_head_with_raised_arms(real_data):
    row = summary(real_data / "dicom/ACRIN-FLT-Breast_001_19600305")
    assert "head, neck or limb only" in row["flag"]
    assert (row["body_part_examined"], row["agreement"]) == ("HEAD", "no")  # its header says BREAST
    assert row["confidence"] <= 0.5


@pytest.mark.parametrize("name", ["STS_002", "STS_005", "STS_044"])
def test_crops_of_a_buttock_a_shoulder_and_a_thigh(real_data, name):
    row = summary(real_data / f"sts/{name}/ct.nii.gz")
    assert "small part of the body in view" in row["flag"]
    assert row["confidence"] <= 0.5


def test_trunks_in_any_view_are_taken_for_ct_and_trunks(real_data):
    paths = sorted((real_data / "volumes").glob("*.nii.gz"))
    rows, report = locate_slices(paths)
    assert set(rows.path) == {str(path) for path in paths}
    assert not report.rejected
    remarks = rows.flag.str.contains("head|narrow|limb|small")
    # the neck of LUNG1-002 is as narrow as its head would be, and lies near the border of the chest
    assert remarks.mean() < 0.01
