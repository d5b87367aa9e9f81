"""A CSV of images with masks or boxes → catalogue tables.

Columns `image,mask,patient,study_date[,type,sop_instance_uid,x0,y0,x1,y1]`. Image and mask may each be a
NIfTI file or a folder of DICOM, relative to the CSV's folder. The mask is empty where a box is given: stored
pixels counted from 0 on the slice that `sop_instance_uid` names (on a NIfTI: its plane, counted from 0).
A row that cannot be used becomes a rejected row; the others go on.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lesiongraph.errors import LesionGraphError, SourceNotFoundError, TableSchemaError, UnreadableImageError
from lesiongraph.lesion import LESIONS, BoundingBox, conform
from lesiongraph.mining.assemble import Row, lesion_rows, series_frame, slices_frame
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.dicom_values import short_hash
from lesiongraph.mining.marks import FoundMark, ImageRef, RejectedMark, SourceObject
from lesiongraph.mining.mask_volume import MaskVolume, load_mask, marks_of_mask
from lesiongraph.mining.nifti import check_ct, is_nifti, load_nifti, nifti_series
from lesiongraph.mining.result import MiningResult
from lesiongraph.mining.sites import type_of_text
from lesiongraph.mining.structures import spacing_of

REQUIRED = ("image", "mask", "patient", "study_date")
OPTIONAL = ("type", "sop_instance_uid", "x0", "y0", "x1", "y1")
DIAMETERS_FROM_BOX = "diameters from box"
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


class RowError(Exception):
    """A row of the CSV that cannot be used; its text is the reason of the rejected row."""


@dataclass
class _Images:
    """The images opened so far: a path listed in several rows is one series (or folder of series)."""

    series: dict[str, ImageSeries] = field(
        default_factory=dict
    )  # by series_instance_uid, with the CSV's patient
    kinds: dict[str, str] = field(default_factory=dict)
    paths: dict[Path, list[ImageSeries]] = field(default_factory=dict)
    masks: dict[Path, list[MaskVolume]] = field(default_factory=dict)


def mine_mask_csv(csv: Path) -> MiningResult:
    """Read a CSV of images with masks or boxes.

    Parameters
    ----------
    csv : Path

    Raises
    ------
    SourceNotFoundError
        If the file is absent.
    TableSchemaError
        If it cannot be read or lacks a column.

    Source: paper Sec. 3 for the marks; facts §3 (masks: diameters on the slice with the longest axis).
    """
    csv = Path(csv).absolute()
    table = _read_table(csv)
    counts: Counter[str] = Counter()
    counts.update({f"column ignored: {n}": 1 for n in table.columns if n not in REQUIRED + OPTIONAL})
    images = _Images()
    rows: list[Row] = []
    for number, cells in enumerate(table.to_dict("records"), start=1):
        counts["CSV rows"] += 1
        rows += _read_row({str(k): str(v).strip() for k, v in cells.items()}, number, csv, images, counts)
    archive = DicomArchive(series=dict(sorted(images.series.items())))
    series = series_frame(archive)
    series["kind"] = series["series_instance_uid"].map(images.kinds).astype("object")
    return MiningResult(
        lesions=conform(pd.DataFrame(rows), LESIONS),
        series=series,
        slices=slices_frame(archive),
        counts=+counts,
    )


def _read_table(csv: Path) -> pd.DataFrame:
    if not csv.is_file():
        raise SourceNotFoundError(csv, "a CSV of images and masks")
    try:
        table = pd.read_csv(csv, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as error:  # parser and encoding errors are ValueErrors
        raise TableSchemaError(csv, "a comma-separated table in UTF-8", str(error)) from error
    table.columns = table.columns.str.strip()
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        found = ", ".join(table.columns)
        raise TableSchemaError(csv, f"the columns {', '.join(missing)}", f"only {found}")
    absent = [name for name in OPTIONAL if name not in table.columns]
    return table.assign(**dict.fromkeys(absent, ""))


def _read_row(
    cells: Mapping[str, str], number: int, csv: Path, images: _Images, counts: Counter[str]
) -> list[Row]:
    """Return the LESIONS rows of one row of the CSV."""
    named = cells["mask"] or cells["image"]
    kind = "mask" if cells["mask"] else "box"
    item = f"row {number} {Path(named).name}"
    key = "\x1f".join(cells[name] for name in (*REQUIRED, *OPTIONAL))
    origin = SourceObject(key=key, path=str(csv), patient_id=cells["patient"])
    try:
        _check(cells)
        origin = dataclasses.replace(origin, study_date=_date(cells["study_date"]))
        candidates = _open_image(csv.parent / cells["image"], cells, images)
        origin = dataclasses.replace(origin, patient_id=candidates[0].patient_id)
        if cells["mask"]:
            masks = _open_mask(csv.parent / cells["mask"], images)
            about = {"type": type_of_text(cells["type"]), "finding": Path(cells["mask"]).name.split(".")[0]}
            marks: list[FoundMark | RejectedMark] = [
                mark for mask in masks for mark in marks_of_mask(mask, candidates, about, counts)
            ]
            key = short_hash(*(mask.digest for mask in masks), length=32)
            origin = dataclasses.replace(origin, key=f"{candidates[0].series_instance_uid} {key}")
        elif any(cells[name] for name in ("sop_instance_uid", "x0", "y0", "x1", "y1")):
            image = _named_image(cells["sop_instance_uid"], candidates)
            marks = [_box_mark(cells, image)]
            origin = dataclasses.replace(origin, key=image.sop_instance_uid)
        else:
            counts["images without marks"] += 1
            return []
    except RowError as error:
        marks = [RejectedMark(str(error), kind, item, type=type_of_text(cells["type"]))]
    except LesionGraphError as error:
        marks = [RejectedMark(_reason(error), kind, item, type=type_of_text(cells["type"]))]
    rows = lesion_rows(marks, origin)
    for row, mark in zip(rows, marks, strict=True):
        if isinstance(mark, FoundMark) and mark.mark is None:
            row.update(_sides(mark))
    return rows


def _check(cells: Mapping[str, str]) -> None:
    if not cells["image"]:
        raise RowError("no image named")
    if cells["type"] and not type_of_text(cells["type"]):
        raise RowError(f"unknown type {cells['type']!r}")
    if cells["mask"] and any(cells[name] for name in ("x0", "y0", "x1", "y1")):
        raise RowError("both a mask and a box")


def _reason(error: LesionGraphError) -> str:
    """Return the reason without the path, so that equal causes are counted together."""
    cause = getattr(error, "cause", None) or getattr(error, "found", None)
    return f"{'image unreadable' if hasattr(error, 'cause') else 'not CT'}: {cause}" if cause else str(error)


def _date(stated: str) -> str:
    """Return YYYY-MM-DD; "" where none is stated."""
    if not stated:
        return ""
    match = _DATE.fullmatch(stated)
    if not match or not (1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 31):
        raise RowError(f"study_date {stated!r} is no date")
    return f"{match[1]}-{match[2]}-{match[3]}"


def _open_image(path: Path, cells: Mapping[str, str], images: _Images) -> list[ImageSeries]:
    """Return the series of a NIfTI or a DICOM folder, the longest first, under the patient of the CSV."""
    if not path.exists():
        raise RowError(IMAGE_NOT_FOUND)
    if path not in images.paths:
        if is_nifti(path):
            volume = load_nifti(path)
            check_ct(volume)
            found = [nifti_series(volume)]
        else:
            try:
                found = list(DicomArchive.scan(path).series.values())
            except SourceNotFoundError as error:
                raise RowError("image is neither NIfTI nor a folder of DICOM") from error
        images.paths[path] = [_relabelled(series, cells) for series in found]
    found = images.paths[path]
    if not found:
        raise RowError("no CT series in the image folder")
    if cells["patient"] not in ("", found[0].patient_id):
        raise RowError("image listed under two patients")
    if _date(cells["study_date"]) not in ("", found[0].study_date):
        raise RowError("image listed under two study dates")
    for series in found:
        images.series.setdefault(series.series_instance_uid, series)
        images.kinds[series.series_instance_uid] = "nifti" if is_nifti(path) else "dicom"
    return sorted(found, key=lambda series: (-len(series.images), series.series_instance_uid))


def _relabelled(series: ImageSeries, cells: Mapping[str, str]) -> ImageSeries:
    """Return the series under the CSV's patient and date: a NIfTI knows neither, a DICOM may be blank."""
    patient = cells["patient"] or series.patient_id
    if not patient:
        raise RowError("no patient named")
    date = _date(cells["study_date"]) or series.study_date
    study = series.study_instance_uid or "study-" + short_hash(
        patient, date or series.series_instance_uid, length=16
    )
    flags = tuple(flag for flag in series.flags if flag != "patient id missing" or not cells["patient"])
    relabelled = [
        dataclasses.replace(image, patient_id=patient, study_date=date, study_instance_uid=study)
        for image in series.images
    ]
    return dataclasses.replace(
        series,
        images=relabelled,
        flags=flags,
        patient_id=patient,
        study_date=date,
        study_instance_uid=study,
    )


def _open_mask(path: Path, images: _Images) -> list[MaskVolume]:
    if not path.exists():
        raise RowError("mask not found")
    if path not in images.masks:
        try:
            images.masks[path] = load_mask(path)
        except SourceNotFoundError as error:
            raise RowError("mask is neither NIfTI nor a folder of DICOM") from error
        except UnreadableImageError as error:
            raise RowError(f"mask unreadable: {error.cause}") from error
    return images.masks[path]


def _box_mark(cells: Mapping[str, str], image: ImageRef) -> FoundMark | RejectedMark:
    """Return the mark of a row that gives a box: no axes, only the box."""
    try:
        x0, y0, x1, y1 = (float(cells[name]) for name in ("x0", "y0", "x1", "y1"))
    except ValueError as error:
        raise RowError("box is not four numbers") from error
    if not all(math.isfinite(value) for value in (x0, y0, x1, y1)):
        raise RowError("box is not four numbers")
    item = f"box {x0:g} {y0:g} {x1:g} {y1:g}"
    box = BoundingBox(x0, y0, x1, y1)
    reason = ""
    if x1 <= x0 or y1 <= y0:
        reason = "zero length"
    elif not box.is_inside(image.columns, image.rows):
        reason = "outside the image"
    if reason:
        uid = image.sop_instance_uid
        return RejectedMark(
            reason, "box", item, sop_instance_uid=uid, image=image, type=type_of_text(cells["type"])
        )
    return FoundMark(
        None, box, image, "box", item, type=type_of_text(cells["type"]), flags=(DIAMETERS_FROM_BOX,)
    )


def _named_image(name: str, candidates: list[ImageSeries]) -> ImageRef:
    for series in candidates:
        for image in series.images:
            if image.sop_instance_uid == name or (is_nifti(Path(image.path)) and str(image.frame) == name):
                return image
    raise RowError(IMAGE_NOT_FOUND if name else "box without sop_instance_uid")


def _sides(mark: FoundMark) -> Row:
    """Return the diameters that a bare box allows: its longer and its shorter side."""
    spacing = spacing_of(mark.image)
    sides = [
        (mark.box.width_px * spacing.x_mm, mark.box.width_px),
        (mark.box.height_px * spacing.y_mm, mark.box.height_px),
    ]
    (short_mm, short_px), (long_mm, long_px) = sorted(sides)
    return {"long_mm": long_mm, "short_mm": short_mm, "long_px": long_px, "short_px": short_px}
