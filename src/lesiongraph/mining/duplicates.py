"""One measurement filed in two objects (SR and presentation state) → one stands, the other names it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesiongraph.lesion import KEPT, REJECTED
from lesiongraph.mining.rules import ACCEPTED_BY_HAND, COPY_PX, DUPLICATE, DUPLICATE_PX

# What a reader measured and named says most; what was derived from an outline least.
SOURCES = ("SR", "GSPS", "RTSTRUCT", "SEG", "mask", "box", "DeepLesion")
_AXES = ("long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1")
_IMAGE = ("series_instance_uid", "sop_instance_uid", "slice_index")

_HAND_DRAWN = ("SR", "GSPS")

Cell = tuple[int, int]


@dataclass(frozen=True)
class _Drawn:
    """One mark: its row, whose object it is of, and its ends (4, 2): long axis, short axis."""

    row: int
    path: str
    source: str
    tracking_uid: str
    ends: np.ndarray


Standing = dict[Cell, dict[str, list[_Drawn]]]


def reject_duplicates(lesions: pd.DataFrame) -> pd.DataFrame:
    """Return the catalogue's rows with each mark that another object repeats rejected, naming the one kept.

    Judged anew each time, so that the outcome follows neither the order of runs nor of sources: a row that
    was rejected as a duplicate stands again where its other one is gone or rejected. A mark accepted by hand
    stands beside whatever it repeats: a person looked at both.

    Parameters
    ----------
    lesions : DataFrame
        LESIONS rows of the whole catalogue, after the images had their say.
    """
    judged = lesions.copy()
    again = (judged["status"] == REJECTED) & judged["reason"].str.startswith(DUPLICATE.reason)
    judged.loc[again, ["status", "reason"]] = [KEPT, ""]
    for row, kept in _pairs(judged[(judged["status"] == KEPT) & (judged["slice_index"] >= 0)]):
        judged.loc[row, ["status", "reason"]] = [
            REJECTED,
            f"{DUPLICATE.reason} {judged.loc[kept, 'source']} {judged.loc[kept, 'lesion_id']}",
        ]
    return judged


def _pairs(kept: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Give (row to reject, row that stands)."""
    by_hand = kept["flags"].str.contains(ACCEPTED_BY_HAND, regex=False)
    kept = kept[np.isfinite(kept[list(_AXES)]).all(axis=1) & ~by_hand]
    objects = kept.groupby(list(_IMAGE))["source_path"].transform("nunique")
    shared = kept[objects > 1]
    shared = shared.assign(_rank=shared["source"].map(SOURCES.index)).sort_values(
        ["_rank", "lesion_id"], kind="stable"
    )
    for _, marks in shared.groupby(list(_IMAGE), sort=True):
        yield from _pairs_on_image(marks)


def _pairs_on_image(marks: pd.DataFrame) -> Iterator[tuple[int, int]]:
    """Compare the marks of one image, the one to believe first; only with those that lie about as they do."""
    standing: Standing = defaultdict(lambda: defaultdict(list))
    ends = marks[list(_AXES)].to_numpy().reshape(-1, 4, 2)  # (N, ends, xy)
    about = zip(marks.index, marks["source_path"], marks["source"], marks["tracking_uid"], ends, strict=True)
    for drawn in (_Drawn(*one) for one in about):
        twin = _twin(drawn, standing)
        if twin is None:
            standing[_cell(drawn)][drawn.path].append(drawn)
        else:
            yield drawn.row, twin.row


def _cell(drawn: _Drawn) -> Cell:
    # The mean of the ends moves by no more than they do, however they are ordered.
    x, y = np.floor(drawn.ends.mean(axis=0) / DUPLICATE_PX)
    return int(x), int(y)


def _twin(drawn: _Drawn, standing: Standing) -> _Drawn | None:
    """Return the first standing mark of another object that measures the same; None where there is none."""
    column, row = _cell(drawn)
    for cell in ((x, y) for x in range(column - 1, column + 2) for y in range(row - 1, row + 2)):
        for path, marks in standing.get(cell, {}).items():
            if path != drawn.path:
                for other in marks:
                    if _same(drawn, other):
                        return other
    return None


def _same(a: _Drawn, b: _Drawn) -> bool:
    """Whether both axes are drawn alike, from either end, and whichever of two equals is the long one."""
    apart_px = _tolerance_px(a, b)
    return (_alike(a.ends[:2], b.ends[:2], apart_px) and _alike(a.ends[2:], b.ends[2:], apart_px)) or (
        _alike(a.ends[:2], b.ends[2:], apart_px) and _alike(a.ends[2:], b.ends[:2], apart_px)
    )


def _tolerance_px(a: _Drawn, b: _Drawn) -> float:
    """How far two marks may lie apart and be one; below 0: never one."""
    told_apart = bool(a.tracking_uid and b.tracking_uid and a.tracking_uid != b.tracking_uid)
    if told_apart and a.source == b.source and a.source not in _HAND_DRAWN:
        return -1.0  # outlines lie on the pixel grid: those of two readers may well give equal diameters
    return COPY_PX if told_apart or a.source == b.source else DUPLICATE_PX


def _alike(a: np.ndarray, b: np.ndarray, apart_px: float) -> bool:
    return bool(min(np.hypot(*(a - ends).T).max() for ends in (b, b[::-1])) <= apart_px)
