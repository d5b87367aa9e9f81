"""Merging into a catalogue at the cost of what was found gives what merging everything gives."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lesiongraph.lesion import CATALOGUE, conform
from lesiongraph.mining import MiningResult, merge_into, merge_results


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


def same(one: MiningResult, other: MiningResult) -> None:
    for name in CATALOGUE:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("seed", range(12))
def test_merging_into_is_merging(seed):
    rng = np.random.default_rng(seed)
    former, found = archive(rng, range(12)), archive(rng, range(6, 15))
    merged, part = merge_into(found, former)
    same(merged, merge_results([found, former]))
    assert set(part.series.series_instance_uid) == set(found.series.series_instance_uid)


def test_what_is_there_already_gives_back_the_same_tables():
    former = archive(np.random.default_rng(0), range(8))
    part = {name: getattr(former, name) for name in CATALOGUE}
    merged, _ = merge_into(MiningResult(**part), former)
    assert all(getattr(merged, name) is getattr(former, name) for name in CATALOGUE)
    more = dataclasses.replace(former, lesions=former.lesions.assign(lesion_id="L-new").iloc[:1])
    merged, _ = merge_into(more, former)
    assert merged.slices is former.slices
    assert len(merged.lesions) == 9


def test_into_an_empty_catalogue():
    found = archive(np.random.default_rng(1), range(3))
    same(merge_into(found, MiningResult())[0], found)
    same(merge_into(MiningResult(), found)[0], found)
