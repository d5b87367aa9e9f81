"""People's decisions → what they make of the catalogue's rows, and of pairs of lesions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from lesiongraph.errors import DecisionError
from lesiongraph.graph import Links
from lesiongraph.lesion import ACCEPT, KEPT, REJECTED, Axis, Decision, RecistMark, Ruling, rule
from lesiongraph.mining.rules import ACCEPTED_BY_HAND
from lesiongraph.recipe import ImagingRecipe

REJECTED_BY_HAND = "rejected by hand"
CANNOT_BE_ACCEPTED = "cannot be accepted"
_UNREADABLE = ("unreadable", "truncated file")
_AXES = [f"{axis}_{end}" for axis in ("long", "short") for end in ("x0", "y0", "x1", "y1")]
_BOX = ["x0", "y0", "x1", "y1"]


def apply_ruling(lesions: pd.DataFrame, ruling: Ruling) -> pd.DataFrame:
    """Return the LESIONS rows as people decided; a decision on a mark that is not there waits for it."""
    decided = lesions.copy()
    row_of = dict(zip(decided.lesion_id, decided.index, strict=True))
    for lesion_id, decision in ruling.status.items():
        if lesion_id in row_of:
            for column, value in _judged(decided.loc[row_of[lesion_id]], decision).items():
                decided.at[row_of[lesion_id], column] = value
    for lesion_id, decision in ruling.types.items():
        if lesion_id in row_of:
            decided.at[row_of[lesion_id], "type"] = decision.value
    return decided


def _judged(row: pd.Series, decision: Decision) -> dict[str, object]:
    """Return the columns that a decision on a mark's status changes."""
    if decision.kind != ACCEPT:
        note = f": {decision.note}" if decision.note else ""
        return {"status": REJECTED, "reason": f"{REJECTED_BY_HAND}{note}"}
    cause = why_unusable(row)
    if cause:
        return {"status": REJECTED, "reason": f"{CANNOT_BE_ACCEPTED}: {cause}"}
    flags = [flag for flag in row["flags"].split(";") if flag]
    changed: dict[str, object] = {
        "status": KEPT,
        "reason": "",
        "flags": ";".join([*flags, ACCEPTED_BY_HAND]),
    }
    if not np.isfinite(row[_BOX].to_numpy(float)).all():
        mark = _mark(row)
        box = mark.bounding_box(ImagingRecipe().box_padding_px)
        changed |= {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
    return changed


def why_unusable(row: pd.Series) -> str:
    """Return why a mark cannot be kept whoever wishes it, "" where it can: it needs an image, and a place."""
    if row.slice_index < 0 or not row.image:
        return str(row.reason) or "its image is not known"
    if str(row.reason).startswith(_UNREADABLE):
        return str(row.reason)
    if not (row.spacing_x_mm > 0 and row.spacing_y_mm > 0):
        return "the pixel spacing of its image is unknown"
    box = row[_BOX].to_numpy(float)
    if not np.isfinite(box).all():
        if not np.isfinite(row[_AXES].to_numpy(float)).all():
            return "it has neither a box nor two axes"
        mark = _mark(row)
        if min(mark.long_axis.length_px, mark.short_axis.length_px) <= 0:
            return "its axes have no length"
        tight = mark.bounding_box(0.0)
        box = np.array([tight.x0, tight.y0, tight.x1, tight.y1])
    centre = (box[:2] + box[2:]) / 2
    if (centre < -0.5).any() or (centre > np.array([row["columns"], row["rows"]]) - 0.5).any():
        return "it lies outside its image"
    return ""


def _mark(row: pd.Series) -> RecistMark:
    ends = [float(value) for value in row[_AXES]]
    return RecistMark(Axis(*ends[:4]), Axis(*ends[4:]))


def decided_links(decisions: Iterable[Decision], lesions: pd.DataFrame) -> Links:
    """Return what people decided of pairs, as rows of `lesions`.

    Raises
    ------
    ContradictoryDecisionsError
        If a pair is kept apart that others make one.
    DecisionError
        If a pair that must be one lies in two patients.
    """
    ruling = rule(decisions)
    row_of = {lesion_id: i for i, lesion_id in enumerate(lesions.lesion_id)}
    owners = lesions.patient_id.tolist()
    for decision in ruling.confirmed:
        rows = [row_of[end] for end in decision.pair if end in row_of]
        if len({owners[row] for row in rows}) > 1:
            raise DecisionError(
                f"{decision}: the two lesions now belong to two patients, {owners[rows[0]]} and "
                f"{owners[rows[1]]}. `lesiongraph decide undo {decision.id}` takes it back."
            )
    must, cannot = ruling.links(row_of)
    as_rows = ([(row_of[a], row_of[b]) for a, b in pairs] for pairs in (must, cannot))
    return Links(*(np.array(rows, dtype=np.int64).reshape(-1, 2) for rows in as_rows))


def links_key(links: Links, lesions: pd.DataFrame) -> list[list[str]]:
    """Return the links by lesion id, for the key of a stage; empty where there are none."""
    ids = lesions.lesion_id.tolist()
    named = [
        [kind, ids[a], ids[b]]
        for kind, pairs in (("must", links.must), ("cannot", links.cannot))
        for a, b in pairs.tolist()
    ]
    return sorted(named)
