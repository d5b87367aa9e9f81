"""What holds of every catalogue, whatever was mined."""

from __future__ import annotations

import numpy as np
import pandas as pd

AXES = ["long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1"]
BOX = ["x0", "y0", "x1", "y1"]
REASON_MAX = 200


def check(lesions: pd.DataFrame) -> None:
    """Fail where a row breaks the promise of the catalogue."""
    assert lesions.lesion_id.is_unique
    assert set(lesions.status) <= {"kept", "rejected"}
    rejected = lesions[lesions.status == "rejected"]
    assert (rejected.reason != "").all()
    assert rejected.reason.str.len().max() <= REASON_MAX or not len(rejected)
    kept = lesions[lesions.status == "kept"]
    assert (kept.reason == "").all()
    drawn = kept[kept.source != "box"]
    assert np.isfinite(drawn[[*AXES, *BOX, "long_mm", "short_mm"]].to_numpy(float)).all()
    assert (drawn.long_mm >= drawn.short_mm - 1e-9).all()
    assert (kept.x0 <= kept.x1).all()
    assert (kept.y0 <= kept.y1).all()
    placed = kept[kept.slice_index >= 0]
    xs, ys = placed[AXES[0::2]].to_numpy(float), placed[AXES[1::2]].to_numpy(float)
    assert ((xs >= -0.5) & (xs <= placed[["columns"]].to_numpy() - 0.5)).all()
    assert ((ys >= -0.5) & (ys <= placed[["rows"]].to_numpy() - 0.5)).all()
