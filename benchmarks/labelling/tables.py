"""The data of the trials as arrays: a release without images, real marks with images, a workspace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from labelling.trial import Data
from lesiongraph.cues import location_vectors
from lesiongraph.embedding import Trunk, initial_from_maps, pooled_maps
from lesiongraph.imaging import cut_patch
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import Workspace

SIZE_WEIGHT = 0.3  # size tells less of the type than the other blocks; not tuned beyond one try


def metadata(release: Path) -> Data:
    """Typed marks of a DeepLesion release without images: stated location and size only."""
    lesions = mine_sources([release]).lesions
    lesions = _typed(lesions[lesions.status == KEPT])
    lesions = lesions[lesions[["x_stated", "y_stated", "z_stated"]].notna().all(axis=1)]
    location = location_vectors(lesions[["x_stated", "y_stated", "z_stated"]].to_numpy(float))
    features = {
        "location": [(location, 1.0)],
        "location + size": [(location, 1.0), (_log_sizes(lesions), SIZE_WEIGHT)],
    }
    return _data(release.name, lesions, features)


def deeplesion_marks(sources: list[Path], trunk: Trunk) -> Data:
    """Typed marks with an image, and the initial feature of a trunk."""
    mined = mine_sources(sources)
    lesions = _typed(mined.lesions[(mined.lesions.status == KEPT) & (mined.lesions.slice_index >= 0)])
    patches = []
    for row in lesions.itertuples():
        one = mined.series[mined.series.series_instance_uid == row.series_instance_uid].iloc[0].to_dict()
        its = mined.slices[mined.slices.series_instance_uid == row.series_instance_uid]
        its = its.sort_values("slice_index")
        box = BoundingBox(row.x0, row.y0, row.x1, row.y1)
        patches.append(cut_patch(open_series(one, its), one, its, row.slice_index, box, ImagingRecipe()))
    initial = initial_from_maps(pooled_maps(patches, trunk))
    location = location_vectors(lesions[["x_stated", "y_stated", "z_stated"]].to_numpy(float))
    return _data(
        " + ".join(one.name for one in sources) + f", {trunk.variant.name}",
        lesions,
        _blocks(initial, location, lesions),
    )


def workspace_marks(path: Path, truth: Path | None) -> Data:
    """Marks of a workspace with images and location; types from `truth` (by tracking UID) where given."""
    vectors = read_vectors(Workspace(path), "initial", "ours")
    lesions = vectors.lesions
    if truth is not None:
        lesions = lesions.assign(type=true_types(lesions, truth))
    kept = ((lesions.type != "") & lesions[["lx", "ly", "lz"]].notna().all(axis=1)).to_numpy()
    print(f"workspace: {len(lesions)} lesions, {int((~kept).sum())} left out without type or location")
    lesions = lesions[kept]
    location = location_vectors(lesions[["lx", "ly", "lz"]].to_numpy(float))
    return _data("workspace", lesions, _blocks(vectors.matrix[kept], location, lesions))


def true_types(lesions: pd.DataFrame, truth: Path) -> np.ndarray:
    """Return the phantom's type of each mark, by tracking UID; empty where the truth does not name it."""
    table = pd.read_csv(truth, dtype=str).fillna("").drop_duplicates("tracking_uid")
    known = table[table.tracking_uid != ""].set_index("tracking_uid").type
    return lesions.tracking_uid.map(known).fillna("").to_numpy(str)


def _blocks(
    initial: np.ndarray, location: np.ndarray, lesions: pd.DataFrame
) -> dict[str, list[tuple[np.ndarray, float]]]:
    size = _log_sizes(lesions)
    return {
        "initial feature": [(initial, 1.0)],
        "location": [(location, 1.0)],
        "initial + location": [(initial, 1.0), (location, 1.0)],
        "initial + location + size": [(initial, 1.0), (location, 1.0), (size, SIZE_WEIGHT)],
    }


def _data(name: str, lesions: pd.DataFrame, features: dict[str, list[tuple[np.ndarray, float]]]) -> Data:
    return Data(name, lesions.type.to_numpy(str), lesions.patient_id.to_numpy(str), features)


def _typed(lesions: pd.DataFrame) -> pd.DataFrame:
    return lesions[(lesions.type != "") & ~lesions.possibly_noisy]


def _log_sizes(lesions: pd.DataFrame) -> np.ndarray:
    return np.log(lesions[["long_mm", "short_mm"]].to_numpy(float))
