"""The catalogue: four tables, one row a lesion, a series, a slice, a landmark.

The tables are pandas frames; `conform` is the one door through which every frame enters the catalogue.
Text columns hold "" where a value is unknown, number columns NaN, integers −1.
"""

from __future__ import annotations

import pandas as pd

KEPT = "kept"
REJECTED = "rejected"

TEXT, NUMBER, WHOLE, FLAG = "object", "float64", "int64", "bool"

LESIONS: dict[str, str] = {
    "lesion_id": TEXT,  # stable across runs: derived from the source object, never from the order
    "patient_id": TEXT,
    "study_instance_uid": TEXT,
    "study_date": TEXT,  # YYYY-MM-DD, "" unknown
    "series_instance_uid": TEXT,  # of the image series; key into SERIES
    "sop_instance_uid": TEXT,  # of the key slice
    "slice_index": WHOLE,  # row of SLICES within the series, 0 = nearest the head; -1 no image
    "source": TEXT,  # SR | GSPS | RTSTRUCT | SEG | mask | box | DeepLesion
    "source_path": TEXT,  # the object or table the mark was read from
    "source_item": TEXT,  # which mark inside that object
    "image": TEXT,  # file of the key slice, "" where there is none
    "status": TEXT,  # KEPT | REJECTED
    "reason": TEXT,  # why rejected; "" when kept
    "flags": TEXT,  # semicolon-separated remarks on a kept mark
    # the two axes and the box in array coordinates of the STORED image (0-based px)
    "long_x0": NUMBER,
    "long_y0": NUMBER,
    "long_x1": NUMBER,
    "long_y1": NUMBER,
    "short_x0": NUMBER,
    "short_y0": NUMBER,
    "short_x1": NUMBER,
    "short_y1": NUMBER,
    "x0": NUMBER,
    "y0": NUMBER,
    "x1": NUMBER,
    "y1": NUMBER,
    "long_px": NUMBER,
    "short_px": NUMBER,
    "long_mm": NUMBER,
    "short_mm": NUMBER,
    "columns": WHOLE,  # image size the mark refers to
    "rows": WHOLE,
    "spacing_x_mm": NUMBER,
    "spacing_y_mm": NUMBER,
    "x_stated": NUMBER,  # relative body location stated by the source (DeepLesion)
    "y_stated": NUMBER,
    "z_stated": NUMBER,
    "type": TEXT,  # one of LESION_TYPES or ""
    "possibly_noisy": FLAG,
    "split": TEXT,  # train | val | test
    "subset": TEXT,  # pool | seed | validation | test (facts: the paper's protocol)
    "finding": TEXT,  # coded meaning, as found
    "finding_site": TEXT,
    "tracking_uid": TEXT,
    "patient_sex": TEXT,
    "patient_age": NUMBER,
}

SERIES: dict[str, str] = {
    "series_instance_uid": TEXT,
    "study_instance_uid": TEXT,
    "patient_id": TEXT,
    "study_date": TEXT,
    "kind": TEXT,  # dicom | deeplesion | nifti: which reader opens it
    "description": TEXT,
    "kernel": TEXT,
    "columns": WHOLE,
    "rows": WHOLE,
    "spacing_x_mm": NUMBER,
    "spacing_y_mm": NUMBER,
    "slice_interval_mm": NUMBER,  # median distance of neighbouring slices; NaN unknown
    "slice_thickness_mm": NUMBER,
    "slices": WHOLE,
    "body_part_examined": TEXT,  # as the header states it (0018,0015)
    "flip_x": FLAG,  # stored columns run towards the patient's right
    "flip_y": FLAG,  # stored rows run towards the front
    "flags": TEXT,
}

SLICES: dict[str, str] = {
    "series_instance_uid": TEXT,
    "slice_index": WHOLE,  # 0 = nearest the head
    "position_mm": NUMBER,  # along head → foot, larger = nearer the feet; NaN unknown
    "sop_instance_uid": TEXT,
    "path": TEXT,
    "frame": WHOLE,  # frame of a multi-frame object, plane of a NIfTI volume, 0 otherwise
}

LANDMARKS: dict[str, str] = {
    "series_instance_uid": TEXT,
    "name": TEXT,  # the organ, as named by the structure
    "top_index": NUMBER,  # slice indices (0 = nearest the head) that the structure spans
    "bottom_index": NUMBER,
    "centre_index": NUMBER,
    "source_path": TEXT,
}

LOCATIONS: dict[str, str] = {
    "lesion_id": TEXT,
    "x": NUMBER,
    "y": NUMBER,
    "z": NUMBER,
    "z_sd": NUMBER,  # expected error of z; NaN where nothing is known of it
    "region": TEXT,  # head | neck | chest | abdomen | pelvis | thigh; "" without an atlas
    "score": NUMBER,  # raw SSBR score
    "confidence": NUMBER,  # 0–1
    "flag": TEXT,  # why z is not to be trusted; "" when it is
    "model": TEXT,  # which SSBR weights gave z: name and sha256
}

SERIES_LOCATIONS: dict[str, str] = {
    "series_instance_uid": TEXT,
    "slices_scored": WHOLE,
    "z_from": NUMBER,  # of the slices that show a body
    "z_to": NUMBER,
    "regions": TEXT,  # those the series shows, head to foot, separated by ", "
    "body_part_examined": TEXT,  # DICOM's term for them (PS3.16 Annex L)
    "body_part_given": TEXT,  # what the header states
    "agreement": TEXT,  # of the two: yes | in part | no | unknown term | ""
    "r": NUMBER,  # Pearson's, position against score
    "mm_per_score": NUMBER,  # from the series' own slope; negative if upside down
    "residual_mm": NUMBER,  # robust standard deviation of the scores about their line
    "z_sd": NUMBER,  # median of its slices'
    "confidence": NUMBER,  # median of its slices'
    "flag": TEXT,  # semicolon-separated remarks on the series, and how many slices carry others
}

CATALOGUE: dict[str, dict[str, str]] = {
    "lesions": LESIONS,
    "series": SERIES,
    "slices": SLICES,
    "landmarks": LANDMARKS,
}

_EMPTY: dict[str, object] = {TEXT: "", NUMBER: float("nan"), WHOLE: -1, FLAG: False}


def empty_row(schema: dict[str, str]) -> dict[str, object]:
    """Return a row with every column at its "unknown" value."""
    return {name: _EMPTY[kind] for name, kind in schema.items()}


def conform(frame: pd.DataFrame, schema: dict[str, str]) -> pd.DataFrame:
    """Return `frame` with exactly the columns of `schema`, in order, typed, gaps filled.

    Raises
    ------
    ValueError
        If the frame has a column the schema does not know: a misspelt name must not vanish.
    """
    unknown = sorted(set(frame.columns) - set(schema))
    if unknown:
        raise ValueError(f"columns not in the schema: {', '.join(unknown)}")
    columns = {}
    for name, kind in schema.items():
        if name in frame.columns:
            column = frame[name]
            if kind != NUMBER:
                column = column.astype("object").where(column.notna(), _EMPTY[kind])
            # pandas would give text one of two dtypes, by what it holds: frames then would not compare
            columns[name] = (column.map(str) if kind == TEXT else column).astype(kind)
        else:
            columns[name] = pd.Series([_EMPTY[kind]] * len(frame), index=frame.index, dtype=kind)
    return pd.DataFrame(columns, columns=list(schema))
