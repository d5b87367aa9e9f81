"""Marks judged on the pixels of their key slice: what cannot be read or lies off the body is rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.imaging import FLAG_CUT, body_mask, on_body, suspect_text
from lesiongraph.lesion import KEPT, REJECTED, BoundingBox
from lesiongraph.mining import BURNED_IN, MiningResult, open_series, rules
from lesiongraph.pipeline.pixel_size import plane_spacing
from lesiongraph.pipeline.progress import Progress

OFF_BODY = rules.OFF_BODY.reason
PERHAPS_OFF_BODY = rules.OFF_BODY.flag
UNREADABLE = "unreadable image"


def check_on_images(found: MiningResult, former: MiningResult, progress: Progress) -> None:
    """Judge, in place, marks on their key slices: reject what cannot be read or lies off the body.

    `former` is what the catalogue holds of the same marks and series: what an earlier run saw stays.
    """
    checked = former.lesions[_was_judged(former.lesions)].set_index("lesion_id")
    lesions = found.lesions
    todo = lesions[(lesions.status == KEPT) & (lesions.slice_index >= 0)]
    series_rows = found.series.set_index("series_instance_uid", drop=False)
    slices_of = dict(tuple(found.slices.groupby("series_instance_uid")))
    burned_in = {*series_burned_in(former.series), *series_burned_in(found.series)}
    done = 0
    for series_uid, marks in todo.groupby("series_instance_uid"):
        for index, verdict in _verdicts(marks, checked, series_rows.loc[series_uid], slices_of[series_uid]):
            if verdict.burned_in:
                burned_in.add(str(series_uid))
            if verdict.reason:
                lesions.loc[index, ["status", "reason"]] = [REJECTED, verdict.reason]
            if verdict.flag:
                lesions.loc[index, "flags"] = _with_flag(lesions.loc[index, "flags"], verdict.flag)
        done += len(marks)
        progress("check marks on their images", done, len(todo))
    _flag_burned_in(found.series, burned_in)


def series_burned_in(series: pd.DataFrame) -> list[str]:
    """Return the series on whose pixels text was seen."""
    flagged = [BURNED_IN in flags.split(";") for flags in series["flags"]]
    return [str(uid) for uid in series.series_instance_uid[flagged]]


def _flag_burned_in(series: pd.DataFrame, uids: set[str]) -> None:
    """Flag, in place, the series on whose pixels text was seen."""
    for index, row in series[series.series_instance_uid.isin(uids)].iterrows():
        series.loc[index, "flags"] = _with_flag(row["flags"], BURNED_IN)


def _with_flag(flags: str, flag: str) -> str:
    return ";".join([*(other for other in flags.split(";") if other not in ("", flag)), flag])


@dataclass(frozen=True)
class _Verdict:
    reason: str = ""  # why the mark cannot stand
    flag: str = ""  # a remark on a mark that stands
    burned_in: bool = False  # its slice seems to hold drawn text


def _verdicts(
    marks: pd.DataFrame, checked: pd.DataFrame, series: pd.Series, slices: pd.DataFrame
) -> Iterator[tuple[int, _Verdict]]:
    """Yield (row index, verdict) for the marks of one series."""
    reader = None
    for slice_index, on_slice in marks.groupby("slice_index"):
        if on_slice.lesion_id.isin(checked.index).all():
            # judged by an earlier run: reading the pixels again tells nothing
            for index, lesion_id in on_slice.lesion_id.items():
                yield index, _former_verdict(checked.loc[lesion_id])
            continue
        try:
            reader = reader or open_series(series.to_dict(), slices.sort_values("slice_index"))
            hu = reader.read([int(slice_index)])[0]
            body = body_mask(hu, plane_spacing(series.to_dict()))
        except LesionGraphError as error:
            for index in on_slice.index:
                yield index, _Verdict(reason=f"{UNREADABLE}: {_cause(error)}")
            continue
        burned_in = suspect_text(hu, body.patient)
        # where the field of view cuts the body, what lies outside the mask may still be patient
        outside = _Verdict(flag=PERHAPS_OFF_BODY) if body.flag == FLAG_CUT else _Verdict(reason=OFF_BODY)
        for index, row in on_slice.iterrows():
            if burned_in:
                yield index, _Verdict(burned_in=True)
            if not on_body(body.patient, BoundingBox(row.x0, row.y0, row.x1, row.y1)):
                yield index, outside


def _was_judged(lesions: pd.DataFrame) -> pd.Series[bool]:
    """Whether an earlier run saw the mark on its pixels: not where the image was absent or unreadable."""
    duplicate = lesions.reason.str.startswith(rules.DUPLICATE.reason)  # found on rows that had passed
    stood = (lesions.status == KEPT) | (lesions.reason == OFF_BODY) | duplicate
    return (lesions.slice_index >= 0) & stood


def _former_verdict(row: pd.Series) -> _Verdict:
    reason = OFF_BODY if row.reason == OFF_BODY else ""
    return _Verdict(reason, PERHAPS_OFF_BODY if PERHAPS_OFF_BODY in row["flags"].split(";") else "")


def _cause(error: LesionGraphError) -> str:
    return str(getattr(error, "cause", "") or getattr(error, "found", "") or type(error).__name__)
