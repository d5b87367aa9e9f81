"""A phantom hospital, mined, gives back what its radiologist drew."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesiongraph.lesion import KEPT
from lesiongraph.mining import mine_sources
from lesiongraph.phantom import generate_hospital

AXES = [f"{axis}_{end}" for axis in ("long", "short") for end in ("x0", "y0", "x1", "y1")]


@pytest.mark.slow
def test_reports_come_back_as_drawn(tmp_path: Path) -> None:
    generate_hospital(tmp_path, 2, 11, rows=64, workers=1)
    truth = pd.read_csv(tmp_path / "truth" / "truth.csv")
    drawn = truth[truth["marked"] & truth["wrong_on_purpose"].isna() & (truth["report_kind"] == "SR")]
    result = mine_sources([tmp_path / "dicom"])
    kept = result.lesions[result.lesions["status"] == KEPT]
    both = drawn.merge(kept, on="tracking_uid", suffixes=("_drawn", ""))
    assert len(both) == len(drawn) > 0
    assert (both["sop_instance_uid"] == both["sop_instance_uid_drawn"]).all()
    assert (both["slice_index"] == both["slice_index_drawn"]).all()
    boxes = {
        "x0": both[[f"{name}_drawn" for name in AXES[0::2]]].min(axis=1) - 5,
        "y0": both[[f"{name}_drawn" for name in AXES[1::2]]].min(axis=1) - 5,
        "x1": both[[f"{name}_drawn" for name in AXES[0::2]]].max(axis=1) + 5,
        "y1": both[[f"{name}_drawn" for name in AXES[1::2]]].max(axis=1) + 5,
    }
    for name, expected in boxes.items():
        np.testing.assert_allclose(both[name], expected, atol=1e-3)
    typed = both["labelled"]
    assert (both.loc[typed, "type"] == both.loc[typed, "type_drawn"]).all()
    assert (both.loc[~typed, "type"] == "").all()
