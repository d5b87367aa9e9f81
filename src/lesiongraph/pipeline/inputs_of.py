"""What a stage's result for one series or lesion was made from, as short keys: equal keys, equal result.

A hospital adds studies every hour. A stage whose key has changed as a whole asks here which of its parts have
not, and takes their results over (ADR 19).
"""

from __future__ import annotations

import hashlib
from itertools import chain

import numpy as np
import pandas as pd

from lesiongraph.pipeline.catalogue import Catalogue

# What of a mark decides where it lies and which pixels its patch shows
_MARK = ["lesion_id", "slice_index", "x0", "y0", "x1", "y1"]


def series_keys(catalogue: Catalogue) -> dict[str, str]:
    """Return one key a series: its own row, its slices (order, place, file) and its landmarks.

    Files are known by their paths: the workspace takes the content of a file it has read as settled.
    """
    landmarks = catalogue.landmarks.sort_values(["series_instance_uid", "name"], kind="stable")
    digests = {uid: hashlib.sha256() for uid in catalogue.series.series_instance_uid}
    for table in chain([catalogue.series], catalogue.slices.parts(), [landmarks]):
        rows = pd.util.hash_pandas_object(table, index=False).to_numpy()  # (n,) uint64
        for uid, positions in table.groupby("series_instance_uid", sort=False).indices.items():
            if uid in digests:
                digests[uid].update(rows[np.sort(positions)].tobytes() + b"|")
    return {uid: digest.hexdigest()[:24] for uid, digest in digests.items()}


def mark_keys(lesions: pd.DataFrame, of_series: dict[str, str]) -> pd.Series[str]:
    """Return one key a lesion, indexed by lesion id: its key slice, its box, and its series."""
    rows = pd.util.hash_pandas_object(lesions[_MARK], index=False).to_numpy()
    series = [of_series.get(uid, "") for uid in lesions.series_instance_uid]
    keys = [f"{own:016x}{uid}" for own, uid in zip(rows, series, strict=True)]
    return pd.Series(keys, index=pd.Index(lesions.lesion_id, dtype="object"), dtype="object")
