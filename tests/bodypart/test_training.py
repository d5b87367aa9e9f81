import dataclasses

import numpy as np
import pytest
import torch

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    PAPER_DESIGN,
    SsbrModel,
    TrainingVolume,
    train_ssbr,
    training_volumes,
    volume_correlations,
)
from lesiongraph.bodypart.augment import augmented, random_crop
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.recipe import SsbrRecipe

SMALL = SsbrRecipe(volumes_per_batch=2, slices_per_volume=4)
FEW = dataclasses.replace(COMPACT_DESIGN, volumes_per_batch=4)


def toy_volume(seed, n=24):
    """A disc whose bright core grows from head to foot."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(rows - 64 + rng.normal(0, 3), columns - 64 + rng.normal(0, 3))
    slices = np.zeros((n, 128, 128), np.uint8)
    slices[:, radius < 56] = 90
    for i in range(n):
        slices[i][radius < 6 + 44 * i / n] = 200
    return TrainingVolume(slices, 10.0, f"toy {seed}")


def small_volume(seed):
    """The same at a quarter of the size: the networks take any size."""
    toy = toy_volume(seed, n=8)
    return dataclasses.replace(toy, slices=np.ascontiguousarray(toy.slices[:, ::4, ::4]))


def test_training_learns_the_order_of_a_volume_it_never_saw():
    volumes = [toy_volume(seed) for seed in range(4)]
    seen = []
    model = train_ssbr(
        volumes, SsbrRecipe(), 3, steps=6, design=FEW, progress=lambda *step: seen.append(step)
    )
    assert [step for step, _, _ in seen] == list(range(1, 13))
    assert {total for _, total, _ in seen} == {12}
    assert volume_correlations(model.network, [toy_volume(9)])[0] > 0.9
    assert model.score_per_mm > 0
    z = model.to_z(model.score(volumes[0].slices))
    assert z.max() - z.min() > 0.5


def test_the_same_seed_gives_the_same_weights():
    volumes = [small_volume(seed) for seed in range(4)]
    first, second, other = (train_ssbr(volumes, SMALL, seed, steps=2, design=FEW) for seed in (1, 1, 2))
    assert first.sha256 == second.sha256 != other.sha256


def test_the_papers_design_trains():
    volumes = [small_volume(seed) for seed in range(4)]
    model = train_ssbr(volumes, SMALL, 0, steps=1, design=PAPER_DESIGN)
    assert isinstance(model, SsbrModel)
    assert model.network.name == "paper"
    assert model.slice_mode == "frame"


def test_too_few_volumes_are_refused_with_numbers():
    volumes = [toy_volume(0), toy_volume(1), toy_volume(2), toy_volume(3, n=7)]
    with pytest.raises(NotEnoughDataError, match=r"4 volumes of at least 8 slices, found 3"):
        train_ssbr(volumes, SsbrRecipe(), 0, steps=1)


def test_crops_keep_a_third_of_the_intensity():
    rng = np.random.default_rng(0)
    row = torch.from_numpy(toy_volume(0).slices[:8]).float()
    total = float(row.sum())
    drawn = [random_crop(row, 1 / 3, rng) for _ in range(200)]
    for x0, y0, x1, y1 in drawn:
        part = row[:, int(y0 * 128) : int(y1 * 128), int(x0 * 128) : int(x1 * 128)]
        assert float(part.sum()) >= total / 3
    assert sum(crop != (0.0, 0.0, 1.0, 1.0) for crop in drawn) > 150


def test_augmentation_keeps_shape_range_and_black():
    rng = np.random.default_rng(0)
    batch = torch.from_numpy(np.stack([toy_volume(seed).slices[:8] for seed in range(4)])).float()
    changed = augmented(batch, 1 / 3, True, rng)
    assert changed.shape == batch.shape
    assert float(changed.min()) >= 0
    assert float(changed.max()) <= 255
    assert not torch.equal(changed, batch)
    assert float(augmented(torch.zeros_like(batch), 1 / 3, True, rng).abs().max()) == 0


def numbered(n):
    return np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)


def test_an_even_series_is_one_volume():
    (volume,) = training_volumes(numbered(20), np.arange(20) * 2.5, "even")
    assert (len(volume.slices), volume.interval_mm) == (20, 2.5)


def test_pieces_become_volumes_of_their_own():
    position = np.concatenate([np.arange(10) * 5.0, 200 + np.arange(6) * 5.0])
    first, second = training_volumes(numbered(16), position, "pieces")
    assert first.slices[:, 0, 0].tolist() == list(range(10))
    assert second.slices[:, 0, 0].tolist() == list(range(10, 16))


def test_uneven_thinning_is_made_even():
    position = np.array([0.0, 10, 20, 25, 30, 35, 40, 50, 60])
    (volume,) = training_volumes(numbered(9), position, "thinned")
    assert volume.interval_mm == 10
    assert volume.slices[:, 0, 0].tolist() == [0, 1, 2, 4, 6, 7, 8]


def test_unknown_positions_leave_the_interval_unknown():
    (volume,) = training_volumes(numbered(3), np.array([0, np.nan, 2]), "unknown")
    assert np.isnan(volume.interval_mm)
    assert len(volume.slices) == 3


def test_volumes_without_a_known_interval_still_train():
    volumes = [dataclasses.replace(small_volume(seed), interval_mm=float("nan")) for seed in range(4)]
    model = train_ssbr(volumes, SMALL, 0, steps=1, design=FEW)
    assert np.isnan(model.score_per_mm)
