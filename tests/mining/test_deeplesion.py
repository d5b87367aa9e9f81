"""A DeepLesion release, made here row by row with each trap of facts.md §2."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesiongraph.errors import NotCtError, SourceNotFoundError, TableSchemaError, UnreadableImageError
from lesiongraph.mining.deeplesion import mine_deeplesion, open_png

ROW = {
    "File_name": "000001_02_03_014.png",
    "Patient_index": 1,
    "Study_index": 2,
    "Series_ID": 3,
    "Key_slice_index": 14,
    "Measurement_coordinates": "31, 41, 51, 41, 40, 36, 40, 46",
    "Bounding_boxes": "26, 31, 56, 51",
    "Lesion_diameters_Pixel_": "20, 10",
    "Normalized_lesion_location": "0.25, 0.5, 0.75",
    "Coarse_lesion_type": 5,
    "Possibly_noisy": 0,
    "Slice_range": "8, 23",
    "Spacing_mm_px_": "0.5, 0.5, 5",
    "Image_size": "128, 100",
    "DICOM_windows": "-175, 275",
    "Patient_gender": "F",
    "Patient_age": 61,
    "Train_Val_Test": 2,
}


def write_table(folder: Path, *changes: dict) -> Path:
    pd.DataFrame([ROW | change for change in changes]).to_csv(folder / "DL_info.csv", index=False)
    return folder


def write_png(folder: Path, name: str, pixels: np.ndarray) -> Path:
    path = folder / "Images_png" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def grey(value_hu: int, rows: int = 100, columns: int = 128) -> np.ndarray:
    return np.full((rows, columns), value_hu + 32768, np.uint16)


def only(result):
    assert len(result.lesions) == 1
    return result.lesions.iloc[0]


def test_row_becomes_zero_based_lesion(tmp_path):
    lesion = only(mine_deeplesion(write_table(tmp_path, {})))
    assert lesion["lesion_id"] == "000001_02_03_014_1"
    assert lesion["patient_id"] == "000001"
    assert lesion["study_instance_uid"] == "000001_02"
    assert lesion["series_instance_uid"] == "000001_02_03"
    assert lesion[["x0", "y0", "x1", "y1"]].tolist() == [25, 30, 55, 50]
    assert lesion[["long_x0", "long_y0", "long_x1", "long_y1"]].tolist() == [30, 40, 50, 40]
    assert lesion[["long_px", "short_px", "long_mm", "short_mm"]].tolist() == [20, 10, 10, 5]
    assert lesion[["x_stated", "y_stated", "z_stated"]].tolist() == [0.25, 0.5, 0.75]
    assert lesion[["columns", "rows", "slice_index"]].tolist() == [128, 100, -1]
    assert (lesion["type"], lesion["split"], lesion["study_date"]) == ("lung", "val", "")
    assert (lesion["status"], lesion["reason"], lesion["flags"], lesion["image"]) == ("kept", "", "", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Measurement_coordinates": "31, 41, 51, nan, 40, 36, 40, 46"}, "not a number"),
        ({"Measurement_coordinates": "31, 41, 51, 41"}, "not a number"),
        ({"Measurement_coordinates": ""}, "not a number"),
        ({"Measurement_coordinates": "31, 41, 51, 41, 40, 36, 40, 36"}, "zero length"),
        ({"Measurement_coordinates": "31, 41, 31, 41, 40, 36, 40, 36"}, "zero length"),
        ({"Spacing_mm_px_": "0, 0.5, 5"}, "pixel spacing not positive"),
        ({"Spacing_mm_px_": "0.5, -0.5, 5"}, "pixel spacing not positive"),
        ({"Spacing_mm_px_": "inf, 0.5, 5"}, "pixel spacing not positive"),
        ({"File_name": "somewhere.png"}, "file name not understood"),
    ],
)
def test_impossible_row_is_rejected_and_the_others_go_on(tmp_path, change, reason):
    result = mine_deeplesion(write_table(tmp_path, change, {"File_name": "000002_01_01_001.png"}))
    assert result.lesions["status"].tolist() == ["rejected", "kept"]
    assert result.lesions["reason"].tolist() == [reason, ""]


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"Bounding_boxes": "26, 31, 56.1, 51"}, "box differs from stated by 0.1 px"),
        ({"Lesion_diameters_Pixel_": "20, 11"}, "axes differ from stated by 1.0 px"),
        ({"Measurement_coordinates": "40, 36, 40, 46, 31, 41, 51, 41"}, "axes swapped"),
        ({"Measurement_coordinates": "31, 41, 51, 41, 47, 36, 43, 46"}, "axes not perpendicular"),
        ({"Measurement_coordinates": "31, 41, 51, 41, 40, 46, 40, 56"}, "axes do not cross"),
        ({"Normalized_lesion_location": "1.02, 0.5, 0.75"}, "stated location outside 0–1"),
        ({"Normalized_lesion_location": "0.2, 0.5, -0.01"}, "stated location outside 0–1"),
        ({"Image_size": "50, 50"}, "box outside the stated image size"),
        ({"Image_size": "1e30, nan"}, "image size unknown"),
        ({"Spacing_mm_px_": "0.5, 0.5, -1"}, "slice interval unknown"),
        ({"Spacing_mm_px_": "0.5, 0.5, nan"}, "slice interval unknown"),
        ({"Coarse_lesion_type": 9}, "type code unknown"),
        ({"Train_Val_Test": ""}, "split unknown"),
    ],
)
def test_doubt_is_a_flag_where_no_image_can_tell(tmp_path, change, flag):
    lesion = only(mine_deeplesion(write_table(tmp_path, change)))
    assert lesion["status"] == "kept"
    assert flag in lesion["flags"].split(";")


def test_unknown_values_are_empty(tmp_path):
    change = {"Coarse_lesion_type": -1, "Patient_age": 0, "Patient_gender": "", "Possibly_noisy": 1}
    lesion = only(mine_deeplesion(write_table(tmp_path, change)))
    assert (lesion["type"], lesion["patient_sex"], lesion["flags"]) == ("", "", "")
    assert np.isnan(lesion["patient_age"])
    assert lesion["possibly_noisy"]
    assert lesion["status"] == "kept"


def test_marks_on_one_slice_are_numbered(tmp_path):
    other = {"Measurement_coordinates": "61, 41, 81, 41, 70, 36, 70, 46"}
    result = mine_deeplesion(write_table(tmp_path, {}, {"File_name": "000002_01_01_001.png"}, other))
    assert result.lesions["lesion_id"].tolist() == [
        "000001_02_03_014_1",
        "000002_01_01_001_1",
        "000001_02_03_014_2",
    ]


def test_anisotropic_spacing_counts_per_axis(tmp_path):
    lesion = only(mine_deeplesion(write_table(tmp_path, {"Spacing_mm_px_": "0.5, 2, 5"})))
    assert (lesion["long_mm"], lesion["short_mm"]) == (10, 20)


def test_images_are_found_measured_and_read(tmp_path):
    write_table(tmp_path, {"Image_size": "512, 512"})
    for number in (13, 14, 20):
        write_png(tmp_path, f"000001_02_03/{number:03d}.png", grey(number))
    write_png(tmp_path, "000009_01_01/001.png", grey(0))
    (tmp_path / "Images_png" / "000001_02_03" / "readme.txt").write_text("x")
    result = mine_deeplesion(tmp_path)
    lesion, series = only(result), result.series.iloc[0]
    assert lesion[["slice_index", "columns", "rows"]].tolist() == [1, 128, 100]
    assert "image size differs from stated" in lesion["flags"]
    assert Path(lesion["image"]).name == "014.png"
    assert result.slices["position_mm"].tolist() == [65, 70, 100]  # the gap 14 → 20 shows
    assert result.slices["sop_instance_uid"].tolist()[1] == lesion["sop_instance_uid"]
    assert series[["columns", "rows", "slices", "slice_interval_mm"]].tolist() == [128, 100, 3, 5]
    hu = open_png(series, result.slices).read([2, 0])
    assert hu.dtype == np.int16
    assert hu.shape == (2, 100, 128)
    assert (hu[:, 0, 0] == [20, 13]).all()
    assert result.counts["image series without a row in DL_info.csv"] == 1
    assert result.counts["not a slice image"] == 1


def test_flat_layout_is_tolerated(tmp_path):
    write_png(write_table(tmp_path, {}), "000001_02_03_014.png", grey(-1000))
    assert only(mine_deeplesion(tmp_path))["slice_index"] == 0


def test_unknown_interval_leaves_positions_unknown(tmp_path):
    write_png(write_table(tmp_path, {"Spacing_mm_px_": "0.5, 0.5, -5"}), "000001_02_03/014.png", grey(0))
    result = mine_deeplesion(tmp_path)
    assert result.slices["position_mm"].isna().all()
    assert np.isnan(result.series["slice_interval_mm"].iloc[0])
    assert "slice interval unknown" in result.series["flags"].iloc[0]


def test_contradicting_intervals_are_not_believed(tmp_path):
    write_table(tmp_path, {}, {"Spacing_mm_px_": "0.5, 0.5, 1"})
    series = mine_deeplesion(tmp_path).series.iloc[0]
    assert np.isnan(series["slice_interval_mm"])
    assert "slice interval differs between rows" in series["flags"]


def test_with_images_a_mark_off_the_image_is_rejected(tmp_path):
    write_table(
        tmp_path,
        {"Measurement_coordinates": "120, 41, 140, 41, 130, 36, 130, 46"},
        {"Measurement_coordinates": "108, 41, 128, 41, 118, 36, 118, 46"},
        {"File_name": "000001_02_03_015.png"},
    )
    write_png(tmp_path, "000001_02_03/014.png", grey(0))
    lesions = mine_deeplesion(tmp_path).lesions
    assert lesions["reason"].tolist() == ["outside the image", "", "image not found"]
    assert "box reaches over the image border" in lesions["flags"].iloc[1]


def test_truncated_image_is_rejected(tmp_path):
    path = write_png(write_table(tmp_path, {}), "000001_02_03/014.png", grey(0))
    path.write_bytes(path.read_bytes()[:60])
    result = mine_deeplesion(tmp_path)
    assert only(result)["reason"] == "image unreadable"
    with pytest.raises(UnreadableImageError, match=r"014\.png"):
        open_png(result.series.iloc[0], result.slices).read([0])


def test_eight_bit_copy_is_read_through_its_window(tmp_path):
    write_png(write_table(tmp_path, {}), "000001_02_03/014.png", np.full((100, 128), 255, np.uint8))
    result = mine_deeplesion(tmp_path)
    assert result.series["flags"].iloc[0] == "8-bit PNG, window -175 to 275 HU"
    assert (open_png(result.series.iloc[0], result.slices).read([0]) == 275).all()
    with pytest.raises(NotCtError, match="16-bit"):
        open_png({"flags": ""}, result.slices).read([0])


def test_falling_z_is_told(tmp_path):
    later = {"File_name": "000001_02_03_020.png", "Normalized_lesion_location": "0.2, 0.5, 0.7"}
    assert "falls" in mine_deeplesion(write_table(tmp_path, {}, later)).series["flags"].iloc[0]


def test_broken_tables_are_clear_errors(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"DL_info\.csv"):
        mine_deeplesion(tmp_path)
    (tmp_path / "DL_info.csv").write_text("File_name,Image_size\na,b\n")
    with pytest.raises(TableSchemaError, match="Measurement_coordinates"):
        mine_deeplesion(tmp_path)
    (tmp_path / "DL_info.csv").write_bytes(b"")
    with pytest.raises(TableSchemaError):
        mine_deeplesion(tmp_path)
    (tmp_path / "DL_info.csv").write_bytes(b"\xff\xfe\x00\x81" * 40)
    with pytest.raises(TableSchemaError):
        mine_deeplesion(tmp_path)


def test_empty_table_gives_empty_catalogue(tmp_path):
    (tmp_path / "DL_info.csv").write_text(",".join(ROW) + "\n")
    assert mine_deeplesion(tmp_path).lesions.empty


def test_optional_columns_may_be_absent(tmp_path):
    essential = ("File_name", "Measurement_coordinates", "Spacing_mm_px_", "Image_size")
    pd.DataFrame([{name: ROW[name] for name in essential}]).to_csv(tmp_path / "DL_info.csv", index=False)
    result = mine_deeplesion(tmp_path)
    assert only(result)["status"] == "kept"
    assert result.counts["column absent: Coarse_lesion_type"] == 1


def test_a_release_of_full_size_takes_seconds(tmp_path):
    names = [f"{i // 8 + 1:06d}_01_01_{i % 8 + 10:03d}.png" for i in range(32735)]
    pd.DataFrame([ROW] * len(names)).assign(File_name=names).to_csv(tmp_path / "DL_info.csv", index=False)
    begin_s = time.process_time()
    assert len(mine_deeplesion(tmp_path).lesions) == 32735
    assert time.process_time() - begin_s < 5  # 1.2 s seen
