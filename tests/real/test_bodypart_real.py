"""The packaged regressor on real CT that it was never trained on."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from lesiongraph.bodypart import SsbrModel, locate_series, slice_input, window_to_8bit
from lesiongraph.mining import hu_from_8bit

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def model():
    return SsbrModel.load()


def canonical(path: Path):
    image = nib.as_closest_canonical(nib.load(path))
    hu = np.asarray(image.dataobj).astype(np.int16)[::-1, ::-1, ::-1].transpose(2, 1, 0)
    return hu, float(image.header.get_zooms()[2])


def test_an_unseen_volume_is_ordered_and_trusted(real_data, model):
    hu, interval_mm = canonical(real_data / "volumes/LUNG1-002.nii.gz")
    position = np.arange(len(hu)) * interval_mm
    inputs = np.stack([slice_input(one) for one in hu])
    found = locate_series(model, inputs, position)
    assert found.r > 0.9
    assert np.median(found.confidence) > 0.6
    assert (np.diff(found.z) > 0).all()
    # neck or shoulders to the upper abdomen
    assert 0.15 < found.z[0] < 0.45
    assert 0.5 < found.z[-1] < 0.8
    turned = locate_series(model, inputs[::-1], position)
    assert all("upside down" in flag for flag in turned.flag)


def authors_z(real_data) -> pd.DataFrame:
    """DeepLesion key slices whose pixels are here, with the z the authors published."""
    one = pd.read_csv(real_data / "deeplesion/lesions_in_images.csv").assign(folder="deeplesion")
    mini = pd.read_csv(real_data / "deeplesion_mini/DL_info.csv").assign(folder="deeplesion_mini")
    mini["z_norm"] = mini.Normalized_lesion_location.str.split(",").str[2].astype(float)
    both = pd.concat([one, mini])[["File_name", "z_norm", "folder"]].dropna()
    return both.drop_duplicates("File_name")


def test_deeplesion_slices_rank_as_the_authors_scores_do(real_data, model):
    known = authors_z(real_data)
    assert len(known) > 40
    inputs = []
    for name, folder in zip(known.File_name, known.folder, strict=True):
        path = real_data / folder / "Images_png" / name[:12] / name[13:]
        inputs.append(slice_input(np.asarray(Image.open(path)).astype(np.int32) - 32768))
    score = model.score(np.stack(inputs))
    assert spearmanr(score, known.z_norm)[0] > 0.9
    assert np.median(np.abs(model.to_z(score) - known.z_norm)) < 0.06


def test_an_8_bit_copy_scores_like_the_hu(real_data, model):
    hu, _ = canonical(real_data / "volumes/LIDC-IDRI-0002.nii.gz")
    chosen = hu[::16]
    copies = [hu_from_8bit(window_to_8bit(one, -175, 275), -175, 275) for one in chosen]
    z = model.to_z(model.score(np.stack([slice_input(one) for one in chosen])))
    z_of_copies = model.to_z(model.score(np.stack([slice_input(one) for one in copies])))
    assert np.abs(z - z_of_copies).max() < 0.01
