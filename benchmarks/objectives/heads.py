"""The embedder's head with dropout, for methods that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lesiongraph.embedding import LesionEmbedder


class Head(nn.Module):
    """`LesionEmbedder` over the four cached maps, some of whose cells are dropped in training."""

    def __init__(
        self, channels: Sequence[int], fc_width: int, out: int, place_width: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedder = LesionEmbedder(
            channels, roi_size=5, fc_width=fc_width, embedding_width=out, place_width=place_width
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Sequence[Tensor], places: Tensor) -> Tensor:
        """Unit vectors (B, out) of maps and places (B, 5)."""
        return self.embedder([self.dropout(one) for one in maps], places)
