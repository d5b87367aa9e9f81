"""Real CT and real SR: what the headers say is what the readers give."""

import math
from pathlib import Path

import numpy as np
import pytest

from lesiongraph.lesion import KEPT
from lesiongraph.mining import MiningResult, mine_sources, open_series
from lesiongraph.mining.dicom_scan import DicomArchive

pytestmark = pytest.mark.real

# folder: images, slice interval mm, flags
FOLDERS = {
    "3Dircadb1.17": (60, 3.2, "patient id missing"),
    "ACRIN-FLT-Breast_001_19600101": (35, 4.25, ""),
    "ACRIN-FLT-Breast_001_19600305": (32, 8.5, ""),
    "CRLM-CT-1004": (41, 5.0, ""),
    "LIDC-IDRI-0001": (133, 2.5, ""),
    "LUNG1-001_tcia": (67, 6.0, ""),
    "Lung_Dx-A0001_s2": (19, 5.0, ""),
    "Lung_Dx-A0001_s3": (40, 10.0, ""),
    "Pancreas-CT-CB_001": (67, 6.0, ""),
}


@pytest.fixture(scope="module")
def mined(real_data: Path) -> MiningResult:
    return mine_sources([real_data / "dicom", real_data / "dicom_sr"])


@pytest.mark.parametrize("name", FOLDERS)
def test_each_folder_is_one_series_in_hu(real_data: Path, mined: MiningResult, name: str) -> None:
    images, interval_mm, flags = FOLDERS[name]
    folder = real_data / "dicom" / name
    inside = mined.slices["path"].map(lambda path: folder in Path(path).parents)
    slices = mined.slices[inside]
    (uid,) = slices["series_instance_uid"].unique()
    series = mined.series.set_index("series_instance_uid").loc[uid]
    assert len(slices) == images == series["slices"]
    assert math.isclose(series["slice_interval_mm"], interval_mm, abs_tol=1e-3)
    assert series["flags"] == flags
    assert not series["flip_x"]
    assert not series["flip_y"]
    assert (np.diff(slices["position_mm"]) > 0).all()
    hu = open_series(series.to_dict(), slices).read([0, images // 2, images - 1])
    assert hu.shape == (3, 512, 512)
    # Air round the body is about −1000, soft tissue near 0 to 80, nothing beyond 12 bits but padding.
    assert -1030 <= np.percentile(hu[hu < -800], 50) <= -900
    tissue = hu[(hu > -20) & (hu < 120)]
    assert tissue.size > 0.03 * hu.size
    assert 0 <= np.median(tissue) <= 90
    assert hu.min() >= -3100
    assert hu.max() <= 4000


def test_masks_marked_ct_are_left_out(mined: MiningResult) -> None:
    assert mined.counts["not CT (8-bit image, as masks are)"] == 180
    assert mined.counts["not DICOM"] == 22


def test_head_is_above_feet(real_data: Path, mined: MiningResult) -> None:
    """The neck has less body than the chest: the first slices of LUNG1-001 hold less tissue."""
    slices = mined.slices[mined.slices["path"].str.contains("LUNG1-001_tcia")]
    series = mined.series.set_index("series_instance_uid").loc[slices["series_instance_uid"].iloc[0]]
    hu = open_series(series.to_dict(), slices).read([0, 30, 66])
    lung = [((image > -950) & (image < -700)).mean() for image in hu]
    tissue = (hu > -200).reshape(3, -1).mean(axis=1)
    assert tissue[0] < tissue[2]
    assert lung[1] > 2 * lung[2]


def test_every_real_report_gives_a_row_for_each_group(mined: MiningResult) -> None:
    reports = mined.lesions[mined.lesions["source"] == "SR"]
    names = reports["source_path"].map(lambda path: Path(path).name)
    assert names.value_counts().to_dict() == {
        "sr_document_with_multiple_groups.dcm": 4,
        "sr_document.dcm": 1,
        "sr.dcm": 1,
    }
    assert not reports["reason"].str.contains("unreadable").any()
    (nodule,) = reports[reports["status"] == KEPT].to_dict("records")
    assert (nodule["type"], nodule["finding"], nodule["source_item"]) == (
        "lung",
        "Nodule",
        "1.7.2 LungNodule0001",
    )
    # The file draws a circle of radius 10 px on pixels of 0.661468 mm.
    assert math.isclose(nodule["long_mm"], 20 * 0.661468, rel_tol=1e-6)
    assert (nodule["x0"], nodule["y0"]) == (45 - 10 - 0.5 - 5, 55 - 10 - 0.5 - 5)


def test_one_study_with_two_kernels(mined: MiningResult) -> None:
    kernels = mined.series[mined.series["patient_id"] == "Lung_Dx-A0001"]
    assert sorted(kernels["kernel"]) == ["B", "L"]
    assert kernels["study_instance_uid"].nunique() == 1


def test_masks_can_be_asked_for(real_data: Path) -> None:
    folder = real_data / "dicom" / "3Dircadb1.17" / "annotations" / "MASKS_DICOM" / "livertumor1"
    (series,) = DicomArchive.scan(folder, masks=True).series.values()
    assert len(series.images) == 60


def test_each_group_of_the_real_reports_says_what_became_of_it(mined: MiningResult) -> None:
    """None of the three documents holds a pair of diameters: a circle gives a mark, the rest a reason."""
    reports = mined.lesions[mined.lesions["source"] == "SR"]
    told = {
        (Path(row["source_path"]).name, row["source_item"].split(" ", 1)[1]): row["reason"] or row["status"]
        for row in reports.to_dict("records")
    }
    assert told == {
        ("sr_document.dcm", "Planar ROI Measurements"): "not a lesion structure",
        ("sr_document_with_multiple_groups.dcm", "Image0001"): "no diameters",
        ("sr_document_with_multiple_groups.dcm", "LungNodule0001"): KEPT,
        ("sr_document_with_multiple_groups.dcm", "Aorta0001"): "not a lesion structure",
        ("sr_document_with_multiple_groups.dcm", "Vertebra0001"): "no diameters (3-D coordinates only)",
        ("sr.dcm", "primary tumor"): "image not found",  # of its segment: the PET images are not here
    }
