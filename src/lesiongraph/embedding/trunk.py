"""The trunk: what it must be able to do, and VGG-16's stack at any width, giving the four maps of Fig. 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.embedding.precision import inference_precision, single_precision
from lesiongraph.recipe import ImagingRecipe

CONVS_PER_STAGE = (2, 2, 3, 3, 3)  # VGG-16, "configuration D"
MAP_NAMES = ("conv2_2", "conv3_3", "conv4_3", "conv5_3")  # Sec. 4.3
MAP_STRIDES = (2, 4, 8, 16)
MIN_PATCH_PX = MAP_STRIDES[-1]  # below this conv5_3 has no cell

RGB_MEAN = (123.68, 116.779, 103.939)  # ImageNet mean of the original VGG-16, input 0–255, RGB order
WINDOW_HU = (ImagingRecipe().window_low_hu, ImagingRecipe().window_high_hu)


@dataclass(frozen=True)
class MapScale:
    """One map of a trunk, and what of it is pooled."""

    name: str
    channels: int
    stride: int  # patch px a cell
    whole: bool  # the whole patch is pooled, else the lesion's box


class Variant(Protocol):
    """What is stated of a trunk."""

    @property
    def name(self) -> str:
        """A short name."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of its stages, for the record."""

    @property
    def scales(self) -> tuple[MapScale, ...]:
        """The maps it gives, in order."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps; their sum is the length of the initial feature."""


class TrunkLike(Protocol):
    """A network that makes maps of patches; its preprocessing is inside (`Trunk`, `ExternalTrunk`)."""

    @property
    def variant(self) -> Variant:
        """Name and maps."""

    @property
    def window_hu(self) -> tuple[float, float]:
        """The HU it tells apart."""

    @property
    def origin(self) -> str:
        """Where the weights came from, in words."""

    @property
    def sha256(self) -> str:
        """Of the weights; "" for untrained ones."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    def __call__(self, hu: Tensor, extents: Tensor | None = None) -> list[Tensor]:
        """Return one map (B, C_i, h_i, w_i) a scale; `hu` (B, 3, H, W) is padded beyond `extents`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the weights by name."""


@dataclass(frozen=True)
class TrunkVariant:
    """Every number in which one VGG trunk differs from another."""

    name: str
    widths: tuple[int, int, int, int, int]  # channels of the five stages
    # HU ranges that the first layer sees beside the trunk's own window, each as three more channels
    more_windows_hu: tuple[tuple[float, float], ...] = ()

    @property
    def inputs(self) -> int:
        """Channels of the first layer's input: three context slices in each window."""
        return 3 * (1 + len(self.more_windows_hu))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four maps; their sum is the length of the initial feature."""
        return self.widths[1:]

    @property
    def scales(self) -> tuple[MapScale, ...]:
        """The four maps: three pool the lesion's box, the last the whole patch (Sec. 4.3)."""
        parts = zip(MAP_NAMES, self.channels, MAP_STRIDES, strict=True)
        return tuple(MapScale(*part, whole=part[0] == MAP_NAMES[-1]) for part in parts)

    def multiply_adds(self, height: int, width: int) -> int:
        """Count the multiply-adds of all convolutions on one patch."""
        total, channels = 0, self.inputs
        for stage, (convs, out) in enumerate(zip(CONVS_PER_STAGE, self.widths, strict=True)):
            for _ in range(convs):
                total += 9 * channels * out * (height >> stage) * (width >> stage)
                channels = out
        return total


VGG16 = TrunkVariant("vgg16", (64, 128, 256, 512, 512))
NARROW = TrunkVariant("narrow", (16, 32, 64, 128, 128))
COMPACT = TrunkVariant("compact", (16, 32, 80, 208, 288))  # 1/8.2 of VGG-16's multiply-adds
# The narrow trunk trained on lesions; over the whole window soft tissues differ by a few grey levels, so it
# sees them in a window of their own too (docs/adr/0015-packaged-embedder.md).
LESION = TrunkVariant("lesion", (16, 32, 64, 128, 128), more_windows_hu=((-160.0, 240.0),))
TRUNK_VARIANTS = {variant.name: variant for variant in (VGG16, NARROW, COMPACT, LESION)}


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
        self.features = nn.Sequential(*_layers(variant.widths, variant.inputs))
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

        Returns
        -------
        Tensor (B, 3, H, W)
            Three more channels for each further window of the variant.
        """
        windows = (self.window_hu, *self.variant.more_windows_hu)
        seen = [(hu.clamp(low, high) - low) * (255.0 / (high - low)) - self.mean for low, high in windows]
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=1)

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
            In torch's inference mode bfloat16 where the processor multiplies it itself: about twice as fast,
            the features' cosine with those in single precision above 0.999 (docs/adr/0014-bfloat16.md).

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
        padding = _Padding(extents, hu)
        x = padding.blank(self.prepare(hu), 0)
        x = x.contiguous(memory_format=torch.channels_last)  # about a third faster on a CPU
        with inference_precision(x.device):
            return self._stages(x, padding)

    def _stages(self, x: Tensor, padding: _Padding) -> list[Tensor]:
        maps: list[Tensor] = []
        stage = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
                stage += 1
                x = padding.blank(layer(x), stage)
            elif isinstance(layer, nn.Conv2d):
                # the first layer sees HU: bfloat16 would round tissue to 4 HU
                precision = single_precision(x.device) if layer is self.features[0] else nullcontext()
                with precision:
                    x = padding.blank(_relu(layer(x)), stage)
        return [*maps[1:], x]


def map_extents(extents: Tensor, stride: int) -> Tensor:
    """Return the true extents (B, 2) in cells of the map at `stride`; at least one cell."""
    return (extents // stride).clamp(min=1)


def _layers(widths: Sequence[int], inputs: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = inputs
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


def _relu(x: Tensor) -> Tensor:
    """ReLU; where nothing is learnt it overwrites its input, which saves memory traffic."""
    return functional.relu(x) if torch.is_grad_enabled() else functional.relu_(x)


class _Padding:
    """What lies beyond each patch's true extent in a padded batch, at each of the five stages."""

    def __init__(self, extents: Tensor | None, hu: Tensor) -> None:
        whole = extents is None or bool((extents == torch.tensor(hu.shape[2:])).all())
        self._extents = None if whole else extents

    def blank(self, x: Tensor, stage: int) -> Tensor:
        """Return x with zeros beyond the true extents; in place where nothing is learnt."""
        if self._extents is None:
            return x
        true = map_extents(self._extents, 2**stage)
        if torch.is_grad_enabled():
            return x * self._mask(x, true)
        # only the strips in which some patch has ended are touched
        rows, columns = (int(side) for side in true.amin(0))
        mask = self._mask(x, true)
        x[:, :, rows:] *= mask[:, :, rows:]
        x[:, :, :rows, columns:] *= mask[:, :, :rows, columns:]
        return x

    @staticmethod
    def _mask(x: Tensor, true: Tensor) -> Tensor:
        height, width = x.shape[2:]
        true = true.to(x.device, non_blocking=True)  # a GPU need not run dry for it
        rows = torch.arange(height, device=x.device) < true[:, :1]
        columns = torch.arange(width, device=x.device) < true[:, 1:]
        return (rows[:, None, :, None] & columns[:, None, None, :]).to(x.dtype)
