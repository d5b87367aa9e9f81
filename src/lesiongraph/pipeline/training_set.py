"""Workspace → who takes part in a training: seeds, pool, and the pool's cue vectors (Sec. 4.1, 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesiongraph.cues import location_vectors, size_vectors
from lesiongraph.errors import NotEnoughDataError, StageMissingError
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.workspace import Workspace

PLACE_COLUMNS = ("lx", "ly", "lz", "long_mm", "short_mm")  # of `kept_lesions`


@dataclass(frozen=True)
class TrainingSet:
    """Who takes part: rows are rows of the feature arrays."""

    lesions: pd.DataFrame  # catalogue rows, one a feature row
    seeds: np.ndarray  # (n,) rows with a manual type, never in the triplet network
    pool: np.ndarray  # (m,) rows that the triplet network learns from
    locations: np.ndarray  # (m, 3) divided by their maximum over the pool
    sizes: np.ndarray  # (m, 2)

    @property
    def seed_types(self) -> np.ndarray:
        """Manual types (n,) of the seeds."""
        types: np.ndarray = self.lesions.type.to_numpy(str)[self.seeds]
        return types

    @property
    def seed_patients(self) -> np.ndarray:
        """Patients (n,) of the seeds."""
        patients: np.ndarray = self.lesions.patient_id.to_numpy(str)[self.seeds]
        return patients

    @property
    def places(self) -> np.ndarray:
        """Location and size (N, 5) of all lesions, for a head that is told them."""
        return places_of(self.lesions)

    def counts(self) -> dict[str, int]:
        """Return how many take part, and how many with a remark on their location."""
        pool = self.lesions.iloc[self.pool]
        remarks = (pool.z_flag.fillna("") != "") & pool.z_stated.isna()
        return {
            "seeds": len(self.seeds),
            "pool": len(self.pool),
            "pool lesions with a remark on their location (used)": int(remarks.sum()),
        }


def lesions_in_order(workspace: Workspace, lesion_ids: list[str]) -> pd.DataFrame:
    """Return the kept lesions of these ids, in their order."""
    lesions = kept_lesions(workspace).set_index("lesion_id", drop=False).loc[lesion_ids]
    return lesions.reset_index(drop=True)


def places_of(lesions: pd.DataFrame) -> np.ndarray:
    """Return x, y, z, long and short axis in mm (N, 5) of lesions from `kept_lesions`; NaN where unknown."""
    places: np.ndarray = lesions[list(PLACE_COLUMNS)].to_numpy(float)
    return places


def check_located(workspace: Workspace) -> None:
    """Refuse a lesion added since `locate`: it would be left out of the pool without a word.

    Raises
    ------
    StageMissingError
        If nothing was located, or a lesion was mined since.
    """
    located = workspace.open("locations", "locate", "locations of the lesions").read_table("locations")
    added = int((~kept_lesions(workspace).lesion_id.isin(located.lesion_id)).sum())
    if added:
        raise StageMissingError(f"location of {added} lesions mined since", "locate", workspace.path)


def training_set(workspace: Workspace, lesion_ids: list[str]) -> TrainingSet:
    """Return who takes part, of the lesions that have features.

    Raises
    ------
    NotEnoughDataError
        If there are no seeds of two types, or fewer than five pool lesions.
    """
    lesions = lesions_in_order(workspace, lesion_ids)
    usable = ~lesions.possibly_noisy & lesions[list(PLACE_COLUMNS)].notna().all(axis=1)
    seeds = np.flatnonzero((lesions.subset == "seed") & (lesions.type != "") & ~lesions.possibly_noisy)
    pool = np.flatnonzero((lesions.subset == "pool") & usable)
    if lesions.type.iloc[seeds].nunique() < 2:
        raise NotEnoughDataError(
            "Training", "seed lesions of at least two types", f"{len(seeds)} seeds",
            "Mine a source whose marks carry a type (a coded finding site, or DeepLesion split 2).",
        )  # fmt: skip
    if len(pool) < 5:
        raise NotEnoughDataError("Training", "at least 5 pool lesions", len(pool), "Mine more sources.")
    return TrainingSet(
        lesions=lesions,
        seeds=seeds,
        pool=pool,
        locations=location_vectors(lesions[["lx", "ly", "lz"]].to_numpy(float)[pool]),
        sizes=size_vectors(lesions[["long_mm", "short_mm"]].to_numpy(float)[pool]),
    )
