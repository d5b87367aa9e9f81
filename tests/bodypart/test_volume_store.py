"""Volumes kept in a file come back as they were and train the same."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesiongraph.bodypart import TrainingVolume, VolumeStore


def volume(rng, n, *, framed=True):
    return TrainingVolume(
        slices=rng.integers(0, 255, (n, 128, 128), dtype=np.uint8),
        interval_mm=float(rng.uniform(1, 9)),
        name=f"volume {n}",
        weight=2.0,
        frames=rng.integers(0, 255, (n, 192, 192), dtype=np.uint8) if framed else None,
        boxes=rng.uniform(0, 192, (n, 4)).astype(np.float32) if framed else None,
    )


@given(lengths=st.lists(st.integers(1, 5), max_size=5), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_volumes_come_back_as_they_were(tmp_path, lengths, seed):
    rng = np.random.default_rng(seed)
    store = VolumeStore(tmp_path / "volumes.u8")
    given_ones = [volume(rng, n, framed=n % 2 == 0) for n in lengths]
    for each in given_ones:
        store.add(each)
    for one, back in zip(given_ones, store.volumes(), strict=True):
        np.testing.assert_array_equal(back.slices, one.slices)
        assert (back.frames is None) == (one.frames is None)
        if one.frames is not None:
            np.testing.assert_array_equal(back.frames, one.frames)
            np.testing.assert_array_equal(back.boxes, one.boxes)
        assert (back.interval_mm, back.name, back.weight) == (one.interval_mm, one.name, one.weight)
    expected = sum(one.slices.nbytes + (0 if one.frames is None else one.frames.nbytes) for one in given_ones)
    assert (tmp_path / "volumes.u8").stat().st_size == expected


def test_pixels_stay_in_the_file_until_they_are_looked_at(tmp_path):
    store = VolumeStore(tmp_path / "volumes.u8")
    store.add(volume(np.random.default_rng(0), 4))
    (back,) = store.volumes()
    assert not back.slices.flags.owndata
    assert not back.frames.flags.owndata
    back.slices[3, 0, 0] = 255 - back.slices[3, 0, 0]
    assert store.volumes()[0].slices[3, 0, 0] != back.slices[3, 0, 0]  # the file keeps what was added
    part = back.chosen(np.array([2, 0]), 7.0)  # what a training step takes
    assert part.slices.flags.owndata
    np.testing.assert_array_equal(part.frames, back.frames[[2, 0]])
