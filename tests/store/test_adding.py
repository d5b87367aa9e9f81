"""Adding to a catalogue, at the cost of what was found, gives what merging everything gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesiongraph.lesion import CATALOGUE, conform
from lesiongraph.mining import MiningResult, assign_subsets, merge_results
from lesiongraph.pipeline import snapshot_slices
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.workspace import Workspace, sorted_table


def archive(rng: np.random.Generator, patients: range) -> MiningResult:
    """Some series with any of eight slices each, and a mark on a slice that is there, or on none."""
    lesions, series, slices, landmarks = [], [], [], []
    for patient in patients:
        uid = f"s{patient}"
        positions = np.sort(rng.choice(8, rng.integers(1, 8), replace=False))
        about = {"series_instance_uid": uid, "patient_id": f"P{patient}"}
        series.append({**about, "slices": len(positions)})
        slices += [
            {"series_instance_uid": uid, "slice_index": i, "sop_instance_uid": f"{uid}.{p}",
             "position_mm": np.nan if patient % 5 == 0 else p, "path": f"/{uid}/{p}"}
            for i, p in enumerate(positions)
        ]  # fmt: skip
        landmarks += [{"series_instance_uid": uid, "name": "liver", "top_index": float(positions[0])}]
        has_image = 3 in positions
        where = int(np.flatnonzero(positions == 3)[0]) if has_image else -1
        lesions.append(
            {**about, "lesion_id": f"L{patient}", "sop_instance_uid": f"{uid}.3", "slice_index": where,
             "status": "kept" if has_image else "rejected", "source_path": str(rng.integers(3))}
        )  # fmt: skip
    tables = {"lesions": lesions, "series": series, "slices": slices, "landmarks": landmarks}
    return merge_results(
        [
            MiningResult(
                **{name: conform(pd.DataFrame(rows), CATALOGUE[name]) for name, rows in tables.items()}
            )
        ]
    )


def snapshot_is(workspace: Workspace, wanted: MiningResult) -> None:
    found = read_catalogue(workspace)
    pd.testing.assert_frame_equal(found.lesions, assign_subsets(wanted.lesions))
    pd.testing.assert_frame_equal(found.series, wanted.series)
    pd.testing.assert_frame_equal(found.slices.whole(), wanted.slices)
    pd.testing.assert_frame_equal(found.landmarks, wanted.landmarks)


@pytest.mark.parametrize("seed", range(6))
def test_adding_is_merging(tmp_path, store_url, monkeypatch, seed):
    monkeypatch.setattr(snapshot_slices, "_SERIES_AT_ONCE", 2)
    monkeypatch.setattr(sorted_table, "ROWS_A_GROUP", 5)
    rng = np.random.default_rng(seed)
    workspace = Workspace(tmp_path / "w")
    whole = MiningResult()
    for _ in range(4):
        first = int(rng.integers(0, 30))
        found = archive(rng, range(first, first + int(rng.integers(1, 9))))
        with workspace.lock(), stored_catalogue(workspace, store_url) as stored:
            stored.add(found, ["/archive"])
        whole = merge_results([found, whole])
        snapshot_is(workspace, whole)


def test_what_is_there_already_changes_nothing(tmp_path):
    workspace = Workspace(tmp_path / "w")
    found = archive(np.random.default_rng(0), range(8))
    with workspace.lock(), stored_catalogue(workspace) as stored:
        stored.add(found, ["/archive"])
    before = (workspace.path / "catalogue.sqlite").read_bytes()
    with workspace.lock(), stored_catalogue(workspace) as stored:
        assert stored.add(found, ["/archive"]).already_done
        assert stored.add(MiningResult(), ["/archive"]).already_done
    assert (workspace.path / "catalogue.sqlite").read_bytes() == before
    snapshot_is(workspace, found)
