"""The slices of the catalogue's database → those of its snapshot, a few series in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from lesiongraph.pipeline.catalogue import SLICES_KEY
from lesiongraph.store import CatalogueView
from lesiongraph.workspace import SortedTable

_SERIES_AT_ONCE = 50  # ours: some ten thousand slices
Read = Callable[[Sequence[str]], pd.DataFrame]  # series → their rows


def slices_of(
    view: CatalogueView, former: SortedTable | None, changed: Sequence[str], written: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    """Yield the database's slices in the snapshot's order, in parts of whole series.

    Parameters
    ----------
    former : SortedTable, optional
        The former snapshot's: several times faster to read than the database.
    changed : sequence of str
        The series that the database has otherwise than `former`, sorted.
    written : frame
        Slices of whole series as they were just written, in order: not asked back from the database.
    """
    keys = written[SLICES_KEY].to_numpy()

    def read(uids: Sequence[str]) -> pd.DataFrame:
        starts = np.searchsorted(keys, np.array(uids, dtype=object), "left")
        ends = np.searchsorted(keys, np.array(uids, dtype=object), "right")
        asked = [uid for uid, start, end in zip(uids, starts, ends, strict=True) if start == end]
        rows = [written.iloc[start:end] for start, end in zip(starts, ends, strict=True)]
        return pd.concat([*rows, view.table("slices", series_instance_uid=asked)], ignore_index=True)

    if former is None:
        return replaced((), view.series_changed("slices"), read)
    return replaced(former.parts(), changed, read)


def slices_near(
    view: CatalogueView, former: SortedTable | None, changed: Sequence[str], uids: set[str]
) -> pd.DataFrame:
    """Return the database's slices of some series, in order, from `former` where that may be."""
    here = uids.difference(changed) if former is not None else set()
    asked = view.table("slices", series_instance_uid=sorted(uids - here))
    return _in_order([asked, former.of_all(here)] if former is not None else [asked])


def replaced(parts: Iterable[pd.DataFrame], changed: Sequence[str], read: Read) -> Iterator[pd.DataFrame]:
    """Yield a table of slices with some of its series, or new ones, as `read` gives them.

    Parameters
    ----------
    parts : iterable of frames
        The table in its order, in parts of whole series.
    changed : sequence of str
        Series, sorted.
    """
    place = 0  # in `changed`
    for part in parts:
        last = part[SLICES_KEY].iloc[-1]
        while place < len(changed) and changed[place] <= last:
            due = [uid for uid in changed[place : place + _SERIES_AT_ONCE] if uid <= last]
            place += len(due)
            is_before = part[SLICES_KEY] <= due[-1]
            before, part = part[is_before], part[~is_before]
            yield _in_order([before[~before[SLICES_KEY].isin(due)], read(due)])
        if len(part):
            yield part
    for start in range(place, len(changed), _SERIES_AT_ONCE):
        yield _in_order([read(changed[start : start + _SERIES_AT_ONCE])])


def _in_order(frames: list[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    return rows.sort_values([SLICES_KEY, "slice_index"], kind="stable", ignore_index=True)
