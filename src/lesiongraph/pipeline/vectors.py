"""One vector a lesion, with the lesion's catalogue row beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesiongraph.errors import StageMissingError, UsageError
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.embedder import workspace_embedder
from lesiongraph.workspace import Workspace

FEATURES = ("embedding", "initial", "location", "size")


@dataclass(frozen=True)
class Vectors:
    """`matrix[i]` (N, D) belongs to `lesions.iloc[i]`."""

    matrix: np.ndarray
    lesions: pd.DataFrame

    def take(self, rows: np.ndarray) -> Vectors:
        """Return some rows, by number or by mask, renumbered from 0."""
        return Vectors(self.matrix[rows], self.lesions.iloc[rows].reset_index(drop=True))


def read_vectors(workspace: Workspace, feature: str, location: str = "stated") -> Vectors:
    """Return the embeddings or initial features made by `embed`.

    Raises
    ------
    StageMissingError
        If `embed` has not run, or the catalogue or the model has changed since.
    UsageError
        If the feature has no stored vectors.
    """
    if feature not in ("embedding", "initial"):
        raise UsageError(f"Unknown feature {feature!r}; expected embedding or initial.")
    folder = workspace.open(feature, "embed", f"{feature} of the lesions")
    origin = folder.read_json("origin")
    if feature == "embedding" and origin["model"] != workspace_embedder(workspace).key:
        raise StageMissingError(
            "embedding by the model as it is now (it was trained again since)", "embed", workspace.path
        )
    if origin["catalogue"] != workspace.key("catalogue"):
        raise StageMissingError(
            f"{feature} for the catalogue as it is now (sources were added since)", "embed", workspace.path
        )
    rows = kept_lesions(workspace, location).set_index("lesion_id", drop=False)
    ids = folder.read_table("ids").lesion_id
    return Vectors(np.asarray(folder.read_array("vectors"), np.float32), rows.loc[ids].reset_index(drop=True))
