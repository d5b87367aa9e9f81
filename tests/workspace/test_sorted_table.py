"""A sorted table on disk: read by value, in parts and whole, also as earlier versions wrote it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lesiongraph.lesion import SLICES, conform
from lesiongraph.workspace import DamagedResultError, SortedTable, sorted_table, write_sorted

KEY = "series_instance_uid"


def slices(rng: np.random.Generator, series: int) -> pd.DataFrame:
    # one UID the beginning of another, one beyond ASCII: sorted as Python sorts
    uids = sorted({f"1.2.{i}" for i in range(series)} | {"1.2", "äß", "😀", "~"})
    counts = rng.integers(1, 9, len(uids))
    uid = np.repeat(uids, counts)
    return conform(
        pd.DataFrame(
            {
                KEY: uid,
                "slice_index": np.concatenate([np.arange(n) for n in counts]),
                "position_mm": np.where(rng.random(len(uid)) < 0.1, np.nan, rng.random(len(uid))),
                "path": [f"/{u}" for u in uid],
            }
        ),
        SLICES,
    )


def by_series(frame: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows for _, rows in frame.groupby(KEY, sort=False)]


def checked(table: SortedTable, wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table.whole(), wanted)
    assert len(table) == len(wanted)
    assert table.values() == set(wanted[KEY])
    parts = list(table.parts())
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), wanted)
    assert sum(part[KEY].nunique() for part in parts) == wanted[KEY].nunique(), "no value in two parts"
    for uid, rows in wanted.groupby(KEY):
        pd.testing.assert_frame_equal(table.of(uid), rows.reset_index(drop=True))
    pd.testing.assert_frame_equal(table.of("1.2.none"), wanted.iloc[:0])
    some = sorted(set(wanted[KEY]))[1::3]
    found = table.of_all([*some, "1.2.none"])
    pd.testing.assert_frame_equal(found, wanted[wanted[KEY].isin(some)].reset_index(drop=True))


@pytest.mark.parametrize("rows_a_group", [1, 7, 10_000])
def test_written_in_parts(tmp_path, monkeypatch, rows_a_group):
    monkeypatch.setattr(sorted_table, "ROWS_A_GROUP", rows_a_group)
    wanted = slices(np.random.default_rng(rows_a_group), 40)
    write_sorted(tmp_path / "t.parquet", by_series(wanted), SLICES)
    checked(SortedTable(tmp_path / "t.parquet", KEY), wanted)


@pytest.mark.parametrize("rows_a_group", [3, 1_000_000])
def test_written_by_an_earlier_version(tmp_path, rows_a_group):
    """Row groups then end anywhere: one series may lie in several."""
    wanted = slices(np.random.default_rng(1), 25)
    wanted.to_parquet(tmp_path / "t.parquet", index=False, row_group_size=rows_a_group)
    checked(SortedTable(tmp_path / "t.parquet", KEY), wanted)


def test_an_empty_table(tmp_path):
    nothing = conform(pd.DataFrame(), SLICES)
    for path, write in (("a", lambda p: write_sorted(p, [], SLICES)), ("b", nothing.to_parquet)):
        write(tmp_path / path)
        table = SortedTable(tmp_path / path, KEY)
        assert (len(table), table.values(), list(table.parts()), len(table.of("1"))) == (0, set(), [], 0)


def test_small_parts_are_joined(tmp_path):
    wanted = slices(np.random.default_rng(2), 300)
    write_sorted(tmp_path / "t.parquet", by_series(wanted), SLICES)
    assert SortedTable(tmp_path / "t.parquet", KEY)._file.num_row_groups == 1


def test_a_reader_keeps_its_state_of_the_table(tmp_path):
    wanted = slices(np.random.default_rng(3), 5)
    write_sorted(tmp_path / "t.parquet", [wanted], SLICES)
    table = SortedTable(tmp_path / "t.parquet", KEY)
    (tmp_path / "t.parquet").unlink()
    pd.testing.assert_frame_equal(table.whole(), wanted)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DamagedResultError, match="no such file"):
        SortedTable(tmp_path / "t.parquet", KEY)
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DamagedResultError, match="run the stage again"):
        SortedTable(tmp_path / "t.parquet", KEY)
