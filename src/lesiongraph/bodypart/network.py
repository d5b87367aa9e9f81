"""The regressor's networks: a slice (128 x 128) gives one score.

`paper` is the paper's (Sec. 8.2 and the authors' code); `compact` does the same with a fortieth of the
weights. Neither couples the slices of a batch, so a slice scores the same alone as in company.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

NetworkName = Literal["compact", "paper"]

# VGG-16's convolutions with four of its five pools ("M")
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)
# width, kernel, stride; a first stride of 4 costs nothing: what tells body regions apart is centimetres wide
_COMPACT = ((16, 7, 4), (32, 3, 1), (64, 3, 2), (128, 3, 2), (128, 3, 1))


class SsbrNetwork(nn.Module):
    """Convolutions, a 1 x 1 layer with ReLU, the average over the slice, one number.

    Parameters
    ----------
    name : {"compact", "paper"}
        Which convolutions.
    """

    def __init__(self, name: NetworkName = "compact") -> None:
        super().__init__()
        if name not in ("compact", "paper"):
            raise ValueError(f"network: expected 'compact' or 'paper', got {name!r}")
        self.name = name
        self.features, width = _vgg16() if name == "paper" else _compact()
        self.mix = nn.Sequential(nn.Conv2d(width, 512 if name == "paper" else 256, 1), nn.ReLU())
        self.score = nn.Linear(512 if name == "paper" else 256, 1)
        self.apply(_initialise)

    def forward(self, slices: Tensor) -> Tensor:
        """Score slices.

        Parameters
        ----------
        slices : Tensor, shape (N, 1, size, size)
            Grey levels 0..255 as float.

        Returns
        -------
        Tensor, shape (N,)
        """
        mixed = self.mix(self.features(slices / 127.5 - 1.0))
        scores: Tensor = self.score(mixed.mean(dim=(2, 3)))[:, 0]
        return scores


def _vgg16() -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    width = 1
    for item in _VGG16:
        if item == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(width, int(item), 3, padding=1), nn.ReLU(inplace=True)]
            width = int(item)
    return nn.Sequential(*layers), width


def _compact() -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    width = 1
    for channels, kernel, stride in _COMPACT:
        layers += [
            nn.Conv2d(width, channels, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(8, channels),
            nn.ReLU(inplace=True),
        ]
        width = channels
    return nn.Sequential(*layers), width


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
    """Make a network whose start depends on the seed alone; torch's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        return SsbrNetwork(name)
