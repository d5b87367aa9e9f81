"""Fig. 4 against a slow loop: FC and L2 a scale, concatenation, FC and L2; and the paper's widths."""

import math

import pytest
import torch

from lesiongraph.embedding import VGG16, LesionEmbedder
from lesiongraph.recipe import EmbeddingRecipe


def slow_head(head: LesionEmbedder, maps: list[torch.Tensor], row: int) -> list[float]:
    """Embed one lesion with loops over plain numbers."""

    def fc(layer, values):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(weights, values, strict=True)) + bias for weights, bias in rows]

    def l2(values):
        length = math.sqrt(sum(v * v for v in values))
        return [v / length for v in values]

    joined = []
    for layer, one in zip(head.scale_fcs, maps, strict=True):
        joined += l2(fc(layer, one[row].flatten().tolist()))
    return l2(fc(head.joint_fc, joined))


def test_equals_the_slow_loop():
    torch.manual_seed(0)
    head = LesionEmbedder((2, 3, 4, 4), roi_size=2, fc_width=3, embedding_width=6).double()
    maps = [torch.rand(5, channels, 2, 2, dtype=torch.float64) for channels in head.channels]
    found = head(maps)
    for row in range(5):
        assert found[row].tolist() == pytest.approx(slow_head(head, maps, row), abs=1e-12)


def test_the_paper_s_widths():
    recipe = EmbeddingRecipe()
    with torch.device("meta"):
        head = LesionEmbedder.from_recipe(VGG16.channels, recipe)
    assert [fc.in_features for fc in head.scale_fcs] == [25 * c for c in (128, 256, 512, 512)]
    assert head.joint_fc.out_features == 1024
    assert head.joint_fc.in_features == 4 * recipe.fc_width


def test_maps_of_another_trunk_are_refused():
    head = LesionEmbedder((2, 3, 4, 4), roi_size=2, fc_width=3, embedding_width=6)
    with pytest.raises(ValueError, match="another trunk or ROI size"):
        head([torch.zeros(1, channels, 2, 2) for channels in (2, 3, 4, 5)])


def test_a_head_of_fewer_maps_reads_only_those():
    torch.manual_seed(0)
    recipe = EmbeddingRecipe(maps=("conv4", "conv5"), roi_size=2, fc_width=3, embedding_width=6)
    head = LesionEmbedder.from_recipe((2, 3, 4, 5), recipe).double()
    assert [fc.in_features for fc in head.scale_fcs] == [4 * 4, 4 * 5]
    assert head.joint_fc.in_features == 2 * 3
    maps = [torch.rand(5, channels, 2, 2, dtype=torch.float64) for channels in head.channels]
    found = head(maps)
    for row in range(5):
        assert found[row].tolist() == pytest.approx(slow_head(head, maps[2:], row), abs=1e-12)
    others = [torch.rand_like(maps[0]), torch.rand_like(maps[1]), *maps[2:]]
    assert torch.equal(head(others), found)
