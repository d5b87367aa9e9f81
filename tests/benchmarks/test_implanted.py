"""The benchmark on grafted lesions: what is queried, and that hits of the same real patient are left out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from implanted import known_lesions, report
from lesiongraph.pipeline.vectors import Vectors


def _truth() -> pd.DataFrame:
    """Virtual patients V1, V2 of the real A, V3 of B; mark 5 was wrong on purpose."""
    return pd.DataFrame(
        {
            "patient_id": ["V1", "V2", "V3", "V3", "V3"],
            "background": ["A", "A", "B", "B", "B"],
            "tracking_uid": ["1", "2", "3", "4", "5"],
            "type": ["lung", "lung", "lung", "pelvis", "lung"],
            "marked": True,
            "wrong_on_purpose": ["", "", "", "", "zero length"],
        }
    )


def _vectors() -> Vectors:
    lesions = pd.DataFrame(
        {
            "tracking_uid": ["3", "1", "4", "2", "5"],
            "patient_id": ["V3", "V1", "V3", "V2", "V3"],
            "subset": ["test", "test", "pool", "test", "test"],
            **{name: [0.1, 0.2, 0.3, 0.4, 0.5] for name in ("lx", "ly", "lz")},
            "long_mm": 10.0,
            "short_mm": 5.0,
            "type": "",
        }
    )
    return Vectors(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.5, 0.5]]), lesions)


def test_the_truth_gives_type_and_real_patient_in_the_rows_order():
    matrix, lesions = known_lesions(_vectors(), _truth())
    assert list(lesions["tracking_uid"]) == ["3", "1", "4", "2"]
    assert list(lesions["type"]) == ["lung", "lung", "pelvis", "lung"]
    assert list(lesions["background"]) == ["B", "A", "B", "A"]
    assert matrix.tolist() == _vectors().matrix[:4].tolist()
    assert list(known_lesions(_vectors(), _truth(), "test")[1]["tracking_uid"]) == ["3", "1", "2"]


def test_the_nearest_of_the_same_real_patient_does_not_count(capsys):
    """Marks 1 and 2 are alike and of one real patient: each finds only B's, pelvis first (k = 1)."""
    matrix, lesions = known_lesions(_vectors(), _truth())
    report("initial", matrix, lesions, 1)
    out = capsys.readouterr().out
    assert "4 lesions, 3 queries, 3 virtual patients of 2 real ones" in out
    assert "one real patient only: pelvis" in out
    lung = next(line for line in out.splitlines() if "lung" in line and "n " in line)
    assert "n    3 of 2 real" in lung
    assert " 66.7 (" in lung  # 1 and 2 find the pelvis, 3 finds a lung
