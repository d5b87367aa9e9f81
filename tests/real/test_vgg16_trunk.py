"""VGG-16's real weights and the packaged narrow trunk on real DeepLesion slices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lesiongraph.embedding import Trunk, initial_features, load_compact, load_narrow, load_vgg16, pooled_maps
from lesiongraph.imaging import Patch, cut_patch
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.recipe import ImagingRecipe

FACTS_SHA256 = "d2183beb8c38950fe012f9d79424447221253e1203d1a5c3a304a54750f85bd9"

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def vgg16(real_data: Path) -> Trunk:
    path = real_data.parent / "weights" / "vgg16_imagenet_conv_fp16.safetensors"
    if not path.is_file():
        pytest.skip(f"no VGG-16 weights at {path}")
    return load_vgg16(path)


@pytest.fixture(scope="module")
def mini(real_data: Path) -> tuple[list[str], list[Patch]]:
    """Patient and patch of every lesion of the small release."""
    mined = mine_sources([real_data / "deeplesion_mini"])
    lesions = mined.lesions[(mined.lesions.status == KEPT) & (mined.lesions.slice_index >= 0)]
    patients, patches = [], []
    for row in lesions.itertuples():
        series = mined.series[mined.series.series_instance_uid == row.series_instance_uid].iloc[0].to_dict()
        slices = mined.slices[mined.slices.series_instance_uid == row.series_instance_uid]
        slices = slices.sort_values("slice_index")
        box = BoundingBox(row.x0, row.y0, row.x1, row.y1)
        reader = open_series(series, slices)
        patches.append(cut_patch(reader, series, slices, row.slice_index, box, ImagingRecipe()))
        patients.append(row.patient_id)
    return patients, patches


def test_the_weights_are_those_of_the_facts(vgg16):
    assert vgg16.sha256 == FACTS_SHA256


def test_the_initial_feature_has_1408_dimensions_and_fits_float16(vgg16, mini):
    maps = pooled_maps(mini[1][:4], vgg16)
    assert all(float(array.max()) < 20_000 for array in maps)
    assert initial_features(mini[1][:2], vgg16).shape == (2, 1408)


def test_every_scale_is_alive(vgg16, mini):
    """A wrong channel order or division leaves the deep maps nearly empty."""
    with torch.inference_mode():
        maps = vgg16(torch.from_numpy(mini[1][0].hu)[None].float())
    assert all(0.05 < float((one > 0).float().mean()) < 0.95 for one in maps)


@pytest.mark.parametrize("name", ["vgg16", "narrow"])
def test_the_nearest_lesion_is_mostly_one_of_the_same_patient(vgg16, mini, name):
    patients, patches = mini
    feature = initial_features(patches, vgg16 if name == "vgg16" else load_narrow())
    cosines = feature @ feature.T
    np.fill_diagonal(cosines, -1)
    nearest = np.array(patients)[cosines.argmax(1)]
    assert np.mean(nearest == np.array(patients)) > 0.7


def test_the_small_trunks_rank_pairs_as_their_teacher_does(vgg16, mini):
    pairs = np.triu_indices(len(mini[1]), 1)
    theirs, narrow, compact = (
        initial_features(mini[1], trunk) for trunk in (vgg16, load_narrow(), load_compact())
    )
    ranks = [
        spearmanr((ours @ ours.T)[pairs], (theirs @ theirs.T)[pairs]).statistic for ours in (narrow, compact)
    ]
    assert min(ranks) > 0.8
    assert ranks[1] > ranks[0]
