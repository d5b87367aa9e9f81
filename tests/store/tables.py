"""Catalogue tables made up row by row: any number of patients, each with a series, slices and marks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lesiongraph.lesion import KEPT, LANDMARKS, LESIONS, SERIES, SLICES, conform
from lesiongraph.mining import MiningResult, merge_results
from lesiongraph.pipeline.stored_catalogue import content_key


def key_of(tables: MiningResult) -> str:
    """Return the key of a snapshot of these tables."""
    return content_key(tables.lesions, tables.series, [tables.slices], tables.landmarks)


def catalogue(patients: range, *, slices: int = 4, marks: int = 2, study: str = "1") -> MiningResult:
    """Return what mining these patients would give: one series each."""
    who = np.repeat(list(patients), marks)
    which = np.tile(np.arange(marks), len(patients))
    series = [f"1.2.{patient}.{study}" for patient in patients]
    uid = np.repeat(series, marks)
    lesions = pd.DataFrame(
        {
            "lesion_id": [f"L-{p:06d}-{study}-{k}" for p, k in zip(who, which, strict=True)],
            "patient_id": [f"P-{p}" for p in who],
            "study_instance_uid": [f"{u}.9" for u in uid],
            "study_date": f"2020-01-{int(study):02d}",
            "series_instance_uid": uid,
            "sop_instance_uid": [f"{u}.{k % slices}" for u, k in zip(uid, which, strict=True)],
            "slice_index": which % slices,
            "source": "SR",
            "source_path": [f"/archive/{u}/report" for u in uid],
            "source_item": which.astype(str),
            "image": [f"/archive/{u}/{k}" for u, k in zip(uid, which, strict=True)],
            "status": KEPT,
            "type": np.where(who % 2 == 0, "liver", ""),
            "columns": 512,
            "rows": 512,
            "spacing_x_mm": 0.7,
            "spacing_y_mm": 0.7,
            "long_px": 20 / 3 + which,
            "possibly_noisy": which == 1,
            **dict.fromkeys(("x0", "y0"), 100.0),
            **dict.fromkeys(("x1", "y1"), 120.0 + which),
        }
    )
    counted = np.tile(np.arange(slices), len(patients))
    of = np.repeat(series, slices)
    sl = pd.DataFrame(
        {
            "series_instance_uid": of,
            "slice_index": counted,
            "position_mm": counted * 5.0,
            "sop_instance_uid": [f"{u}.{k}" for u, k in zip(of, counted, strict=True)],
            "path": [f"/archive/{u}/{k}" for u, k in zip(of, counted, strict=True)],
            "frame": 0,
        }
    )
    about = pd.DataFrame(
        {
            "series_instance_uid": series,
            "study_instance_uid": [f"{u}.9" for u in series],
            "patient_id": [f"P-{p}" for p in patients],
            "study_date": f"2020-01-{int(study):02d}",
            "kind": "dicom",
            "slices": slices,
        }
    )
    organs = pd.DataFrame({"series_instance_uid": series, "name": "liver", "top_index": 1.0})
    return merge_results(
        [
            MiningResult(
                conform(lesions, LESIONS),
                conform(about, SERIES),
                conform(sl, SLICES),
                conform(organs, LANDMARKS),
            )
        ]
    )
