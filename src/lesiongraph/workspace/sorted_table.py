"""A table on disk, sorted by a text column, read by its values: a hospital's slices do not fit in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lesiongraph.lesion import FLAG, NUMBER, TEXT, WHOLE, conform
from lesiongraph.workspace.damaged import readable

ROWS_A_GROUP = 16_384  # ours: about 2 MB of slices, read in some 5 ms
_ARROW = {TEXT: pa.string(), NUMBER: pa.float64(), WHOLE: pa.int64(), FLAG: pa.bool_()}


class SortedTable:
    """A Parquet file whose rows are sorted by `key`; a few thousand rows of it are in memory at a time.

    The file stays open: a reader keeps its state of the table when a later run replaces it.

    Parameters
    ----------
    path : Path
    key : str
        A text column. Rows of one value follow each other.

    Raises
    ------
    DamagedResultError
        If the file is gone or cannot be read; so do all methods.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self._key = key
        with readable(path):
            self._file = pq.ParquetFile(path)
            self._ranges = [self._range(group) for group in range(self._file.num_row_groups)]
        self._last: tuple[int, pd.DataFrame] | None = None

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def of(self, value: str) -> pd.DataFrame:
        """Return the rows of one value of the key, none where it has none.

        Values asked for in their order read each part of the file once.
        """
        found = [
            self._rows_of(value, group)
            for group, (least, most) in enumerate(self._ranges)
            if least <= value <= most
        ]
        found = [rows for rows in found if len(rows)] or [self._empty()]
        return found[0] if len(found) == 1 else pd.concat(found, ignore_index=True)

    def of_all(self, values: Iterable[str]) -> pd.DataFrame:
        """Return the rows of several values of the key, in the table's order; other parts are not read."""
        wanted = sorted(set(values))
        found = [self._empty()]
        for group, (least, most) in enumerate(self._ranges):
            first = bisect_left(wanted, least)
            if first < len(wanted) and wanted[first] <= most:
                rows = self._group(group)
                found.append(rows[rows[self._key].isin(wanted[first : bisect_right(wanted, most)])])
        return pd.concat(found, ignore_index=True)

    def values(self) -> set[str]:
        """Return every value of the key."""
        found: set[str] = set()
        with readable(self.path):
            for group in range(self._file.num_row_groups):
                column = self._file.read_row_group(group, columns=[self._key]).column(0)
                found.update(column.unique().to_pylist())
        return found

    def parts(self) -> Iterator[pd.DataFrame]:
        """Yield the table in its order, in parts of whole values of the key."""
        held: pd.DataFrame | None = None  # its last value may go on in the next group
        for group in range(self._file.num_row_groups):
            rows = self._group(group)
            if held is not None:
                rows = pd.concat([held, rows], ignore_index=True)
            keys = rows[self._key].to_numpy()
            end = int(np.searchsorted(keys, keys[-1])) if len(keys) else 0
            if end:
                yield rows.iloc[:end].reset_index(drop=True)
            held = rows.iloc[end:].reset_index(drop=True)
        if held is not None and len(held):
            yield held

    def whole(self) -> pd.DataFrame:
        """Return all of it: for small tables, and for tests."""
        return pd.concat([self._empty(), *self.parts()], ignore_index=True)

    def _range(self, group: int) -> tuple[str, str]:
        about = self._file.metadata.row_group(group)
        columns = [about.column(i) for i in range(about.num_columns)]
        stated = next(column.statistics for column in columns if column.path_in_schema == self._key)
        if stated is None or not stated.has_min_max:
            return "", chr(0x10FFFF)  # it may hold any
        return str(stated.min), str(stated.max)

    def _rows_of(self, value: str, group: int) -> pd.DataFrame:
        if self._last is None or self._last[0] != group:
            self._last = group, self._group(group)
        rows = self._last[1]
        keys = rows[self._key].to_numpy()
        start, end = np.searchsorted(keys, value, "left"), np.searchsorted(keys, value, "right")
        return rows.iloc[start:end].reset_index(drop=True)

    def _group(self, group: int) -> pd.DataFrame:
        with readable(self.path):
            return plain_text(self._file.read_row_group(group).to_pandas())

    def _empty(self) -> pd.DataFrame:
        return plain_text(self._file.schema_arrow.empty_table().to_pandas())


def plain_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its text columns as plain Python strings."""
    text = [c for c in frame.columns if pd.api.types.is_string_dtype(frame[c])]
    return frame.astype(dict.fromkeys(text, "object"))


def write_sorted(path: Path, parts: Iterable[pd.DataFrame], schema: dict[str, str]) -> None:
    """Write what `SortedTable` reads, some thousand rows at a time.

    Parameters
    ----------
    parts : iterable of frames
        Of whole values of the key each, in its order.
    schema : dict of str to str
        Columns and their kinds, as in `lesion.schema`.
    """
    fields = pa.schema([(name, _ARROW[kind]) for name, kind in schema.items()])
    with path.open("wb") as handle, pq.ParquetWriter(handle, fields) as writer:
        for rows in _packed(parts):
            writer.write_table(
                pa.Table.from_pandas(conform(rows, schema), fields, preserve_index=False),
                row_group_size=len(rows),
            )


def _packed(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Join small parts: many additions of one study each must not end in as many row groups."""
    held: list[pd.DataFrame] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= ROWS_A_GROUP:
            yield pd.concat(held, ignore_index=True)
            held = []
    if held := [part for part in held if len(part)]:
        yield pd.concat(held, ignore_index=True)
