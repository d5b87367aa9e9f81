"""The triplet network's head: pooled maps of four scales, place and size if told → a unit vector (Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.embedding.place import PLACE_NUMBERS, encode_place, place_inputs
from lesiongraph.errors import UsageError
from lesiongraph.recipe import MAPS, EmbeddingRecipe


class LesionEmbedder(nn.Module):
    """FC and L2 for each scale, concatenation, FC and L2 once more.

    Parameters
    ----------
    channels : sequence of int
        Channels of the four pooled maps (`TrunkVariant.channels`).
    maps : sequence of str
        Which of them the head reads, of `recipe.MAPS`; all, as in Fig. 4, if not given.
    roi_size, fc_width, embedding_width, place_width : int
        As in `EmbeddingRecipe`. With a `place_width` above 0 the lesion's place and size are a fifth scale.

    Source: Sec. 4.3, Fig. 4. The FC width is ours (docs/adr/0004-fc-width.md), and so is the fifth scale
    (docs/adr/0015-packaged-embedder.md).
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        roi_size: int,
        fc_width: int,
        embedding_width: int,
        maps: Sequence[str] = MAPS,
        place_width: int = 0,
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.scales = _scales(self.channels, maps)
        self.roi_size = roi_size
        self.scale_fcs = nn.ModuleList(
            nn.Linear(self.channels[scale] * roi_size**2, fc_width) for scale in self.scales
        )
        self.place_fc = nn.Linear(place_inputs(), place_width) if place_width else None
        self.joint_fc = nn.Linear(fc_width * len(self.scales) + place_width, embedding_width)

    @classmethod
    def from_recipe(cls, channels: Sequence[int], recipe: EmbeddingRecipe) -> LesionEmbedder:
        """Return an untrained head of the recipe's widths."""
        return cls(
            channels,
            roi_size=recipe.roi_size,
            fc_width=recipe.fc_width,
            embedding_width=recipe.embedding_width,
            maps=recipe.maps,
            place_width=recipe.place_width,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.joint_fc.weight.device

    def forward(self, maps: Sequence[Tensor], places: Tensor | None = None) -> Tensor:
        """Embed lesions.

        Parameters
        ----------
        maps : four Tensors (B, C_i, roi_size, roi_size)
            All four, also where the head reads some only.
        places : Tensor (B, 5), optional
            Relative location x, y, z, long and short axis in mm; NaN where unknown. Needed where the head
            has a `place_width`, not looked at elsewhere.

        Returns
        -------
        Tensor (B, embedding_width), unit vectors

        Raises
        ------
        ValueError
            If the maps are not those of the trunk this head was made for, or places are missing.
        """
        expected = [(channels, self.roi_size, self.roi_size) for channels in self.channels]
        found = [tuple(one.shape[1:]) for one in maps]
        if found != expected:
            raise ValueError(f"expected pooled maps {expected}, got {found}: another trunk or ROI size")
        scales = [
            functional.normalize(fc(maps[scale].flatten(1)), dim=1)
            for fc, scale in zip(self.scale_fcs, self.scales, strict=True)
        ]
        if self.place_fc is not None:
            if places is None or places.shape != (len(maps[0]), PLACE_NUMBERS):
                given = None if places is None else tuple(places.shape)
                raise ValueError(f"expected places ({len(maps[0])}, {PLACE_NUMBERS}), got {given}")
            scales.append(functional.normalize(self.place_fc(encode_place(places)), dim=1))
        return functional.normalize(self.joint_fc(torch.cat(scales, dim=1)), dim=1)


def _scales(channels: Sequence[int], maps: Sequence[str]) -> tuple[int, ...]:
    """Which of a trunk's maps are read; an external trunk's have other names, so it is read whole."""
    if len(channels) == len(MAPS):
        return tuple(scale for scale, name in enumerate(MAPS) if name in maps)
    if tuple(maps) != MAPS:
        raise UsageError(f"maps={','.join(maps)}: this trunk has {len(channels)} of its own.")
    return tuple(range(len(channels)))


def choose_device() -> torch.device:
    """Return the GPU if there is one, else the CPU: the one place where this is decided."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return the GPU's name, or "CPU": what a table of results states."""
    return torch.cuda.get_device_name() if choose_device().type == "cuda" else "CPU"
