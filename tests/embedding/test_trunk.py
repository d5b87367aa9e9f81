import numpy as np
import pytest
import torch
from torch.nn import functional

from lesiongraph.embedding import MAP_NAMES, NARROW, VGG16, Trunk
from lesiongraph.embedding.trunk import MAP_STRIDES, map_extents
from lesiongraph.imaging import window_to_255
from lesiongraph.recipe import ImagingRecipe


def test_parameter_names_are_torchvision_s():
    convs = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    with torch.device("meta"):
        names = set(Trunk(VGG16).state_dict())
    assert names == {f"features.{n}.{part}" for n in convs for part in ("weight", "bias")}


def test_channels_add_up_to_the_paper_s_1408():
    assert sum(VGG16.channels) == 1408
    assert VGG16.channels == (128, 256, 512, 512)
    assert len(MAP_NAMES) == len(NARROW.channels) == 4


@pytest.mark.parametrize("shape", [(64, 96), (101, 77), (16, 16)])
def test_map_sizes_follow_the_strides(random_trunk, shape):
    maps = random_trunk(torch.zeros(1, 3, *shape))
    for cells, stride, channels in zip(maps, MAP_STRIDES, NARROW.channels, strict=True):
        assert cells.shape == (1, channels, shape[0] // stride, shape[1] // stride)


def test_maps_equal_a_plain_stack_of_convolutions(random_trunk):
    hu = torch.randint(-1500, 3500, (2, 3, 50, 38), generator=torch.Generator().manual_seed(0)).float()
    layers = iter(sorted({int(n.split(".")[1]) for n in random_trunk.state_dict()}))
    x = random_trunk.prepare(hu)
    expected = []
    for convs in (2, 2, 3, 3, 3):
        if expected or convs != 2 or x.shape[1] != 3:
            x = functional.max_pool2d(x, 2)
        for _ in range(convs):
            layer = random_trunk.features[next(layers)]
            x = functional.conv2d(x, layer.weight, layer.bias, padding=1).clamp(min=0)
        expected.append(x)
    for found, wanted in zip(random_trunk(hu), expected[1:], strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-3)


def test_preprocessing_is_imaging_s_window_minus_the_imagenet_mean(random_trunk):
    hu = np.arange(-2000, 4000, 125).repeat(3).reshape(1, 3, -1, 1).astype(np.float32)
    expected = window_to_255(hu) - np.array([123.68, 116.779, 103.939]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(random_trunk.prepare(torch.from_numpy(hu)), expected, atol=1e-3)
    recipe = ImagingRecipe()
    assert random_trunk.window_hu == (recipe.window_low_hu, recipe.window_high_hu)


def test_a_padded_patch_has_the_features_it_has_alone(random_trunk):
    rng = torch.Generator().manual_seed(0)
    small = torch.randint(-1000, 1000, (1, 3, 45, 71), generator=rng).float()
    batch = torch.randint(-1000, 1000, (2, 3, 64, 80), generator=rng).float()  # rubbish where padding is
    batch[0, :, :45, :71] = small[0]
    together = random_trunk(batch, torch.tensor([[45, 71], [64, 80]]))
    for one, both, stride in zip(random_trunk(small), together, MAP_STRIDES, strict=True):
        height, width = map_extents(torch.tensor([[45, 71]]), stride)[0].tolist()
        torch.testing.assert_close(both[:1, :, :height, :width], one, rtol=1e-4, atol=1e-2)
        assert not both[0, :, height:].any()
        assert not both[0, :, :, width:].any()


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (1, 3, 15, 64), (3, 64, 64)])
def test_other_input_is_refused(random_trunk, shape):
    with pytest.raises(ValueError, match="expected patches"):
        random_trunk(torch.zeros(shape))
