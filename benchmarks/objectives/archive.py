"""A workspace's seeds, pool and test lesions as arrays, in the split that `train` and `evaluate` use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.embedding import initial_from_maps, pooled_maps
from lesiongraph.imaging import PatchStore
from lesiongraph.phantom.grafting import background_of, read_grafted_truth
from lesiongraph.pipeline.features import open_trunk
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.training_set import lesions_in_order, places_of
from lesiongraph.pipeline.truth import read_true_types
from lesiongraph.recipe import preset
from lesiongraph.workspace import RunReport, Workspace, fingerprint
from objectives.views import PLAIN, SLICES, Sight, View

Ints = NDArray[np.int64]
ROI_SIZE = preset("demo").embedding.roi_size


@dataclass
class Maps:
    """Pooled maps of the archive's lesions by trunk and view, computed once and kept on disk."""

    patches: PatchStore
    lesion_ids: list[str]
    trunk: str  # for sights that name none
    key: str  # changes with the patches
    cache: Path
    held: dict[tuple[str, View], list[Tensor]] = field(default_factory=dict)

    def seen(self, sight: Sight, view: View = PLAIN) -> list[Tensor]:
        """Return the maps (N, C_i, 5, 5) float16 of a sight, its triplets looked at as `view` says."""
        looks = [
            self._of(
                sight.trunk or self.trunk, replace(view, offset=one.offset + view.offset, stride=one.stride)
            )
            for one in sight.triplets
        ]
        if len(looks) == 1:
            return looks[0]
        if sight.joined == "concatenated":
            return [torch.cat(scale, dim=1) for scale in zip(*looks, strict=True)]
        return [torch.stack(scale).float().mean(0).half() for scale in zip(*looks, strict=True)]

    def initial(self, sight: Sight) -> NDArray[np.float32]:
        """Return the initial feature (N, ΣC_i) of a sight."""
        return initial_from_maps([one.numpy() for one in self.seen(sight)])

    def _of(self, trunk_name: str, view: View) -> list[Tensor]:
        if (trunk_name, view) not in self.held:
            trunk = open_trunk(trunk_name, RunReport("objectives"))
            path = self.cache / f"{fingerprint(self.key, trunk.sha256, ROI_SIZE, repr(view))}.npz"
            if not path.is_file():
                self.cache.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(".part.npz")  # a run that is killed leaves no half file behind
                shown = (view.of(self.patches[lesion_id]) for lesion_id in self.lesion_ids)
                np.savez(part, *pooled_maps(shown, trunk, roi_size=ROI_SIZE))
                part.replace(path)
            with np.load(path) as kept:
                self.held[trunk_name, view] = [torch.from_numpy(kept[name]) for name in kept.files]
        return self.held[trunk_name, view]


@dataclass(frozen=True)
class Archive:
    """Row i of every array is one located lesion.

    `locations` (N, 3), `sizes_mm` (N, 2); `types` as the source states them, "" if it does not;
    `true_types` where the truth tells them.
    """

    name: str
    maps: Maps
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


def load_archive(path: Path, truth: Path | None, trunk_name: str, cache: Path) -> Archive:
    """Read a located workspace, cutting patches where they are missing.

    They have `SLICES` slices; the middle three are the paper's.
    """
    workspace = Workspace(path)
    with workspace.lock():
        imaging = replace(preset("demo").imaging, context_slices=SLICES)
        patches = ensure_patches(workspace, imaging, RunReport("objectives"))
    lesions = lesions_in_order(workspace, list(patches.lesion_ids))
    usable = np.isfinite(places_of(lesions)).all(axis=1) & ~lesions.possibly_noisy
    kept = lesions[usable].reset_index(drop=True)
    true_types, owners = _from_truth(kept, truth)
    key = fingerprint(workspace.key("patches"), workspace.key("locations"))
    return Archive(
        name=path.name if path.name != "workspace" else path.parent.name,
        maps=Maps(patches, list(kept.lesion_id), trunk_name, key, cache),
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
