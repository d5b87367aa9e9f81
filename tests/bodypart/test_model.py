import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from lesiongraph.bodypart import SsbrModel, ZMap, parameter_count, seeded_network
from lesiongraph.bodypart.network import feature_width
from lesiongraph.errors import WeightsError


def some_slices(n=5, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (n, 128, 128), dtype=np.uint8)


def small_model():
    return SsbrModel(
        seeded_network("compact", 3), ZMap(0.1, 0.3), score_per_mm=0.01, notes={"volumes": "2"}, name="mine"
    )


@given(st.floats(0.01, 5), st.floats(-3, 3), st.floats(-50, 50), st.floats(1e-3, 100))
def test_z_rises_strictly_and_stays_inside_0_and_1(slope, offset, score, step):
    low, high = ZMap(slope, offset)([score, score + step])
    assert 0 < low < high < 1


def test_z_is_the_line_inside_and_smooth_at_its_ends():
    z_map = ZMap(1.0, 0.0, tail=0.05)
    assert z_map([0.05, 0.5, 0.95]).tolist() == pytest.approx([0.05, 0.5, 0.95])
    for end in (0.05, 0.95):
        left, middle, right = z_map([end - 1e-6, end, end + 1e-6])
        assert right - middle == pytest.approx(middle - left, rel=1e-3)


def test_a_map_over_the_trained_range_reaches_its_ends():
    z_map = ZMap.spanning(-2.0, 6.0)
    assert z_map([-2.0, 6.0]).tolist() == pytest.approx([0.05, 0.95])
    with pytest.raises(ValueError, match="slope > 0"):
        ZMap(-1.0, 0.0)


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_a_slice_scores_the_same_alone_as_in_company(name):
    network = seeded_network(name, 0).eval()
    slices = torch.from_numpy(some_slices(3))[:, None].float()
    with torch.inference_mode():
        together = network(slices)
        alone = torch.cat([network(one[None]) for one in slices])
    assert together.shape == (3,)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_the_papers_network_is_vgg_16_with_four_pools():
    network = seeded_network("paper", 0)
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 14  # 13 of VGG-16 and the 1 x 1
    assert network.features(torch.zeros(1, 1, 128, 128)).shape == (1, 512, 8, 8)
    assert parameter_count(network) > 14_000_000


def test_the_compact_network_is_a_quarter_as_wide_and_its_score_the_heads_mean():
    network = seeded_network("compact", 0).eval()
    convolutions = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [16] * 2 + [32] * 2 + [64] * 3 + [128] * 6
    slices = torch.from_numpy(some_slices(3))[:, None].float()
    with torch.inference_mode():
        torch.testing.assert_close(network(slices), network.heads(slices).mean(dim=0))
        assert network.encode(slices).shape == (3, feature_width())


def test_there_is_no_other_network():
    with pytest.raises(ValueError, match="'compact' or 'paper', got 'large'"):
        seeded_network("large", 0)


def test_the_start_depends_on_the_seed_alone_and_leaves_torch_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, second = seeded_network("compact", 5), seeded_network("compact", 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.committee.weight, second.committee.weight)
    assert not torch.equal(first.committee.weight, seeded_network("compact", 6).committee.weight)


def test_saving_and_loading_changes_nothing(tmp_path):
    model = small_model()
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = SsbrModel.load(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256 == again.sha256
    assert (again.name, again.notes, again.score_per_mm) == ("mine", {"volumes": "2"}, 0.01)
    assert again.z_map == model.z_map
    assert again.score(some_slices()).tolist() == model.score(some_slices()).tolist()


def test_the_packaged_model_loads_and_ranks():
    model = SsbrModel.load()
    assert len(model.sha256) == 64
    assert np.isfinite(model.score(some_slices())).all()
    z = model.to_z(np.linspace(-10, 15, 200))
    assert (np.diff(z) > 0).all()


def test_scores_of_no_slice_are_none_and_other_arrays_are_refused():
    model = small_model()
    assert model.score(some_slices(0)).shape == (0,)
    with pytest.raises(ValueError, match="uint8"):
        model.score(np.zeros((2, 128, 128), np.float32))


def test_files_that_are_no_model_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(WeightsError, match="no such file"):
        SsbrModel.load(path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="damaged"):
        SsbrModel.load(path)
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="no entry"):
        SsbrModel.load(path)
