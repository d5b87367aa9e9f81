"""Lesions of phantom bodies with known type, place and size, to train the packaged embedder on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesiongraph.bodypart import SsbrModel, slice_input
from lesiongraph.imaging import Patch, body_mask, cut_patch, relative_xy, whole_body_box
from lesiongraph.lesion import BoundingBox
from lesiongraph.phantom.difficulty import difficulty_named
from lesiongraph.phantom.lesion_views import LesionView, sample_lesion_views
from lesiongraph.recipe import ImagingRecipe

SSBR_BATCH = 64


@dataclass
class LesionSet:
    """Row i of every list is one lesion; `owners` name the body or background it lies in."""

    patches: list[Patch] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    locations: list[tuple[float, float, float]] = field(default_factory=list)
    sizes_mm: list[tuple[float, float]] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)

    def places(self) -> NDArray[np.float64]:
        """Location and size (N, 5), as the head is told them."""
        return np.concatenate([np.array(self.locations, float), np.array(self.sizes_mm, float)], axis=1)

    def extend(self, other: LesionSet) -> None:
        """Append another set's lesions."""
        for name in ("patches", "types", "locations", "sizes_mm", "owners"):
            getattr(self, name).extend(getattr(other, name))


class _InMemory:
    """Three slices that `cut_patch` reads like those of a file."""

    def __init__(self, hu: NDArray[np.int16]) -> None:
        self._hu = hu

    def read(self, slice_indices: list[int]) -> NDArray[np.int16]:
        return self._hu[list(slice_indices)]


def phantom_lesions(bodies: int, rng_seed: int, difficulty: str) -> LesionSet:
    """Render, cut and locate one lesion of each type of every body, z by the packaged SSBR."""
    found = LesionSet()
    model = SsbrModel.load()
    waiting: list[tuple[LesionView, NDArray[np.uint8]]] = []
    for view in sample_lesion_views(bodies, rng_seed, difficulty=difficulty_named(difficulty)):
        spacing = (view.pixel_mm, view.pixel_mm)
        waiting.append((view, slice_input(view.hu[1], spacing, mode=model.slice_mode)))
        if len(waiting) == SSBR_BATCH:
            found.extend(_located(waiting, model))
            waiting = []
    if waiting:
        found.extend(_located(waiting, model))
    return found


def _located(waiting: list[tuple[LesionView, NDArray[np.uint8]]], model: SsbrModel) -> LesionSet:
    found = LesionSet()
    heights = model.to_z(model.score(np.stack([picture for _, picture in waiting])))
    for (view, _), z in zip(waiting, heights, strict=True):
        spacing = (view.pixel_mm, view.pixel_mm)
        hu = view.hu[1]
        box = view.mark.bounding_box(ImagingRecipe().box_padding_px)
        if not (box.x1 > 0 and box.y1 > 0 and box.x0 < hu.shape[1] and box.y0 < hu.shape[0]):
            continue  # the view was zoomed in beside it
        whole = whole_body_box(hu, body_mask(hu, spacing), spacing)
        x, y = relative_xy(whole, box.centre)
        found.patches.append(_patch(view, box))
        found.types.append(view.type)
        found.locations.append((x, y, float(z)))
        axes = (view.mark.long_axis.length_px, view.mark.short_axis.length_px)
        found.sizes_mm.append((axes[0] * view.pixel_mm, axes[1] * view.pixel_mm))
        found.owners.append(f"body {view.body}")
    return found


def _patch(view: LesionView, box: BoundingBox) -> Patch:
    series = {"spacing_x_mm": view.pixel_mm, "spacing_y_mm": view.pixel_mm, "slice_interval_mm": 2.0}
    slices = pd.DataFrame({"slice_index": [0, 1, 2], "position_mm": [0.0, 2.0, 4.0]})
    return cut_patch(_InMemory(view.hu), series, slices, 1, box)
