import numpy as np
import pytest
import torch
from torch.nn import functional

from lesiongraph.embedding import COMPACT, MAP_NAMES, NARROW, VGG16, Trunk, TrunkVariant
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


def test_multiply_adds_are_those_of_the_layers():
    variant = TrunkVariant("tiny", (1, 2, 3, 4, 5))
    trunk, seen = Trunk(variant), []
    for layer in trunk.features:
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(
                lambda conv, _given, out: seen.append(conv.weight.numel() * out.shape[2] * out.shape[3])
            )
    trunk(torch.zeros(1, 3, 64, 48))
    assert variant.multiply_adds(64, 48) == sum(seen)


def test_the_compact_trunk_keeps_to_its_eighth():
    assert COMPACT.multiply_adds(160, 160) * 8 <= VGG16.multiply_adds(160, 160)


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


def test_bfloat16_only_where_nothing_is_learnt(random_trunk, monkeypatch):
    monkeypatch.setattr("lesiongraph.embedding.precision.multiplies_bfloat16", lambda: True)
    hu = torch.randint(-1000, 500, (1, 3, 48, 64), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        exact = random_trunk(hu)
    with torch.inference_mode():
        fast = random_trunk(hu)
    assert {one.dtype for one in exact} == {torch.float32}
    assert {one.dtype for one in fast} == {torch.bfloat16}
    for one, other in zip(exact, fast, strict=True):
        assert float(functional.cosine_similarity(one.flatten(), other.float().flatten(), dim=0)) > 0.999


def test_float32_where_the_processor_does_not_multiply_bfloat16(random_trunk, monkeypatch):
    monkeypatch.setattr("lesiongraph.embedding.precision.multiplies_bfloat16", lambda: False)
    with torch.inference_mode():
        assert random_trunk(torch.zeros(1, 3, 32, 32))[0].dtype == torch.float32


@pytest.mark.parametrize("learning", [True, False])
def test_padding_is_blanked_alike_in_place_and_not(random_trunk, monkeypatch, learning):
    monkeypatch.setattr("lesiongraph.embedding.precision.multiplies_bfloat16", lambda: False)
    rng = torch.Generator().manual_seed(0)
    batch = torch.randint(-1000, 1000, (3, 3, 64, 80), generator=rng).float()
    extents = torch.tensor([[45, 71], [64, 50], [50, 80]])
    with torch.set_grad_enabled(learning):
        together = random_trunk(batch, extents)
    for row, (height, width) in enumerate(extents.tolist()):
        alone = random_trunk(batch[row : row + 1, :, :height, :width])
        for both, one in zip(together, alone, strict=True):
            found = both[row : row + 1, :, : one.shape[2], : one.shape[3]]
            torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-2)
