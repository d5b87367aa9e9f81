"""The convolutional trunk: VGG-16's stack at any width, giving the four maps of Fig. 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.recipe import ImagingRecipe

CONVS_PER_STAGE = (2, 2, 3, 3, 3)  # VGG-16, "configuration D"
MAP_NAMES = ("conv2_2", "conv3_3", "conv4_3", "conv5_3")  # Sec. 4.3
MAP_STRIDES = (2, 4, 8, 16)
MIN_PATCH_PX = MAP_STRIDES[-1]  # below this conv5_3 has no cell

RGB_MEAN = (123.68, 116.779, 103.939)  # ImageNet mean of the original VGG-16, input 0–255, RGB order
WINDOW_HU = (ImagingRecipe().window_low_hu, ImagingRecipe().window_high_hu)


@dataclass(frozen=True)
class TrunkVariant:
    """Every number in which one trunk differs from another."""

    name: str
    widths: tuple[int, int, int, int, int]  # channels of the five stages

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four maps; their sum is the length of the initial feature."""
        return self.widths[1:]


VGG16 = TrunkVariant("vgg16", (64, 128, 256, 512, 512))
NARROW = TrunkVariant("narrow", (16, 32, 64, 128, 128))
TRUNK_VARIANTS = {variant.name: variant for variant in (VGG16, NARROW)}


class Trunk(nn.Module):
    """VGG-16's convolutions with their preprocessing inside: HU in, four maps out.

    Parameter names are torchvision's (`features.N.weight`), so its files load as they are.

    Parameters
    ----------
    variant : TrunkVariant
    window_hu : (float, float)
        HU that become 0 and 255.

    Attributes
    ----------
    origin : str
        Where the weights came from, in words; "scratch" until loaded.
    sha256 : str
        Of the weights file; "" for scratch.
    """

    mean: Tensor

    def __init__(self, variant: TrunkVariant, window_hu: tuple[float, float] = WINDOW_HU) -> None:
        super().__init__()
        self.variant = variant
        self.window_hu = window_hu
        self.origin = "scratch"
        self.sha256 = ""
        self.features = nn.Sequential(*_layers(variant.widths))
        # a constant, not a weight: it stays out of the state so that torchvision's files fit
        self.register_buffer("mean", torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.mean.device

    def prepare(self, hu: Tensor) -> Tensor:
        """Window HU to 0–255 and subtract the mean of each channel (no division).

        Parameters
        ----------
        hu : Tensor (B, 3, H, W)
            The three context slices stand for red, green and blue.
        """
        low, high = self.window_hu
        return (hu.clamp(low, high) - low) * (255.0 / (high - low)) - self.mean

    def forward(self, hu: Tensor, extents: Tensor | None = None) -> list[Tensor]:
        """Return the maps conv2_2, conv3_3, conv4_3 and conv5_3 (after ReLU).

        What lies outside a patch's true extent is set to zero before every convolution, which is just
        what the convolution's own padding would have put there: a patch gives the same features alone
        and in a batch with larger ones.

        Parameters
        ----------
        hu : Tensor (B, 3, H, W) float32
        extents : Tensor (B, 2) int64 on the CPU, optional
            True height and width of each patch in a padded batch; the whole H × W if not given.

        Returns
        -------
        list of Tensor (B, C_i, H // stride_i, W // stride_i)

        Raises
        ------
        ValueError
            If the input is not (B, 3, H, W) with H and W of at least 16 px.

        Source: Sec. 4.3, Fig. 4.
        """
        if hu.ndim != 4 or hu.shape[1] != 3 or min(hu.shape[2:]) < MIN_PATCH_PX:
            raise ValueError(
                f"expected patches (B, 3, ≥{MIN_PATCH_PX}, ≥{MIN_PATCH_PX}), got {tuple(hu.shape)}"
            )
        masks = _stage_masks(extents, hu)
        x = _masked(self.prepare(hu), masks[0])
        x = x.contiguous(memory_format=torch.channels_last)  # about a third faster on a CPU
        maps: list[Tensor] = []
        stage = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
                stage += 1
                x = _masked(layer(x), masks[stage])
            elif isinstance(layer, nn.Conv2d):
                x = _masked(functional.relu(layer(x)), masks[stage])
        return [*maps[1:], x]


def map_extents(extents: Tensor, stride: int) -> Tensor:
    """Return the true extents (B, 2) in cells of the map at `stride`; at least one cell."""
    return (extents // stride).clamp(min=1)


def _layers(widths: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    for stage, (convs, width) in enumerate(zip(CONVS_PER_STAGE, widths, strict=True)):
        if stage:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convs):
            layers += [_conv(channels, width), nn.ReLU()]
            channels = width
    return layers


def _conv(channels: int, width: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, width, kernel_size=3, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # keeps a scratch stack of 13 from fading
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _stage_masks(extents: Tensor | None, hu: Tensor) -> list[Tensor | None]:
    """One mask (B, 1, H_s, W_s) of true cells for each of the five stages, None where nothing is padded."""
    height, width = hu.shape[2:]
    if extents is None or bool((extents == torch.tensor([height, width])).all()):
        return [None] * len(CONVS_PER_STAGE)
    masks: list[Tensor | None] = []
    for stage in range(len(CONVS_PER_STAGE)):
        true = map_extents(extents, 2**stage).to(hu.device)
        rows = torch.arange(height >> stage, device=hu.device) < true[:, :1]
        columns = torch.arange(width >> stage, device=hu.device) < true[:, 1:]
        masks.append((rows[:, None, :, None] & columns[:, None, None, :]).to(hu.dtype))
    return masks


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
