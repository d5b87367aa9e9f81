import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lesiongraph.embedding import (
    CachedLesions,
    ExternalTrunk,
    InputContract,
    embed,
    initial_features,
    is_external,
    load_external,
    map_shapes,
    pooled_maps,
    train_embedder,
)
from lesiongraph.errors import UsageError, WeightsError
from lesiongraph.recipe import DEMO, override

SIDE = 64
DINO_LIKE = {"layout": "slices", "side_px": SIDE, "window_hu": [-1000, 1000]}
CT_LIKE = {
    "layout": "volume", "side_px": SIDE, "depth": 5, "window_hu": [-1024, 2048], "mean": [0], "std": [1],
    "batched": False,
}  # fmt: skip


ENTRY_POINT = f"""
import torch
from torch import nn
from lesiongraph.embedding import ExternalTrunk, InputContract

def trunk():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Dropout(), nn.Conv2d(3, 5, 8, stride=8))
    return ExternalTrunk(network, InputContract(side_px={SIDE}), name="mine", origin="a test")
"""


class Tokens(nn.Module):
    """A class token and 8 × 8 patch tokens, as vision transformers give."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 8, stride=8)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        everything = tokens.mean(1, keepdim=True)
        return everything[:, 0], torch.cat([everything, tokens], dim=1)


class Cube(nn.Module):
    """A map of a volume, as 3-D networks give."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 3, stride=(1, 4, 4), padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def seeded(network: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return network().eval()


def exported(folder, network: nn.Module, contract: dict, *, batched: bool):
    path = folder / "net.pt2"
    shape = (3, SIDE, SIDE) if contract["layout"] == "slices" else (1, contract["depth"], SIDE, SIDE)
    dynamic = ({0: torch.export.Dim("batch", min=1, max=64)},) if batched else None
    program = torch.export.export(
        network, (torch.zeros(2 if batched else 1, *shape),), dynamic_shapes=dynamic
    )
    torch.export.save(program, path, extra_files={"lesiongraph.json": json.dumps(contract)})
    return path


@pytest.fixture(scope="module")
def patches(make_patch):
    return [make_patch(40 + 3 * (i % 4), 50 - 2 * i, seed=i) for i in range(6)]


def test_an_exported_transformer(tmp_path, patches):
    network = seeded(Tokens)
    trunk = load_external(str(exported(tmp_path, network, DINO_LIKE, batched=True)))
    assert [(scale.name, scale.channels, scale.stride, scale.whole) for scale in trunk.variant.scales] == [
        ("vector 0", 6, SIDE, True),
        ("map 1, box", 6, 8, False),
        ("map 1, patch", 6, 8, True),
    ]
    found = pooled_maps(patches, trunk, roi_size=1)
    patch = patches[2]
    height, width = patch.hu.shape[1:]
    canvas = np.full((3, SIDE, SIDE), -1000.0)
    canvas[:, :height, :width] = patch.hu.clip(-1000, 1000)
    mean, std = (np.array(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = torch.from_numpy(((canvas + 1000) / 2000 - mean) / std).float()[None]
    with torch.inference_mode():
        vector, tokens = network(x)
    cells = tokens[0, 1:].T.reshape(6, 8, 8)
    np.testing.assert_allclose(found[0][2, :, 0, 0], vector[0], atol=2e-3)
    x0, y0, x1, y1 = (int(c / 8 + 0.5) for c in (patch.box.x0, patch.box.y0, patch.box.x1, patch.box.y1))
    in_box = cells[:, y0 : min(y1, height // 8 - 1) + 1, x0 : min(x1, width // 8 - 1) + 1].amax((1, 2))
    np.testing.assert_allclose(found[1][2, :, 0, 0], in_box, atol=2e-3)
    whole = cells[:, : height // 8, : width // 8].amax((1, 2))
    np.testing.assert_allclose(found[2][2, :, 0, 0], whole, atol=2e-3)


def test_a_torchscript_volume_network_with_its_contract_beside_it(tmp_path, patches):
    network = seeded(Cube)
    path = tmp_path / "net.pt"
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.trace"):  # torch would rather export
        torch.jit.trace(network, torch.zeros(1, 1, 5, SIDE, SIDE)).save(str(path))
    (tmp_path / "net.pt.json").write_text(json.dumps(CT_LIKE))
    trunk = load_external(str(path))
    assert map_shapes(trunk, 2, 3) == [(2, 4, 3, 3)] * 2
    x = trunk.contract.prepare(torch.from_numpy(patches[0].hu[None].astype(np.float32)))
    assert x.shape == (1, 1, 5, SIDE, SIDE)
    # slices 0, 0, 1, 2, 2 of the patch: the outermost are repeated
    assert torch.equal(x[0, 0, 0], x[0, 0, 1])
    assert torch.equal(x[0, 0, 3], x[0, 0, 4])
    assert not torch.equal(x[0, 0, 1], x[0, 0, 2])
    with torch.inference_mode():
        wanted = network(x)[0].amax(1)
    row = pooled_maps(patches[:1], trunk, roi_size=1)
    height, width = patches[0].hu.shape[1:]
    np.testing.assert_allclose(
        row[1][0, :, 0, 0], wanted[:, : height // 4, : width // 4].amax((1, 2)), rtol=1e-3, atol=2e-3
    )


@pytest.mark.parametrize("pool", ["roi_pool", "roi_align"])
def test_an_embedder_learns_on_an_entry_point(tmp_path, monkeypatch, patches, pool):
    (tmp_path / "my_networks.py").write_text(ENTRY_POINT)
    monkeypatch.syspath_prepend(tmp_path)
    trunk = load_external("my_networks:trunk")
    monkeypatch.delitem(sys.modules, "my_networks")
    assert len(trunk.sha256) == 64
    feature = initial_features(patches, trunk)
    np.testing.assert_array_equal(feature, initial_features(patches, trunk))  # no dropout
    assert feature.shape == (6, 10)
    recipe = override(
        DEMO, {"embedding.steps": "2", "sequences_per_batch": "2", "embedding.pool": pool}
    ).embedding
    inputs = CachedLesions(pooled_maps(patches, trunk, pool=pool))

    class AnySequence:
        def sample(self, n, rng):
            return rng.integers(0, 6, (n, 5))

    model = train_embedder(inputs, AnySequence(), trunk, recipe)
    assert embed(model, inputs).shape == (6, recipe.embedding_width)
    assert model.describe()["trunk"] == "mine"


def test_an_external_trunk_does_not_learn(patches):
    trunk = ExternalTrunk(seeded(Tokens), InputContract.of(DINO_LIKE, "x"), name="x", origin="x")
    recipe = override(DEMO, {"train_trunk": "true"}).embedding
    with pytest.raises(UsageError, match="stay frozen"):
        train_embedder(CachedLesions(pooled_maps(patches, trunk)), None, trunk, recipe)


def test_the_features_of_another_contract_are_others():
    network = seeded(Tokens)
    one, other = (
        ExternalTrunk(network, InputContract.of({**DINO_LIKE, **changed}, "x"), name="x", origin="x").sha256
        for changed in ({}, {"window_hu": [-160, 240]})
    )
    assert one != other


@pytest.mark.parametrize(
    ("network", "contract", "message"),
    [
        (nn.Conv2d(1, 2, 8, stride=8), {}, r"takes \(1, 3, 64, 64\)"),  # three slices do not fit one channel
        (nn.Conv2d(3, 2, 10, stride=9), {}, "maps that divide 64 px"),
        (nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten(0)), {}, "maps, tokens or vectors"),
        (torch.nn.functional.relu, {}, "or a sha256"),
        (nn.Identity(), {"colour": 1}, "found colour"),
        (nn.Identity(), {"window_hu": [5, 5]}, "window_hu"),
        (nn.Identity(), {"mean": [1, 2]}, "1 or 3 numbers"),
        (nn.Identity(), {"std": [0]}, "positive std"),
        (nn.Identity(), {"layout": "colour"}, "slices or volume"),
    ],
)
def test_what_breaks_the_contract_is_refused(network, contract, message):
    def wrap() -> ExternalTrunk:
        return ExternalTrunk(network, InputContract.of({**DINO_LIKE, **contract}, "x"), name="x", origin="x")

    with pytest.raises(WeightsError, match=message):
        wrap()


def test_files_and_entry_points_that_are_none(tmp_path):
    (tmp_path / "empty.pt2").write_bytes(b"")
    path = exported(tmp_path, seeded(Tokens), DINO_LIKE, batched=True)
    program = torch.export.load(path)
    torch.export.save(program, tmp_path / "bare.pt2")
    (tmp_path / "bad.pt2").write_bytes((tmp_path / "bare.pt2").read_bytes())
    (tmp_path / "bad.pt2.json").write_text("{")
    for name, message in (
        ("absent.pt2", "no such file"), ("empty.pt2", "torch.export"), ("bare.pt2", "input contract"),
        ("bad.pt2", "in JSON"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=message):
            load_external(str(tmp_path / name))
    for name in ("no_such_module:trunk", "json:trunk", ":trunk"):
        with pytest.raises(UsageError, match="module:function"):
            load_external(name)
    with pytest.raises(WeightsError, match="such as ExternalTrunk"):
        load_external("collections:OrderedDict")


def test_a_patch_larger_than_the_network_takes(make_patch):
    contract = InputContract.of(DINO_LIKE, "x")
    with pytest.raises(ValueError, match="do not fit side_px 64"):
        contract.prepare(torch.zeros(1, 3, 80, 40))


@pytest.mark.parametrize(
    ("name", "external"), [("vgg16", False), ("compact", False), ("a/b.pt2", True), ("mod:make", True)]
)
def test_names_of_external_trunks(name, external):
    assert is_external(name) is external
