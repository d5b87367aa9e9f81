"""What the report's sections share, read from the workspace once, when first asked for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.errors import StageMissingError
from lesiongraph.figures import MarkOnSlice, Tile
from lesiongraph.imaging import PatchStore, canonical_view
from lesiongraph.lesion import Axis, BoundingBox
from lesiongraph.mining import open_series, rules
from lesiongraph.pipeline.catalogue import Catalogue, kept_lesions, read_catalogue
from lesiongraph.pipeline.truth import read_instances
from lesiongraph.pipeline.vectors import Vectors, read_vectors
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import Workspace

_IN_TEXT = {"embedding": "embedding", "initial": "initial feature (before training)"}


class ReportContext:
    """One report's data."""

    def __init__(self, workspace: Workspace, truth: Path | None, rng_seed: int) -> None:
        self.workspace = workspace
        self.rng_seed = rng_seed
        # read at once: a truth file that cannot be read is an error of the call, not of one section
        self.instances = read_instances(truth) if truth is not None else None

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator: a section draws the same whatever other sections drew."""
        return np.random.default_rng(self.rng_seed)

    @cached_property
    def catalogue(self) -> Catalogue:
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
        raise StageMissingError("embedding", "embed", self.workspace.path)

    @property
    def feature_name(self) -> str:
        """The feature's name, to stand after "the"."""
        return _IN_TEXT[self.feature]

    @cached_property
    def vectors(self) -> Vectors:
        """Vectors of `feature`."""
        return read_vectors(self.workspace, self.feature)

    @cached_property
    def patches(self) -> PatchStore:
        """All patches."""
        return PatchStore(self.workspace.open("patches", "embed").path / "patches")

    def tile(self, row: pd.Series, caption: str) -> Tile:
        """Return the key slice of a lesion's patch.

        Raises
        ------
        StageMissingError
            If the lesion has no patch, since its pixels could no longer be read.
        """
        if row.lesion_id not in self.patches:
            raise StageMissingError(f"patch of lesion {row.lesion_id}", "embed", self.workspace.path)
        patch = self.patches[row.lesion_id]
        return Tile(patch.hu[patch.hu.shape[0] // 2], patch.box, caption, row.type, patch.scale_mm)

    def described_tile(self, row: pd.Series, more: str = "") -> Tile:
        """Return a lesion's tile captioned in two lines: type and size, then z and `more`."""
        z = "" if np.isnan(row.lz) else f"z {row.lz:.2f}"
        second = "   ".join(part for part in (z, more) if part)
        return self.tile(row, f"{row.type or 'no type'}, {row.long_mm:.0f} mm\n{second}")

    def mark_on_slice(self, row: pd.Series, subtitle: str) -> MarkOnSlice:
        """Return a mark on its whole slice, turned to the canonical view.

        Raises
        ------
        LesionGraphError
            If the slice cannot be read.
        """
        series = self.series_row(row.series_instance_uid)
        slices = self.catalogue.slices.of(row.series_instance_uid)
        hu = open_series(series.to_dict(), slices).read([int(row.slice_index)])[0]
        rows, columns = hu.shape
        flips = bool(series.flip_x), bool(series.flip_y)
        lines = [
            Axis(*(float(row[f"{name}_{end}"]) for end in ("x0", "y0", "x1", "y1")))
            for name in ("long", "short")
        ]
        box = BoundingBox(*(float(row[side]) for side in ("x0", "y0", "x1", "y1")))
        if not np.isfinite(box.x0):  # a rejected mark may have no box: draw round its axes
            box = box_round(lines)
        return MarkOnSlice(
            hu=canonical_view(hu, *flips),
            box=box.flipped(columns, rows, *flips),
            axes=tuple(_flipped(line, columns, rows, flips) for line in lines if np.isfinite(line.x0)),
            title=row.lesion_id,
            subtitle=subtitle,
            spacing_mm=(float(row.spacing_y_mm), float(row.spacing_x_mm)),
            lesion_type=row.type,
            badge=rules.ACCEPTED_BY_HAND if rules.ACCEPTED_BY_HAND in row["flags"].split(";") else "",
        )

    def series_row(self, series_instance_uid: str) -> pd.Series:
        """Return one row of SERIES."""
        series = self.catalogue.series
        return series[series.series_instance_uid == series_instance_uid].iloc[0]


def box_round(lines: list[Axis]) -> BoundingBox:
    """Return the box round those of the lines that have coordinates, padded as marks are."""
    known = [line for line in lines if np.isfinite((line.x0, line.y0, line.x1, line.y1)).all()]
    xs = [x for line in known for x in (line.x0, line.x1)]
    ys = [y for line in known for y in (line.y0, line.y1)]
    return BoundingBox(min(xs), min(ys), max(xs), max(ys)).padded(ImagingRecipe().box_padding_px)


def _flipped(line: Axis, columns: int, rows: int, flips: tuple[bool, bool]) -> Axis:
    x0, x1 = (columns - 1 - line.x0, columns - 1 - line.x1) if flips[0] else (line.x0, line.x1)
    y0, y1 = (rows - 1 - line.y0, rows - 1 - line.y1) if flips[1] else (line.y0, line.y1)
    return Axis(x0, y0, x1, y1)
