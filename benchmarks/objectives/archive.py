"""A workspace's seeds, pool and test lesions as arrays, in the split that `train` and `evaluate` use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.phantom.grafting import background_of, read_grafted_truth
from lesiongraph.pipeline.features import ensure_features, open_trunk
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.training_set import lesions_in_order, places_of
from lesiongraph.pipeline.truth import read_true_types
from lesiongraph.recipe import preset
from lesiongraph.workspace import RunReport, Workspace

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Archive:
    """Row i of every array is one located lesion.

    `maps`: four tensors (N, C_i, 5, 5) float16; `initial` (N, ΣC_i); `locations` (N, 3), `sizes_mm` (N, 2);
    `types` as the source states them, "" if it does not; `true_types` where the truth tells them.
    """

    name: str
    maps: list[Tensor]
    initial: NDArray[np.float32]
    lesions: pd.DataFrame
    locations: NDArray[np.float64]
    sizes_mm: NDArray[np.float64]
    types: NDArray[np.str_]
    true_types: NDArray[np.str_] | None
    owners: NDArray[np.str_]  # patient, or the background of an implanted lesion

    def rows(self, subset: str) -> Ints:
        """Rows of the seeds, the pool, or the test lesions (typed)."""
        chosen = (self.lesions.subset == subset).to_numpy()
        if subset != "pool":
            chosen = chosen & (self.types != "")
        return np.flatnonzero(chosen)

    @property
    def places(self) -> NDArray[np.float64]:
        """Locations (N, 3), each dimension over its maximum."""
        return location_vectors(self.locations)

    @property
    def sizes(self) -> NDArray[np.float64]:
        """Sizes (N, 2), each dimension over its maximum."""
        return size_vectors(self.sizes_mm)


def load_archive(path: Path, truth: Path | None, trunk_name: str) -> Archive:
    """Read a located workspace, computing patches and pooled maps where they are missing."""
    workspace = Workspace(path)
    report = RunReport("objectives")
    recipe = preset("demo")
    with workspace.lock():
        patches = ensure_patches(workspace, recipe.imaging, report)
        trunk = open_trunk(trunk_name, report)
        features = ensure_features(workspace, patches, trunk, recipe.embedding.roi_size)
    lesions = lesions_in_order(workspace, features.lesion_ids)
    usable = np.isfinite(places_of(lesions)).all(axis=1) & ~lesions.possibly_noisy
    rows = np.flatnonzero(usable)
    kept = lesions.iloc[rows].reset_index(drop=True)
    true_types, owners = _from_truth(kept, truth)
    return Archive(
        name=path.name if path.name != "workspace" else path.parent.name,
        maps=[torch.from_numpy(np.asarray(one[rows])) for one in features.maps],
        initial=features.initial[rows],
        lesions=kept,
        locations=kept[["lx", "ly", "lz"]].to_numpy(float),
        sizes_mm=kept[["long_mm", "short_mm"]].to_numpy(float),
        types=kept.type.to_numpy(str),
        true_types=true_types,
        owners=owners,
    )


def _from_truth(lesions: pd.DataFrame, path: Path | None) -> tuple[NDArray[np.str_] | None, NDArray[np.str_]]:
    patients = lesions.patient_id.to_numpy(str)
    if path is None:
        return None, patients
    types = lesions.tracking_uid.map(read_true_types(path)).fillna("").to_numpy(str)
    if "background" not in pd.read_csv(path, nrows=0):
        return types, patients
    backgrounds = lesions.patient_id.map(background_of(read_grafted_truth(path)))
    return types, backgrounds.fillna(lesions.patient_id).to_numpy(str)
