"""A folder of DICOM, with the traps of real archives."""

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_files import CT, ENHANCED_CT, ct_slice, new_file, save, uid, volume
from pydicom import Dataset
from pydicom.sequence import Sequence as Items

from lesiongraph.errors import SourceNotFoundError
from lesiongraph.mining.dicom_scan import DicomArchive

CORONAL = (1, 0, 0, 0, 0, -1)


def only_series(archive: DicomArchive):
    (series,) = archive.series.values()
    return series


def test_sorted_head_to_foot_whatever_names_and_numbers(tmp_path: Path) -> None:
    for name, z, number in (("a/b/x.txt", -10, 1), ("noname", 0, 3), ("z.dcm", -5, 2)):
        save(ct_slice(z, number=number), tmp_path / name)
    series = only_series(DicomArchive.scan(tmp_path))
    assert [image.origin_mm[2] for image in series.images] == [0, -5, -10]
    assert [image.slice_index for image in series.images] == [0, 1, 2]
    assert [image.position_mm for image in series.images] == [0, 5, 10]
    assert (series.spacing_x_mm, series.spacing_y_mm) == (0.8, 0.5)
    assert (series.columns, series.rows, series.slice_interval_mm) == (48, 32, 5)
    assert (series.patient_id, series.study_date, series.kernel) == ("P1", "2020-01-31", "B31f")
    assert (series.patient_sex, series.patient_age, series.flags) == ("F", 61, ())
    assert (series.flip_x, series.flip_y) == (False, False)


def test_image_found_by_uid_with_its_geometry(tmp_path: Path) -> None:
    uids = volume(tmp_path)
    archive = DicomArchive.scan(tmp_path)
    image = archive.image(uids[2])
    assert image is not None
    assert (image.slice_index, image.columns, image.rows) == (2, 48, 32)
    assert archive.image("1.2.3") is None
    assert archive.why_absent("1.2.3") == "image not found"
    # x = −10 + 0.8 · 5, y = −20 + 0.5 · 8, 1 mm towards the head of z = −10
    np.testing.assert_allclose(image.to_array(np.array([[-6.0, -16.0, -9.0]])), [[5, 8, 1]])


@pytest.mark.parametrize(
    ("orientation", "flip_x", "flip_y"),
    [
        ((1, 0, 0, 0, -1, 0), False, True),
        ((-1, 0, 0, 0, 1, 0), True, False),
        ((-1, 0, 0, 0, -1, 0), True, True),
        ((1, 0, 0, 0, 0.95, -0.31), False, False),  # gantry tilt of 18°
    ],
)
def test_stored_flips(tmp_path: Path, orientation: tuple[float, ...], flip_x: bool, flip_y: bool) -> None:
    uids = volume(tmp_path, orientation=orientation)
    series = only_series(DicomArchive.scan(tmp_path))
    assert (series.flip_x, series.flip_y) == (flip_x, flip_y)
    assert [image.sop_instance_uid for image in series.images] == uids


def test_not_dicom_empty_and_truncated_files_are_counted(tmp_path: Path) -> None:
    volume(tmp_path / "ct", 2)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "nothing").write_bytes(b"")
    whole = save(ct_slice(-50), tmp_path / "cut.dcm")
    cut_uid = str(ct_slice(-50).SOPInstanceUID)
    whole.write_bytes(whole.read_bytes()[:-500])
    (tmp_path / "header.dcm").write_bytes((tmp_path / "ct" / "000").read_bytes()[:150])
    archive = DicomArchive.scan(tmp_path)
    counts = archive.counts
    assert counts["files read"] == 6
    assert counts["CT images"] == 2
    assert counts["not DICOM"] == counts["empty file"] == counts["truncated file"] == 1
    assert counts["unreadable header"] == 1
    assert archive.image(cut_uid) is None
    assert archive.why_absent(cut_uid) == "image not usable: truncated file"


@pytest.mark.parametrize("name", ["absent", "empty", "text"])
def test_nothing_to_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "readme.txt").write_text("no DICOM here")
    with pytest.raises(SourceNotFoundError, match=name):
        DicomArchive.scan(tmp_path / name)


def test_the_same_object_twice_counts_once(tmp_path: Path) -> None:
    volume(tmp_path / "a", 3)
    volume(tmp_path / "b", 3)
    archive = DicomArchive.scan(tmp_path)
    assert archive.counts["CT images"] == 3
    assert archive.counts["the same object again"] == 3
    assert len(only_series(archive).images) == 3


def test_a_second_orientation_is_left_out(tmp_path: Path) -> None:
    uids = volume(tmp_path / "a", 4)
    tilted = volume(tmp_path / "b", 2, orientation=(1, 0, 0, 0, 0.95, -0.31))
    coronal = volume(tmp_path / "c", 1, orientation=CORONAL)
    archive = DicomArchive.scan(tmp_path)
    series = only_series(archive)
    assert [image.sop_instance_uid for image in series.images] == uids
    assert "two orientations" in series.flags
    assert archive.why_absent(tilted[0]) == "image not usable: second orientation of its series"
    assert archive.why_absent(coronal[0]) == "image not usable: not axial"
    assert archive.counts["second orientation of its series"] == 2


def test_scouts_masks_other_modalities_and_colour_are_not_ct(tmp_path: Path) -> None:
    volume(tmp_path, 2)
    save(ct_slice(1, series="s1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), tmp_path / "scout")
    save(ct_slice(1, series="s2", stored=np.zeros((32, 48), np.uint8)), tmp_path / "mask")
    save(ct_slice(1, series="s3", Modality="MR"), tmp_path / "mr")
    save(ct_slice(1, series="s4", RescaleIntercept=None), tmp_path / "no hu")
    save(ct_slice(1, series="s5", SamplesPerPixel=3), tmp_path / "colour")
    counts = DicomArchive.scan(tmp_path).counts
    assert counts["CT images"] == 2
    assert counts["scout image"] == 1
    assert counts["not CT (8-bit image, as masks are)"] == 1
    assert counts["not CT (MR)"] == 1
    assert counts["not in HU (no rescale intercept)"] == 1
    assert counts["not CT (colour image)"] == 1
    assert len(DicomArchive.scan(tmp_path / "mask", masks=True).series) == 1


@pytest.mark.parametrize("spacing", [b"", b"0\\0", b"-.5\\0.5", b"nan\\nan", b"x\\y", b"0.5"])
def test_impossible_pixel_spacing_is_unknown(tmp_path: Path, spacing: bytes) -> None:
    path = save(ct_slice(0), tmp_path / "one")
    path.write_bytes(path.read_bytes().replace(b"0.5\\0.8 ", spacing.ljust(8)))
    series = only_series(DicomArchive.scan(tmp_path))
    assert math.isnan(series.spacing_x_mm)
    assert "pixel spacing unknown" in series.flags


def test_missing_slices_and_duplicate_positions_are_flagged(tmp_path: Path) -> None:
    for index, z in enumerate((0, -5, -10, -25, -30)):
        save(ct_slice(z), tmp_path / "gap" / str(index))
    for index, z in enumerate((0, -5, -5, -10)):
        save(ct_slice(z, SOPInstanceUID=uid(index)), tmp_path / "double" / str(index))
    gap = only_series(DicomArchive.scan(tmp_path / "gap"))
    double = only_series(DicomArchive.scan(tmp_path / "double"))
    assert (gap.flags, gap.slice_interval_mm) == (("missing slices",), 5)
    assert (double.flags, double.slice_interval_mm) == (("duplicate positions",), 5)
    assert len(double.images) == 4


def test_missing_positions_fall_back_to_the_instance_number(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        save(ct_slice(-number, number=number, ImagePositionPatient=None), tmp_path / str(number))
    series = only_series(DicomArchive.scan(tmp_path))
    assert [image.instance_number for image in series.images] == [1, 2, 3]
    assert "positions missing" in series.flags
    assert math.isnan(series.slice_interval_mm)


def test_a_nameless_patient_gets_an_id_from_the_study(tmp_path: Path) -> None:
    volume(tmp_path / "a", 2, PatientID="", series="a")
    volume(tmp_path / "b", 2, PatientID="", series="b")
    volume(tmp_path / "c", 2, PatientID="  ", series="c", StudyInstanceUID=uid("other"))
    archive = DicomArchive.scan(tmp_path)
    ids = [archive.series[uid(name)].patient_id for name in "abc"]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("unknown-")
    assert all("patient id missing" in series.flags for series in archive.series.values())


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    whole = save(ct_slice(0), tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(whole[132:])
    assert DicomArchive.scan(tmp_path).counts["CT images"] == 1


def test_an_unknown_transfer_syntax_is_left_to_the_reader(tmp_path: Path) -> None:
    path = save(ct_slice(0), tmp_path / "x")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.9\0"))
    assert DicomArchive.scan(tmp_path).counts["CT images"] == 1


def test_enhanced_multi_frame_ct(tmp_path: Path) -> None:
    ds = new_file(ENHANCED_CT, "CT", uid("enhanced"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.Rows = ds.Columns = 16
    ds.BitsAllocated, ds.NumberOfFrames, ds.SamplesPerPixel = 16, 3, 1
    shared = Dataset()
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.7], 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    frames = []
    for z in (0, 2, 4):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        frame.PlanePositionSequence = Items([position])
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = Items(frames)
    save(ds, tmp_path / "enhanced")
    archive = DicomArchive.scan(tmp_path)
    series = only_series(archive)
    assert [image.frame for image in series.images] == [2, 1, 0]
    assert series.spacing_x_mm == 0.7
    assert archive.image(uid("enhanced"), 2).slice_index == 0
    assert CT != ENHANCED_CT
