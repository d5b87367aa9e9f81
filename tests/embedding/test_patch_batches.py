import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.embedding.batching import MAX_PADDING, plan_batches, stack_patches
from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=60))
def test_each_patch_is_in_one_batch_within_both_limits(sizes):
    extents = np.array(sizes)
    batches = plan_batches(extents, batch_px=150_000)
    assert sorted(np.concatenate(batches)) == list(range(len(sizes)))
    for batch in batches:
        padded = len(batch) * extents[batch].max(0).prod()
        assert padded - extents[batch].prod(1).sum() <= MAX_PADDING * padded
        assert len(batch) == 1 or padded <= 150_000


def test_lesion_like_sizes_make_full_batches():
    extents = np.random.default_rng(0).integers(110, 200, (256, 2))
    batches = plan_batches(extents, batch_px=200_000)
    assert np.mean([len(batch) for batch in batches]) > 4


def test_patches_lie_at_the_upper_left_and_keep_their_extent():
    small = Patch(np.full((3, 9, 20), 7, np.int16), BoundingBox(1, 2, 3, 4))
    large = Patch(np.full((3, 30, 18), -5, np.int16), BoundingBox(5, 6, 7, 8))
    batch = stack_patches([small, large], torch.device("cpu"))
    assert batch.hu.shape == (2, 3, 30, 20)
    assert batch.extents.tolist() == [[9, 20], [30, 18]]
    assert batch.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert (batch.hu[0, :, :9, :20] == 7).all()
    assert not batch.hu[0, :, 9:].any()


def test_a_tiny_patch_is_padded_to_the_smallest_the_trunk_takes():
    batch = stack_patches([Patch(np.ones((3, 4, 5), np.int16), BoundingBox(0, 0, 4, 3))], torch.device("cpu"))
    assert batch.hu.shape == (1, 3, 16, 16)


@pytest.mark.parametrize("shape", [(1, 40, 40), (40, 40), (3, 0, 40)])
def test_a_patch_of_another_shape_is_refused(shape):
    patch = Patch(np.zeros(shape, np.int16), BoundingBox(0, 0, 4, 3))
    with pytest.raises(ValueError, match="three context slices"):
        stack_patches([patch], torch.device("cpu"))
