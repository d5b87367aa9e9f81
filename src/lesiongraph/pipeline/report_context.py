"""What the report's sections share, read from the workspace once, when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.errors import StageMissingError
from lesiongraph.figures import MarkOnSlice, Tile
from lesiongraph.imaging import PatchStore
from lesiongraph.lesion import Axis, BoundingBox
from lesiongraph.mining import MiningResult, SliceReader, open_series
from lesiongraph.pipeline.catalogue import kept_lesions, read_catalogue
from lesiongraph.pipeline.evaluate import read_instances
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.workspace import Workspace


class ReportContext:
    """One report's data."""

    def __init__(self, workspace: Workspace, truth: Path | None, rng_seed: int) -> None:
        self.workspace = workspace
        self.truth = truth
        self.rng_seed = rng_seed

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator: a section draws the same whatever other sections drew."""
        return np.random.default_rng(self.rng_seed)

    @cached_property
    def catalogue(self) -> MiningResult:
        """The four tables."""
        return read_catalogue(self.workspace)

    @cached_property
    def kept(self) -> pd.DataFrame:
        """Kept lesions with the location the evaluation uses."""
        return kept_lesions(self.workspace)

    @cached_property
    def feature(self) -> str:
        """The best feature the workspace holds: the embedding, before training the initial feature."""
        if self.workspace.has("embedding"):
            return "embedding"
        if self.workspace.has("initial"):
            return "initial"
        raise StageMissingError("embedding", f"embed -w {self.workspace.path}", self.workspace.path)

    @cached_property
    def vectors(self) -> Vectors:
        """Vectors of `feature`."""
        return read_vectors(self.workspace, self.feature)

    @cached_property
    def patches(self) -> PatchStore:
        """All patches."""
        return PatchStore(self.workspace.open("patches", "embed").path / "patches")

    @cached_property
    def instances(self) -> pd.Series | None:
        """True lesion identity by tracking UID, where the truth file was given."""
        return read_instances(self.truth) if self.truth is not None else None

    def tile(self, lesion_id: str, caption: str = "") -> Tile:
        """Return the key slice of a lesion's patch."""
        patch = self.patches[lesion_id]
        return Tile(patch.hu[patch.hu.shape[0] // 2], patch.box, caption)

    def described_tile(self, row: pd.Series) -> Tile:
        """Return a lesion's tile with its type, size and location as caption."""
        return self.tile(row.lesion_id, self.describe(row))

    def describe(self, row: pd.Series) -> str:
        """Return a short caption: type, size, location."""
        location = "" if np.isnan(row.lz) else f" z {row.lz:.2f}"
        return f"{row.type or 'no type'}, {row.long_mm:.0f} mm{location}"

    def mark_on_slice(self, row: pd.Series) -> MarkOnSlice:
        """Return a mark on its whole slice, as stored."""
        hu = self._reader(row.series_instance_uid).read([int(row.slice_index)])[0]
        lines = (
            Axis(row.long_x0, row.long_y0, row.long_x1, row.long_y1),
            Axis(row.short_x0, row.short_y0, row.short_x1, row.short_y1),
        )
        return MarkOnSlice(
            hu=hu,
            box=BoundingBox(row.x0, row.y0, row.x1, row.y1),
            axes=tuple(line for line in lines if np.isfinite(line.x0)),
            title=f"{row.lesion_id}",
            subtitle=f"{row.source} · {row.long_mm:.1f} × {row.short_mm:.1f} mm · {row.type or 'no type'}",
        )

    def series_row(self, series_instance_uid: str) -> pd.Series:
        """Return one row of SERIES."""
        series = self.catalogue.series
        return series[series.series_instance_uid == series_instance_uid].iloc[0]

    def _reader(self, series_instance_uid: str) -> SliceReader:
        slices = self.catalogue.slices
        own = slices[slices.series_instance_uid == series_instance_uid].sort_values("slice_index")
        return open_series(self.series_row(series_instance_uid).to_dict(), own)
