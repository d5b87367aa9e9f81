"""The regressor's networks: a slice (128 x 128) gives one score.

`paper` is the paper's (Sec. 8.2 and the authors' code), trained from scratch. `compact` starts as a narrow
VGG-16 that has seen photographs: twenty CT volumes are too few to learn to see from, but enough to learn an
order from what is seen. Neither couples the slices of a batch: a slice scores the same alone as in company.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

NetworkName = Literal["compact", "paper"]

# VGG-16's convolutions with four of its five pools ("M")
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
_NARROW = tuple(item if item == "M" else int(item) // 4 for item in _VGG16)
_GREY_MEAN = 117.0  # of ImageNet's photographs, all channels together
HEADS = 5
_FROZEN_LAYERS = 10  # up to the second pool: four convolutions
_HEAD_WIDTH = 128
# the coarser the map, the more of the slice's layout is kept: cells a side for conv3_3, conv4_3, conv5_3
_CELLS = (1, 2, 3)
_WITH_MAXIMUM = (True, True, False)


class PaperNetwork(nn.Module):
    """VGG-16's convolutions, a 1 x 1 layer with ReLU, the average over the slice, one number.

    Source: Sec. 8.2; layers as in the authors' code (facts, section 1).
    """

    name: NetworkName = "paper"

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_layers(_VGG16))
        self.mix = nn.Sequential(nn.Conv2d(512, 512, 1), nn.ReLU())
        self.score = nn.Linear(512, 1)
        self.apply(_initialise)

    def heads(self, slices: Tensor) -> Tensor:
        """Score slices (N, 1, size, size), grey levels 0..255, by the only head -> (1, N)."""
        mixed = self.mix(self.features(slices / 127.5 - 1.0))
        with torch.autocast(slices.device.type, enabled=False):  # Eq. 2 takes differences of differences
            scores: Tensor = self.score(mixed.float().mean(dim=(2, 3)))
        return scores.T

    def forward(self, slices: Tensor) -> Tensor:
        """Score slices (N, 1, size, size), grey levels 0..255 -> (N,)."""
        return self.heads(slices)[0]


class CompactNetwork(nn.Module):
    """A narrow VGG-16 whose maps are pooled at three scales, and a committee of small heads.

    The score is the heads' mean. The first four convolutions (edges, textures) stay as they were given.
    """

    name: NetworkName = "compact"

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_layers(_NARROW))
        self.committee = Committee(feature_width(), HEADS)
        self.apply(_initialise)
        for weight in self.trunk[:_FROZEN_LAYERS].parameters():
            weight.requires_grad_(False)

    def encode(self, slices: Tensor) -> Tensor:
        """Pool the trunk's maps.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, size, size)
            Grey levels 0..255 as float.

        Returns
        -------
        Tensor, shape (N, feature_width())
        """
        maps = self._maps(slices - _GREY_MEAN)
        parts = []
        for each, cells, with_maximum in zip(maps, _CELLS, _WITH_MAXIMUM, strict=True):
            parts.append(functional.adaptive_avg_pool2d(each, cells).flatten(1))
            if with_maximum:
                parts.append(each.amax(dim=(2, 3)))
        return torch.cat(parts, dim=1)

    def _maps(self, x: Tensor) -> list[Tensor]:
        """Maps after ReLU at a quarter, an eighth and a sixteenth of the size."""
        x = x.contiguous(memory_format=torch.channels_last)  # about a third faster on a CPU
        maps = []
        for layer in self.trunk:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps[2:], x]

    def heads(self, slices: Tensor) -> Tensor:
        """Score slices (N, 1, size, size) by each head -> (heads, N)."""
        scores: Tensor = self.committee(self.encode(slices))
        return scores

    def forward(self, slices: Tensor) -> Tensor:
        """Score slices (N, 1, size, size), grey levels 0..255 -> (N,)."""
        return self.heads(slices).mean(dim=0)


class Committee(nn.Module):
    """Several regression heads side by side, each a hidden layer with layer normalisation.

    Parameters
    ----------
    width : int
        Length of a feature.
    heads : int
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.weight = nn.Parameter(torch.randn(heads, width, _HEAD_WIDTH) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(heads, 1, _HEAD_WIDTH))
        self.gain = nn.Parameter(torch.ones(heads, 1, _HEAD_WIDTH))
        self.out = nn.Parameter(0.01 * torch.randn(heads, _HEAD_WIDTH, 1))
        self.offset = nn.Parameter(torch.zeros(heads, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Score features (N, width) -> (heads, N); in full precision, whatever the trunk was read in."""
        with torch.autocast(features.device.type, enabled=False):
            return self._scored(features.float())

    def _scored(self, features: Tensor) -> Tensor:
        x = ((features - self.mean) / self.std).expand(len(self.weight), *features.shape)
        x = functional.dropout(x, 0.3, self.training)
        hidden = torch.baddbmm(self.bias, x, self.weight)  # (heads, N, _HEAD_WIDTH)
        hidden = functional.relu(functional.layer_norm(hidden, (_HEAD_WIDTH,)) * self.gain)
        hidden = functional.dropout(hidden, 0.2, self.training)
        return torch.bmm(hidden, self.out)[..., 0] + self.offset

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from features (N, width) that represent the training data."""
        self.mean.copy_(features.mean(dim=0))
        self.std.copy_(features.std(dim=0) + 1e-3)


SsbrNetwork = PaperNetwork | CompactNetwork


def feature_width() -> int:
    """Length of the compact network's pooled feature."""
    widths = [int(width) for width in (_NARROW[8], _NARROW[12], _NARROW[16])]
    return sum(
        width * (cells**2 + with_maximum)
        for width, cells, with_maximum in zip(widths, _CELLS, _WITH_MAXIMUM, strict=True)
    )


def _layers(plan: tuple[int | str, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    width = 1
    for item in plan:
        if item == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, int(item), 3, padding=1), nn.ReLU(inplace=True)]
            width = int(item)
    return layers


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)


def parameter_count(network: nn.Module) -> int:
    """Number of weights."""
    return sum(weight.numel() for weight in network.parameters())


def seeded_network(name: NetworkName, rng_seed: int) -> SsbrNetwork:
    """Make a network whose start depends on the seed alone; torch's own random state is left as it was.

    Raises
    ------
    ValueError
        If there is no such network.
    """
    if name not in ("compact", "paper"):
        raise ValueError(f"network: expected 'compact' or 'paper', got {name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        return PaperNetwork() if name == "paper" else CompactNetwork()
