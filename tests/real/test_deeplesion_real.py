"""DeepLesion releases: our boxes and diameters against the official table, row by row."""

import shutil

import numpy as np
import pandas as pd
import pytest

from lesiongraph.mining.deeplesion import mine_deeplesion, open_png
from lesiongraph.mining.subsets import assign_subsets

pytestmark = pytest.mark.real


def worst_against(lesions, table) -> tuple[float, float]:
    def numbers(name):
        return table[name].str.split(",", expand=True).astype(float).to_numpy()

    box = lesions[["x0", "y0", "x1", "y1"]].to_numpy() - (numbers("Bounding_boxes") - 1)
    axes = lesions[["long_px", "short_px"]].to_numpy() - numbers("Lesion_diameters_Pixel_")
    return float(np.abs(box).max()), float(np.abs(axes).max())


def test_official_rows_with_images(real_data):
    folder = real_data / "deeplesion"
    result = mine_deeplesion(folder)
    box_px, axes_px = worst_against(result.lesions, pd.read_csv(folder / "DL_info.csv"))
    print(f"6 official rows with images: box {box_px:.5f} px, diameters {axes_px:.5f} px")
    assert len(result.lesions) == 6
    assert (result.lesions["status"] == "kept").all()
    assert (result.lesions["slice_index"] >= 0).all()
    assert box_px < 1e-6
    assert axes_px < 0.001
    for _, series in result.series.iterrows():
        slices = result.slices[result.slices["series_instance_uid"] == series["series_instance_uid"]]
        hu = open_png(series, slices).read(slices["slice_index"].tolist())
        assert hu.shape == (len(slices), 512, 512)
        assert hu.min() <= -1000  # air
        assert 0 < np.median(hu[hu > -500]) < 100  # soft tissue


def test_official_rows_without_images(real_data, tmp_path):
    table = real_data / "deeplesion" / "DL_info_sample_158_rows.csv"
    shutil.copyfile(table, tmp_path / "DL_info.csv")
    result = mine_deeplesion(tmp_path)
    box_px, axes_px = worst_against(result.lesions, pd.read_csv(table))
    print(f"158 official rows: box {box_px:.5f} px, diameters {axes_px:.5f} px")
    assert (result.lesions["status"] == "kept").sum() == 158
    assert box_px < 0.001
    assert axes_px < 0.001


def test_split_2_without_images(real_data):
    lesions = assign_subsets(mine_deeplesion(real_data / "deeplesion_metadata_val").lesions)
    assert len(lesions) == 4889
    assert (lesions["status"] == "kept").all()
    assert ((lesions["type"] != "") & ~lesions["possibly_noisy"]).sum() == 2617
    assert lesions["flags"].str.contains("box outside the stated image size").sum() == 6
    assert lesions["flags"].str.contains("location outside").sum() == 4
    assert set(lesions["subset"]) == {"seed", "validation"}
    assert (lesions.groupby("patient_id")["subset"].nunique() == 1).all()


def test_mini_release(real_data):
    result = mine_deeplesion(real_data / "deeplesion_mini")
    assert (result.lesions["status"] == "kept").sum() == 27
    assert (result.lesions["slice_index"] >= 0).all()
