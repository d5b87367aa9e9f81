"""Vectors of a former `embedding` stage, taken over where the same network would see the same input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.pipeline.patches import patch_keys
from lesiongraph.workspace import StageFolder, Workspace, fingerprint

_KEYS = "vector_keys"


@dataclass(frozen=True)
class FormerVectors:
    """What each lesion's vector is made from now, and what of it is known from before.

    `keys[i]` belongs to the i-th lesion of the patches; "" where its input is not known (earlier versions).
    """

    keys: list[str]
    known: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, workspace: Workspace, lesion_ids: Sequence[str], places: np.ndarray | None, model: str
    ) -> FormerVectors:
        """Compare the lesions' inputs with those of the former result, if that is by the same model.

        Parameters
        ----------
        places : (N, 5) array, optional
            Location and size, where the model's head is told them.
        model : str
            `WorkspaceEmbedder.key`.
        """
        cut_from = patch_keys(workspace)
        told = [""] * len(lesion_ids) if places is None else [row.tobytes().hex() for row in places]
        keys = [
            fingerprint(cut_from[lesion_id], place) if lesion_id in cut_from else ""
            for lesion_id, place in zip(lesion_ids, told, strict=True)
        ]
        return cls(keys, _known(workspace, model))

    @cached_property
    def new(self) -> np.ndarray:
        """Rows (n,) that must be embedded."""
        return np.array([i for i, key in enumerate(self.keys) if not key or key not in self.known], np.int64)

    def complete(self, new_vectors: np.ndarray) -> np.ndarray:
        """Return all vectors (N, D): `new_vectors` (n, D) at the rows `new`, known ones elsewhere."""
        width = new_vectors.shape[1] if len(new_vectors) else len(next(iter(self.known.values()), ()))
        vectors = np.empty((len(self.keys), width), np.float32)
        vectors[self.new] = new_vectors
        for row in np.setdiff1d(np.arange(len(self.keys)), self.new):
            vectors[row] = self.known[self.keys[row]]
        return vectors

    def write(self, folder: StageFolder) -> None:
        """Write the keys beside the vectors."""
        folder.write_table(_KEYS, pd.DataFrame({"key": self.keys}))


def _known(workspace: Workspace, model: str) -> dict[str, np.ndarray]:
    if not workspace.has("embedding"):
        return {}
    folder = workspace.open("embedding", "embed")
    try:
        if folder.read_json("origin")["model"] != model:
            return {}
        keys = list(folder.read_table(_KEYS)["key"])
        vectors = folder.read_array("vectors")
    except LesionGraphError:  # of an earlier version, or damaged: it is made again
        return {}
    return {key: vectors[row] for row, key in enumerate(keys) if key}
