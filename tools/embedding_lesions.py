"""Lesions of phantom bodies with known type, place and size, to train the packaged embedder on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

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
    """Row i of every list is one view of a lesion.

    `owners` name the body or background it lies in; views of one lesion share `instances`,
    and `visits` count them.
    """

    patches: list[Patch] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    locations: list[tuple[float, float, float]] = field(default_factory=list)
    sizes_mm: list[tuple[float, float]] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)

    def places(self) -> NDArray[np.float64]:
        """Location and size (N, 5), as the head is told them."""
        return np.concatenate([np.array(self.locations, float), np.array(self.sizes_mm, float)], axis=1)

    def extend(self, other: LesionSet) -> None:
        """Append another set's lesions."""
        for column in fields(self):
            getattr(self, column.name).extend(getattr(other, column.name))


class _InMemory:
    """Three slices that `cut_patch` reads like those of a file."""

    def __init__(self, hu: NDArray[np.int16]) -> None:
        self._hu = hu

    def read(self, slice_indices: list[int]) -> NDArray[np.int16]:
        return self._hu[list(slice_indices)]


@dataclass(frozen=True)
class Bodies:
    """Which phantom bodies are shown, and how often: the arguments of `sample_lesion_views`."""

    bodies: int
    rng_seed: int
    difficulty: str
    visits: int = 1
    of_type: int = 1
    first_body: int = 0

    def portions(self, size: int) -> tuple[Bodies, ...]:
        """Return the same bodies, at most `size` at a time."""
        return tuple(
            replace(self, first_body=self.first_body + start, bodies=min(size, self.bodies - start))
            for start in range(0, self.bodies, size)
        )

    @property
    def name(self) -> str:
        """A name for files."""
        shown = f"{self.first_body}-{self.bodies}-{self.visits}-{self.of_type}"
        return f"lesions-{self.difficulty}-{self.rng_seed}-{shown}"


def phantom_lesions(drawn: Bodies) -> LesionSet:
    """Render, cut and locate lesions of each type of every body, z by the packaged SSBR.

    Bodies of different random seeds and difficulties are different bodies.
    """
    found = LesionSet()
    model = SsbrModel.load()
    origin = f"{drawn.difficulty} {drawn.rng_seed}"
    waiting: list[tuple[LesionView, NDArray[np.uint8]]] = []
    for view in _views(drawn):
        spacing = (view.pixel_mm, view.pixel_mm)
        waiting.append((view, slice_input(view.hu[1], spacing, mode=model.slice_mode)))
        if len(waiting) == SSBR_BATCH:
            found.extend(_located(waiting, model, origin))
            waiting = []
    if waiting:
        found.extend(_located(waiting, model, origin))
    return found


def _views(drawn: Bodies) -> Iterator[LesionView]:
    return sample_lesion_views(
        drawn.bodies,
        drawn.rng_seed,
        difficulty=difficulty_named(drawn.difficulty),
        visits=drawn.visits,
        of_type=drawn.of_type,
        first_body=drawn.first_body,
    )


def _located(waiting: list[tuple[LesionView, NDArray[np.uint8]]], model: SsbrModel, origin: str) -> LesionSet:
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
        found.owners.append(f"{origin} body {view.body}")
        found.instances.append(f"{origin} body {view.body} lesion {view.lesion}")
        found.visits.append(view.visit)
    return found


def _patch(view: LesionView, box: BoundingBox) -> Patch:
    series = {"spacing_x_mm": view.pixel_mm, "spacing_y_mm": view.pixel_mm, "slice_interval_mm": 2.0}
    slices = pd.DataFrame({"slice_index": [0, 1, 2], "position_mm": [0.0, 2.0, 4.0]})
    return cut_patch(_InMemory(view.hu), series, slices, 1, box)
