"""Training volumes: in order from head to foot, varied, with landmarks where they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lesiongraph.phantom import TrainingPhantom, sample_training_volume


@pytest.fixture(scope="module")
def volumes() -> list[TrainingPhantom]:
    return [sample_training_volume(np.random.default_rng(seed), 96) for seed in range(6)]


def test_volumes_run_from_head_to_foot(volumes: list[TrainingPhantom]) -> None:
    for volume in volumes:
        assert volume.hu.dtype == np.int16
        assert volume.hu.shape == (len(volume.z01), 96, 96)
        assert np.all(np.diff(volume.z01) > 0)
        assert volume.interval_mm > 0
        assert volume.pixel_mm > 0
    assert len({float(volume.z01[0]) for volume in volumes}) == len(volumes)


def test_one_random_state_gives_one_volume(volumes: list[TrainingPhantom]) -> None:
    again = sample_training_volume(np.random.default_rng(3), 96)
    np.testing.assert_array_equal(again.hu, volumes[3].hu)
    assert again.landmarks == volumes[3].landmarks


def test_landmarks_lie_within_the_scan(volumes: list[TrainingPhantom]) -> None:
    for volume in volumes:
        assert all(0 <= at <= len(volume.hu) - 1 for at in volume.landmarks.values())
