"""CT series as a PACS would hold them: pixels, geometry and the attributes the standard requires."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lesiongraph.phantom.dicom import (
    PADDED_STORED_VALUE,
    PatientRecord,
    SeriesGeometry,
    SeriesStyle,
    StudyRecord,
    WrittenSeries,
    outside_circle,
    write_series,
)

ROWS, COLUMNS, SLICES = 40, 48, 5
STUDY = StudyRecord(PatientRecord(3, "PHANTOM-0001", "F", "19500601"), 2, "20100531", "091500", "CT", 120.0)
GEOMETRY = SeriesGeometry(
    positions_mm=np.array([300.0, 302.5, 305.0, 307.5, 310.0]),
    pixel_mm=1.5625,
    first_x_mm=-30.25,
    first_y_mm=-28.5,
    thickness_mm=2.5,
    kernel="sharp",
    contrast_phase="venous",
)
# Type 1 and 2 attributes of the CT Image IOD's mandatory modules (PS3.3 A.3.3) that must be there.
REQUIRED = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "PatientPosition",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "Manufacturer",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "ImageType",
    "AcquisitionNumber",
    "KVP",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "SOPClassUID",
    "SOPInstanceUID",
    "ConvolutionKernel",
]


@pytest.fixture
def hu() -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(-1000, 1500, (SLICES, ROWS, COLUMNS)).astype(np.int16)


def hounsfield(path: Path) -> np.ndarray:
    ds = dcmread(path)
    return ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)


def write(folder: Path, hu: np.ndarray, style: SeriesStyle) -> WrittenSeries:
    return write_series(folder, hu, GEOMETRY, (STUDY, 1), style)


@pytest.mark.parametrize("storage", ["unsigned", "signed", "padded"])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless],
    ids=lambda uid: uid.name,
)
def test_pixels_come_back_in_hu(tmp_path: Path, hu: np.ndarray, storage: str, syntax: str) -> None:
    written = write(tmp_path, hu, SeriesStyle(storage=storage, transfer_syntax_uid=str(syntax)))
    shown = ~outside_circle(ROWS, COLUMNS) if storage == "padded" else np.ones((ROWS, COLUMNS), bool)
    for index, path in enumerate(written.paths):
        assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
        np.testing.assert_array_equal(hounsfield(path)[shown], hu[index][shown])


def test_padding_lies_far_below_air_and_is_declared(tmp_path: Path, hu: np.ndarray) -> None:
    path = write(tmp_path, hu, SeriesStyle(storage="padded")).paths[0]
    assert dcmread(path).PixelPaddingValue == PADDED_STORED_VALUE
    assert hounsfield(path)[0, 0] == PADDED_STORED_VALUE - 1024


@pytest.mark.parametrize("flip_rows", [False, True])
def test_a_voxel_keeps_its_place_in_the_patient(tmp_path: Path, hu: np.ndarray, flip_rows: bool) -> None:
    hu[2, 7, 11] = 3000
    ds = dcmread(write(tmp_path, hu, SeriesStyle(flip_rows=flip_rows)).paths[2])
    row, column = np.argwhere(ds.pixel_array == 3000 + 1024)[0]
    along_rows, along_columns = np.reshape(ds.ImageOrientationPatient, (2, 3)).astype(float)
    place = np.array(ds.ImagePositionPatient, float)
    place = (
        place
        + column * float(ds.PixelSpacing[1]) * along_rows
        + row * float(ds.PixelSpacing[0]) * along_columns
    )
    # LPS: x to the left, y to the back, z to the head; the scanner's zero is the study's table_zero_mm.
    assert place == pytest.approx([-30.25 + 11 * 1.5625, -28.5 + 7 * 1.5625, 120.0 - 305.0])
    assert (row == ROWS - 1 - 7) == flip_rows


def test_slices_nearest_the_head_have_the_largest_z(tmp_path: Path, hu: np.ndarray) -> None:
    heads = [dcmread(path) for path in write(tmp_path, hu, SeriesStyle()).paths]
    assert [float(ds.ImagePositionPatient[2]) for ds in heads] == [-180.0, -182.5, -185.0, -187.5, -190.0]
    assert [ds.InstanceNumber for ds in heads] == [1, 2, 3, 4, 5]


def test_foot_first_series_count_from_the_feet(tmp_path: Path, hu: np.ndarray) -> None:
    written = write(tmp_path, hu, SeriesStyle(foot_first=True))
    assert [dcmread(path).InstanceNumber for path in written.paths] == [5, 4, 3, 2, 1]


def test_scrambled_names_do_not_sort_like_the_slices(tmp_path: Path, hu: np.ndarray) -> None:
    written = write(tmp_path, hu, SeriesStyle(scrambled_names=True))
    assert sorted(written.paths) != written.paths
    assert len(set(written.paths)) == SLICES


def test_required_attributes_are_there(tmp_path: Path, hu: np.ndarray) -> None:
    ds = dcmread(write(tmp_path, hu, SeriesStyle()).paths[0])
    assert [name for name in REQUIRED if name not in ds] == []
    assert ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
    assert ds.PatientAge == "059Y"  # one day before the 60th birthday


def test_header_names_its_slice_and_leaves_the_template_alone(tmp_path: Path, hu: np.ndarray) -> None:
    written = write(tmp_path, hu, SeriesStyle())
    headers = [written.header(index) for index in range(SLICES)]
    assert [header.SOPInstanceUID for header in headers] == written.sop_instance_uids
    assert "PixelData" not in headers[0]


def test_same_input_same_bytes_other_seed_other_uids(tmp_path: Path, hu: np.ndarray) -> None:
    first = write(tmp_path / "a", hu, SeriesStyle())
    again = write(tmp_path / "b", hu, SeriesStyle())
    assert [p.read_bytes() for p in first.paths] == [p.read_bytes() for p in again.paths]
    other = StudyRecord(PatientRecord(4, "PHANTOM-0001", "F", "19500601"), 2, "20100531", "091500", "CT", 0.0)
    elsewhere = write_series(tmp_path / "c", hu, GEOMETRY, (other, 1), SeriesStyle())
    assert not set(elsewhere.sop_instance_uids) & set(first.sop_instance_uids)
