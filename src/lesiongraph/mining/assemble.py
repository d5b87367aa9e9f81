"""Marks and series → rows of the catalogue's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from lesiongraph.lesion import KEPT, LANDMARKS, LESIONS, REJECTED, SERIES, SLICES, conform, empty_row
from lesiongraph.mining import rules
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.dicom_values import short_hash
from lesiongraph.mining.marks import FoundMark, ImageRef, Landmark, RejectedMark, SourceObject
from lesiongraph.mining.own_reports import flag_as_ours

Row = dict[str, object]
SPACING_UNKNOWN = rules.NO_SPACING.reason


def lesion_id(key: str, item: str) -> str:
    """Return the id of mark `item` of the object `key`: the same in every run, wherever the file lies."""
    return "L-" + short_hash(key, item)


def lesion_rows(marks: Sequence[FoundMark | RejectedMark], origin: SourceObject) -> list[Row]:
    """Return one LESIONS row for each mark of one object."""
    rows = []
    seen: Counter[str] = Counter()
    for mark in marks:
        seen[mark.source_item] += 1
        again = seen[mark.source_item]
        item = mark.source_item if again == 1 else f"{mark.source_item} #{again}"
        row = empty_row(LESIONS) | {
            "lesion_id": (mark.own and mark.own.lesion_id) or lesion_id(origin.key, item),
            "patient_id": origin.patient_id,
            "study_instance_uid": origin.study_instance_uid,
            "study_date": origin.study_date,
            "patient_sex": origin.patient_sex,
            "patient_age": origin.patient_age,
            "source": mark.source,
            "source_path": origin.path,
            "source_item": item,
            "type": mark.type,
            "finding": mark.finding,
            "finding_site": mark.finding_site,
            "tracking_uid": mark.tracking_uid,
        }
        row |= _found(mark, origin) if isinstance(mark, FoundMark) else _rejected(mark)
        if mark.own is not None:
            flag_as_ours(row)
        rows.append(row)
    return rows


def _found(mark: FoundMark, origin: SourceObject) -> Row:
    flags = [*mark.flags]
    if origin.patient_id != mark.image.patient_id and mark.image.patient_id:
        flags.append("patient differs from its image's")
    row = _image_columns(mark.image) | _axis_columns(mark)
    row |= {"x0": mark.box.x0, "y0": mark.box.y0, "x1": mark.box.x1, "y1": mark.box.y1}
    if not (mark.image.spacing_x_mm > 0 and mark.image.spacing_y_mm > 0):
        return row | {"status": REJECTED, "reason": SPACING_UNKNOWN}
    return row | {"status": KEPT, "flags": ";".join(flags)}


def _rejected(mark: RejectedMark) -> Row:
    row: Row = {
        "status": REJECTED,
        "reason": mark.reason,
        "sop_instance_uid": mark.sop_instance_uid,
    }
    if mark.image is not None:
        row |= _image_columns(mark.image)
    return row | _axis_columns(mark)


def _image_columns(image: ImageRef) -> Row:
    columns: Row = {
        "series_instance_uid": image.series_instance_uid,
        "sop_instance_uid": image.sop_instance_uid,
        "slice_index": image.slice_index,
        "image": image.path,
        "columns": image.columns,
        "rows": image.rows,
        "spacing_x_mm": image.spacing_x_mm,
        "spacing_y_mm": image.spacing_y_mm,
    }
    # The image is what the lesion lies in: where the report's own header differs, the image is right.
    stated: Row = {
        "patient_id": image.patient_id,
        "study_instance_uid": image.study_instance_uid,
        "study_date": image.study_date,
    }
    return columns | {name: value for name, value in stated.items() if value}


def _axis_columns(mark: FoundMark | RejectedMark) -> Row:
    if mark.mark is None:
        return {}
    long, short = mark.mark.long_axis, mark.mark.short_axis
    columns: Row = {
        "long_x0": long.x0,
        "long_y0": long.y0,
        "long_x1": long.x1,
        "long_y1": long.y1,
        "short_x0": short.x0,
        "short_y0": short.y0,
        "short_x1": short.x1,
        "short_y1": short.y1,
        "long_px": long.length_px,
        "short_px": short.length_px,
    }
    if mark.image is not None:
        columns |= {
            "long_mm": long.length_mm(mark.image.spacing),
            "short_mm": short.length_mm(mark.image.spacing),
        }
    return columns


def series_frame(archive: DicomArchive) -> pd.DataFrame:
    """Return the SERIES rows of an archive."""
    return conform(pd.DataFrame([_series_row(s) for s in archive.series.values()]), SERIES)


def _series_row(series: ImageSeries) -> Row:
    same = {name: getattr(series, name) for name in SERIES if hasattr(series, name)}
    return same | {"kind": "dicom", "slices": len(series.images), "flags": ";".join(series.flags)}


def slices_frame(archive: DicomArchive) -> pd.DataFrame:
    """Return the SLICES rows of an archive."""
    images = [image for series in archive.series.values() for image in series.images]
    return conform(pd.DataFrame([{n: getattr(i, n) for n in SLICES} for i in images]), SLICES)


def landmarks_frame(landmarks: Iterable[tuple[Landmark, str]]) -> pd.DataFrame:
    """Return the LANDMARKS rows of (landmark, path of the object it was read from)."""
    rows = [
        {name: getattr(landmark, name) for name in LANDMARKS if hasattr(landmark, name)}
        | {"source_path": path}
        for landmark, path in landmarks
    ]
    return conform(pd.DataFrame(rows), LANDMARKS)


def rejected_object(origin: SourceObject, cause: BaseException) -> Row:
    """Return the one row of an object that cannot be read."""
    what = " ".join(str(cause).split())[:120] or type(cause).__name__
    if isinstance(cause, RecursionError):
        what = "nested too deeply"
    elif isinstance(cause, (AttributeError, TypeError, LookupError)):
        what = f"a value of the wrong kind ({what})"
    mark = RejectedMark(
        reason=f"unreadable object: {what}",
        source={"PR": "GSPS"}.get(origin.modality, origin.modality),
        source_item="object",
    )
    return lesion_rows([mark], origin)[0]
