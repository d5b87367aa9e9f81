"""The embedder's head with dropout, for methods that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lesiongraph.embedding import LesionEmbedder, load_packaged_embedder


class Head(nn.Module):
    """`LesionEmbedder` over the four cached maps, some of whose cells are dropped in training."""

    def __init__(self, embedder: LesionEmbedder, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedder = embedder
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def fresh(
        cls, channels: Sequence[int], fc_width: int, out: int, place_width: int = 0, dropout: float = 0.0
    ) -> Head:
        """Return an untrained head."""
        embedder = LesionEmbedder(
            channels, roi_size=5, fc_width=fc_width, embedding_width=out, place_width=place_width
        )
        return cls(embedder, dropout)

    @classmethod
    def packaged(cls, dropout: float = 0.0) -> Head:
        """Return the head of the embedder inside the package, which reads the lesion trunk's maps."""
        return cls(load_packaged_embedder().head, dropout)

    def forward(self, maps: Sequence[Tensor], places: Tensor) -> Tensor:
        """Unit vectors (B, out) of maps and places (B, 5)."""
        return self.embedder([self.dropout(one) for one in maps], places)
