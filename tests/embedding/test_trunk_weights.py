import pytest
import torch
from safetensors.torch import save_file

from lesiongraph.embedding import (
    COMPACT,
    LESION,
    NARROW,
    VGG16,
    WEIGHTS_ENV,
    Trunk,
    load_compact,
    load_narrow,
    load_trunk,
    load_vgg16,
    packaged_trunk_info,
)
from lesiongraph.embedding import weights as weights_module
from lesiongraph.embedding.weights import CACHED_NAME, download_vgg16
from lesiongraph.errors import UsageError, WeightsError


@pytest.fixture(autouse=True)
def _no_weights_about(monkeypatch, tmp_path):
    monkeypatch.delenv(WEIGHTS_ENV, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def tiny(monkeypatch) -> dict[str, torch.Tensor]:
    """Make VGG-16 small for the test, and give it weights."""
    variant = type(VGG16)("vgg16", (2, 3, 4, 5, 6))
    monkeypatch.setattr(weights_module, "VGG16", variant)
    return Trunk(variant).state_dict()


def test_the_packaged_trunks_load_and_are_small():
    trunks = (load_narrow(), load_compact(), load_trunk("lesion"))
    assert tuple(trunk.variant for trunk in trunks) == (NARROW, COMPACT, LESION)
    assert packaged_trunk_info() == {f"trunk {trunk.variant.name}": trunk.sha256 for trunk in trunks}
    for name in ("narrow", "compact", "lesion"):
        with weights_module.resources.as_file(weights_module._packaged(name)) as file:
            assert file.stat().st_size <= 8_000_000


def test_without_weights_the_error_says_what_to_pass():
    with pytest.raises(WeightsError, match=f"{WEIGHTS_ENV}.*init='scratch'"):
        load_vgg16(download=False)


def test_scratch_only_when_asked_for_and_the_same_for_the_same_seed():
    one, same, other = (load_trunk("narrow", init="scratch", rng_seed=seed) for seed in (1, 1, 2))
    assert one.origin == "scratch"
    assert one.sha256 == ""
    assert torch.equal(one.features[0].weight, same.features[0].weight)
    assert not torch.equal(one.features[0].weight, other.features[0].weight)


def test_an_unknown_trunk_is_a_usage_error():
    with pytest.raises(UsageError, match="vgg16, narrow, compact"):
        load_trunk("resnet")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_by_path_or_environment(monkeypatch, tmp_path, suffix):
    state = tiny(monkeypatch)
    path = tmp_path / f"w.{suffix}"
    state |= {"classifier.0.weight": torch.full((2, 2), torch.nan)}  # torchvision's file has such
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    monkeypatch.setenv(WEIGHTS_ENV, str(path))
    for trunk in (load_vgg16(path), load_vgg16(download=False)):
        assert torch.equal(trunk.features[0].weight, state["features.0.weight"])
        assert len(trunk.sha256) == 64


def test_a_file_of_another_trunk_names_the_tensor(tmp_path):
    save_file(Trunk(NARROW).state_dict(), tmp_path / "narrow.safetensors")
    with pytest.raises(
        WeightsError, match=r"features\.0\.weight of shape \(64, 3, 3, 3\), found \(16, 3, 3, 3\)"
    ):
        load_vgg16(tmp_path / "narrow.safetensors")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_a_damaged_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError):
        load_vgg16(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        load_vgg16(tmp_path / "absent.safetensors")


def test_weights_that_are_not_finite_are_refused(monkeypatch, tmp_path):
    state = tiny(monkeypatch)
    state["features.0.bias"][0] = torch.nan
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"NaN in features\.0\.bias"):
        load_vgg16(tmp_path / "w.safetensors")


def test_the_download_keeps_only_the_convolutions_and_happens_once(monkeypatch, tmp_path):
    state = tiny(monkeypatch)
    asked = []

    def give(url, dst, hash_prefix, progress):
        asked.append((url, hash_prefix))
        torch.save(state | {"classifier.0.bias": torch.zeros(3)}, dst)

    monkeypatch.setattr(torch.hub, "download_url_to_file", give)
    for _ in range(2):
        assert torch.equal(load_vgg16().features[28].bias, state["features.28.bias"])
    folder = tmp_path / "cache" / "lesiongraph"
    assert [file.name for file in folder.iterdir()] == [CACHED_NAME]
    assert len(asked) == 1
    assert asked[0][1] in asked[0][0]  # the digest's head is part of the file's name


def test_a_download_that_fails_leaves_nothing(monkeypatch, tmp_path):
    def fail(url, dst, hash_prefix, progress):
        raise RuntimeError('invalid hash value (expected "88682ab5", got "0")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsError, match=r"invalid hash.*init='scratch'"):
        download_vgg16(tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


@pytest.mark.parametrize("load", [load_narrow, load_compact])
def test_the_packaged_trunks_are_not_random(load):
    """Distilled filters respond to a vertical edge in some channels and to a horizontal one in others."""
    trunk = load()
    edge = torch.full((1, 3, 32, 32), -900.0)
    edge[:, :, :, 16:] = 100
    maps = [trunk(image)[0][0, :, 4:12, 4:12].amax((1, 2)).detach() for image in (edge, edge.transpose(2, 3))]
    assert float((maps[0] - maps[1]).abs().max()) > 0.3 * float(torch.stack(maps).max())
