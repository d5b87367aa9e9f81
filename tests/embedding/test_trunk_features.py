import numpy as np
import pytest
import torch

from lesiongraph.embedding import (
    NARROW,
    initial_features,
    initial_from_maps,
    load_compact,
    load_narrow,
    map_shapes,
    pooled_maps,
)
from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox


@pytest.fixture(scope="module")
def patches(make_patch):
    rng = np.random.default_rng(0)
    return [make_patch(*rng.integers(40, 90, 2), seed=seed) for seed in range(12)]


def test_maps_do_not_depend_on_the_company_a_patch_keeps(random_trunk, patches):
    together = pooled_maps(patches, random_trunk)
    for row in (0, 5, 11):
        alone = pooled_maps([patches[row]], random_trunk)
        for both, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(both[row], one[0], rtol=3e-3, atol=0.05)


def test_out_arrays_are_filled_from_a_stream(random_trunk, patches, tmp_path):
    shapes = map_shapes(random_trunk, len(patches))
    out = [
        np.lib.format.open_memmap(tmp_path / f"{i}.npy", "w+", np.float16, shape)
        for i, shape in enumerate(shapes)
    ]
    seen = []
    pooled_maps(iter(patches), random_trunk, out=out, progress=lambda done, total: seen.append((done, total)))
    for filled, wanted in zip(out, pooled_maps(patches, random_trunk), strict=True):
        np.testing.assert_array_equal(filled, wanted)
    assert seen == [(12, 0)]


@pytest.mark.parametrize("rows", [11, 13])
def test_out_arrays_of_another_length_are_refused(random_trunk, patches, rows):
    out = [np.zeros(shape, np.float16) for shape in map_shapes(random_trunk, rows)]
    with pytest.raises(ValueError, match="rows"):
        pooled_maps(patches, random_trunk, out=out)


def test_no_patch_gives_empty_arrays(random_trunk):
    assert [array.shape for array in pooled_maps([], random_trunk)] == map_shapes(random_trunk, 0)
    assert initial_features([], random_trunk).shape == (0, sum(NARROW.channels))


def test_the_initial_feature_is_the_pooling_at_one_by_one(random_trunk, patches):
    direct = initial_features(patches, random_trunk)
    np.testing.assert_allclose(initial_from_maps(pooled_maps(patches, random_trunk)), direct, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(direct, axis=1), 1, atol=1e-5)


def test_each_scale_weighs_the_same(random_trunk, patches):
    feature = initial_features(patches, random_trunk)
    for scale in np.split(feature, np.cumsum(NARROW.channels)[:-1], axis=1):
        np.testing.assert_allclose(np.linalg.norm(scale, axis=1), 0.5, atol=1e-5)


def test_detail_comes_from_the_box_and_context_from_the_patch(random_trunk, make_patch):
    here = make_patch(96, 96, BoundingBox(8, 8, 30, 30))
    there = Patch(here.hu, BoundingBox(60, 60, 85, 85))
    a, b = (pooled_maps([patch], random_trunk) for patch in (here, there))
    assert all((a[scale] != b[scale]).any() for scale in range(3))
    np.testing.assert_array_equal(a[3], b[3])


def test_more_patches_than_are_held_at_once_keep_their_order(random_trunk, make_patch, monkeypatch):
    monkeypatch.setattr("lesiongraph.embedding.features.PATCHES_AHEAD", 4)
    many = [make_patch(20 + 7 * (seed % 5), 24 + 5 * (seed % 7), seed=seed) for seed in range(11)]
    found = pooled_maps(many, random_trunk)
    for row, patch in enumerate(many):
        np.testing.assert_allclose(
            found[0][row], pooled_maps([patch], random_trunk)[0][0], rtol=3e-3, atol=0.05
        )


@pytest.mark.parametrize("load", [load_narrow, load_compact])
def test_the_packaged_trunks_tell_tissues_apart(load):
    """The same nodule with other noise is nearer than one of the same size in other tissue."""
    rows, columns = np.mgrid[:110, :110]
    rng = np.random.default_rng(0)

    def nodule(background_hu: float) -> Patch:
        radius = 9
        disc = np.hypot(rows - 55, columns - 55) < radius
        hu = np.where(disc, 40, background_hu) + rng.normal(0, 15, (3, 110, 110))
        return Patch(hu.astype(np.int16), BoundingBox(50 - radius, 50 - radius, 60 + radius, 60 + radius))

    feature = initial_features([nodule(hu) for hu in (-850, -840, -100, -90)], load())
    distance = np.linalg.norm(feature[:, None] - feature[None], axis=2)
    assert distance[0, 1] < 0.7 * distance[0, 2]
    assert distance[2, 3] < 0.7 * distance[2, 0]


@pytest.mark.parametrize("load", [load_narrow, load_compact])
def test_float16_is_enough_for_the_packaged_trunks(make_patch, load):
    trunk = load()
    extreme = Patch(np.full((3, 64, 64), 3071, np.int16), BoundingBox(10, 10, 50, 50))
    checker = extreme.hu.copy()
    checker[:, ::2, ::2] = -1024
    with torch.inference_mode():
        for patch in (extreme, Patch(checker, extreme.box), make_patch(64, 64)):
            assert max(float(array.max()) for array in pooled_maps([patch], trunk)) < 20_000
