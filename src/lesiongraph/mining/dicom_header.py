"""One DICOM file → what it is: a CT image's headers, an object with marks, or why it is left out."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_series import ImageHeader
from lesiongraph.mining.limits import OwnBytesFile, TooLargeError, check_inflated, check_sides
from lesiongraph.mining.marks import ImageRef, SourceObject
from lesiongraph.mining.rules import SCOUT, SCOUT_WORDS

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
DIRECTORY = "1.2.840.10008.1.3.10"
MARK_MODALITIES = ("SR", "PR", "RTSTRUCT", "SEG")

FRAME_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
HEADER_KEYWORDS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "SeriesDescription",
    "BodyPartExamined",
    "ConvolutionKernel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "BitsAllocated",
    "SamplesPerPixel",
    "NumberOfFrames",
    "InstanceNumber",
    "FrameOfReferenceUID",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "BurnedInAnnotation",
]


_UNDEFINED_LENGTH = 0xFFFFFFFF
# Sequence delimitation item, little and big endian
_SEQUENCE_ENDS = (b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xfe\xe0\xdd\0\0\0\0")


class LeftOutError(Exception):
    """A file that mining does not use; its text is the reason that is counted."""

    def __init__(self, reason: str, sop_instance_uid: str = "") -> None:
        self.reason = reason
        self.sop_instance_uid = sop_instance_uid
        super().__init__(reason)


def read_header(path: Path, *, masks: bool = False) -> list[ImageHeader] | SourceObject:
    """Read one file's header.

    Returns
    -------
    list of ImageHeader
        One for a CT image, one a frame for a multi-frame image.
    SourceObject
        For an SR, PR, RTSTRUCT or SEG.

    Raises
    ------
    LeftOutError
        If the file is not DICOM, cannot be read or is no CT image in HU.
    """
    try:
        return _classify(path, masks)
    except LeftOutError:
        raise
    except TooLargeError as cause:
        raise LeftOutError(f"too large ({cause})") from cause
    except RecursionError as cause:
        raise LeftOutError("nested too deeply") from cause
    except Exception as cause:  # pydicom raises many kinds on a damaged header
        raise LeftOutError("unreadable header") from cause


def image_headers(dataset: Dataset, path: Path | None) -> list[ImageHeader]:
    """Read the header of an image whose attributes are here already; its pixels may be elsewhere.

    Parameters
    ----------
    dataset : Dataset
        With the attributes of `HEADER_KEYWORDS`, and the frames' groups where it has several frames.
    path : Path or None
        Where its pixels are; None where they were not fetched.

    Raises
    ------
    LeftOutError
        As `read_header`.
    """
    try:
        uid, sop_class, modality = _identity(dataset)
        if modality in MARK_MODALITIES:
            raise LeftOutError("not an image", uid)
        _check_modality(uid, modality)
        if sop_class in ENHANCED_CT:
            return _enhanced_headers(dataset, path, uid)
        _check_ct(dataset, uid, sop_class, masks=False)
        return [_header(dataset, path, uid)]
    except LeftOutError:
        raise
    except Exception as cause:
        raise LeftOutError("unreadable header") from cause


def _classify(path: Path, masks: bool) -> list[ImageHeader] | SourceObject:
    dataset, header_bytes = _read(path, HEADER_KEYWORDS)
    uid, sop_class, modality = _identity(dataset)
    if modality in MARK_MODALITIES:
        return _source_object(dataset, path, uid, sop_class, modality)
    _check_modality(uid, modality)
    if sop_class in ENHANCED_CT:
        return _enhanced_headers(_read(path, [*HEADER_KEYWORDS, *FRAME_GROUPS])[0], path, uid)
    _check_ct(dataset, uid, sop_class, masks)
    _check_length(dataset, path, uid, header_bytes)
    return [_header(dataset, path, uid)]


def _identity(dataset: Dataset) -> tuple[str, str, str]:
    """Return SOP Instance UID, SOP Class UID and modality."""
    meta = getattr(dataset, "file_meta", Dataset())
    uid = values.text(dataset, "SOPInstanceUID") or values.text(meta, "MediaStorageSOPInstanceUID")
    sop_class = values.text(dataset, "SOPClassUID")
    modality = values.text(dataset, "Modality")
    if sop_class == DIRECTORY or values.text(meta, "MediaStorageSOPClassUID") == DIRECTORY:
        raise LeftOutError("DICOM directory")
    if not sop_class and not modality:
        raise LeftOutError("unreadable header")
    return uid, sop_class, modality


def _check_modality(uid: str, modality: str) -> None:
    if modality != "CT":
        known = modality if re.fullmatch("[A-Z0-9]{2,12}", modality) else "no modality"
        raise LeftOutError(f"not CT ({known})", uid)


def read_object(path: Path) -> Dataset:
    """Read a whole object that is not an image.

    Raises
    ------
    EOFError
        If the file is cut: pydicom reads a cut file without complaint and gives the part that is there.
    """
    check_inflated(path)
    with OwnBytesFile(path) as file:
        dataset = pydicom.dcmread(file, force=True)
    if not dataset:
        raise EOFError("truncated file")
    last: object = dataset.get_item(max(dataset.keys()))
    if isinstance(last, RawDataElement) and last.length != _UNDEFINED_LENGTH:
        left = path.stat().st_size - last.value_tell - last.length
        cut_short = 0 < left < 8 and not _is(dataset, "is_deflated")
        if len(last.value or b"") != last.length or cut_short:
            raise EOFError("truncated file")
    elif isinstance(last, DataElement) and last.VR == "SQ" and not path.read_bytes().endswith(_SEQUENCE_ENDS):
        raise EOFError("truncated file")
    return dataset


def _read(path: Path, tags: list[str]) -> tuple[Dataset, int]:
    """Return the header's attributes and how many bytes precede the pixels."""
    with OwnBytesFile(path) as file:
        start = file.read(132)
        file.seek(0)
        bare = start[128:132] != b"DICM"
        # Old archives hold files without preamble: they begin with group 0002 or 0008.
        if bare and start[:2] not in (b"\x08\x00", b"\x02\x00"):
            raise LeftOutError("empty file" if not start else "not DICOM")
        check_inflated(path)
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=bare, specific_tags=list(tags))
        return dataset, file.tell()


def _source_object(dataset: Dataset, path: Path, uid: str, sop_class: str, modality: str) -> SourceObject:
    patient_id, _ = values.patient_id_of(dataset)
    return SourceObject(
        key=uid or "unknown-" + values.short_hash(path.read_bytes().hex()),
        path=str(path),
        modality=modality,
        sop_class_uid=sop_class,
        patient_id=patient_id,
        study_instance_uid=values.text(dataset, "StudyInstanceUID"),
        study_date=values.iso_date(dataset, "StudyDate"),
        patient_sex=values.text(dataset, "PatientSex"),
        patient_age=values.age_years(dataset),
    )


def _check_ct(dataset: Dataset, uid: str, sop_class: str, masks: bool) -> None:
    """Leave out what is marked CT but holds no HU slice."""
    image_type = values.text(dataset, "ImageType").upper()
    if any(word in image_type for word in SCOUT_WORDS):
        raise LeftOutError(SCOUT.reason, uid)
    if sop_class != CT_IMAGE and "ImagePositionPatient" not in dataset:
        raise LeftOutError("not CT (secondary capture)", uid)
    if min(values.whole(dataset, "Rows"), values.whole(dataset, "Columns")) < 1:
        raise LeftOutError("unreadable header", uid)
    _check_sides(dataset, uid)
    if values.whole(dataset, "SamplesPerPixel", 1) != 1:
        raise LeftOutError("not CT (colour image)", uid)
    if values.whole(dataset, "NumberOfFrames", 1) > 1:
        raise LeftOutError("not CT (several frames in a single-frame class)", uid)
    if masks:
        return
    # HU need more than 8 bits (PS3.3 C.8.2.1.1.4 asks for 16): an 8-bit "CT" is a mask or a picture.
    if values.whole(dataset, "BitsAllocated", 16) < 16:
        raise LeftOutError("not CT (8-bit image, as masks are)", uid)
    if not math.isfinite(values.number(dataset, "RescaleIntercept")):
        raise LeftOutError("not in HU (no rescale intercept)", uid)
    if values.text(dataset, "RescaleType") not in ("", "HU", "US", "HU_MOD"):
        raise LeftOutError("not in HU (rescale type)", uid)


def _check_sides(dataset: Dataset, uid: str) -> None:
    try:
        check_sides(values.whole(dataset, "Columns"), values.whole(dataset, "Rows"))
    except TooLargeError as cause:
        raise LeftOutError(f"too large ({cause})", uid) from cause


def _check_length(dataset: Dataset, path: Path, uid: str, header_bytes: int) -> None:
    """Leave out an image whose file ends before its pixels do."""
    size = path.stat().st_size
    if _is(dataset, "is_compressed"):
        if not _ends_whole(path, size) and not _reads_whole(path):
            raise LeftOutError("truncated file", uid)
        return
    if _is(dataset, "is_deflated"):
        return
    bits = values.whole(dataset, "BitsAllocated", 16)
    if size - header_bytes < values.whole(dataset, "Rows") * values.whole(dataset, "Columns") * bits // 8:
        raise LeftOutError("truncated file", uid)


def _is(dataset: Dataset, what: str) -> bool:
    """Whether the transfer syntax is `is_compressed`, `is_deflated` …; False for one that is unknown."""
    try:
        return bool(getattr(dataset.file_meta.get("TransferSyntaxUID"), what, False))
    except ValueError:  # pydicom: "UID is not a transfer syntax"
        return False


def _ends_whole(path: Path, size: int) -> bool:
    """Whether the file ends with the delimiter of encapsulated pixels (the usual, cheap case)."""
    with path.open("rb") as file:
        file.seek(max(0, size - 16), os.SEEK_SET)
        return b"\xfe\xff\xdd\xe0" in file.read()


def _reads_whole(path: Path) -> bool:
    """Whether the file can be parsed to its end: something may follow the pixels."""
    try:
        with OwnBytesFile(path) as file:
            return "PixelData" in pydicom.dcmread(file)
    except Exception:  # whatever pydicom raises: the file is cut
        return False


def _spacing(dataset: Dataset) -> tuple[float, float]:
    """Return (x, y) in mm; NaN for both where either is missing, no number, zero or negative."""
    y_mm, x_mm = values.numbers(dataset, "PixelSpacing", 2)
    if x_mm > 0 and y_mm > 0 and math.isfinite(x_mm) and math.isfinite(y_mm):
        return x_mm, y_mm
    return math.nan, math.nan


def _direction(parts: tuple[float, ...]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the unit steps along columns and rows; the standard axial ones where unusable."""
    steps = np.array(parts).reshape(2, 3)
    lengths = np.linalg.norm(steps, axis=1)
    if not np.isfinite(lengths).all() or (lengths < 0.5).any() or abs(np.dot(steps[0], steps[1])) > 0.1:
        return (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    column, row = steps / lengths[:, None]
    return (
        (float(column[0]), float(column[1]), float(column[2])),
        (float(row[0]), float(row[1]), float(row[2])),
    )


def _header(
    dataset: Dataset,
    path: Path | None,
    uid: str,
    *,
    plane: Dataset | None = None,
    frame: int = 0,
) -> ImageHeader:
    """Build the header; `plane` holds position, orientation and spacing of a frame, if apart."""
    plane = dataset if plane is None else plane
    origin = values.numbers(plane, "ImagePositionPatient", 3)
    orientation = values.numbers(plane, "ImageOrientationPatient", 6)
    column_step, row_step = _direction(orientation)
    spacing_x_mm, spacing_y_mm = _spacing(plane)
    patient_id, made_up = values.patient_id_of(dataset)
    series_uid = values.text(dataset, "SeriesInstanceUID")
    number = values.whole(dataset, "InstanceNumber")
    image = ImageRef(
        sop_instance_uid=uid or "unknown-" + values.short_hash(series_uid, str(number), str(origin)),
        series_instance_uid=series_uid
        or "unknown-" + values.short_hash(patient_id, path.parent.name if path else ""),
        slice_index=-1,
        path=str(path or ""),
        frame=frame,
        columns=values.whole(dataset, "Columns"),
        rows=values.whole(dataset, "Rows"),
        spacing_x_mm=spacing_x_mm,
        spacing_y_mm=spacing_y_mm,
        origin_mm=(origin[0], origin[1], origin[2]),
        column_step=column_step,
        row_step=row_step,
        instance_number=number,
        study_instance_uid=values.text(dataset, "StudyInstanceUID"),
        patient_id=patient_id,
        study_date=values.iso_date(dataset, "StudyDate", "SeriesDate", "AcquisitionDate"),
        frame_of_reference_uid=values.text(dataset, "FrameOfReferenceUID"),
    )
    return ImageHeader(
        image=image,
        description=values.text(dataset, "SeriesDescription"),
        kernel=values.text(dataset, "ConvolutionKernel"),
        slice_thickness_mm=values.number(plane, "SliceThickness"),
        has_position=all(math.isfinite(part) for part in origin),
        has_orientation=all(math.isfinite(part) for part in orientation),
        patient_id_made_up=made_up,
        patient_sex=values.text(dataset, "PatientSex"),
        patient_age=values.age_years(dataset),
        body_part_examined=values.text(dataset, "BodyPartExamined"),
        burned_in=values.text(dataset, "BurnedInAnnotation").upper() == "YES",
    )


def _enhanced_headers(dataset: Dataset, path: Path | None, uid: str) -> list[ImageHeader]:
    """Return one header a frame of an Enhanced CT image (PS3.3 C.7.6.16)."""
    image_type = values.text(dataset, "ImageType").upper()
    if any(word in image_type for word in SCOUT_WORDS):
        raise LeftOutError(SCOUT.reason, uid)
    _check_sides(dataset, uid)
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if not frames or len(frames) != values.whole(dataset, "NumberOfFrames", 1):
        raise LeftOutError("unreadable header", uid)
    headers = []
    for index, frame in enumerate(frames):
        plane = Dataset()
        for group in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
            plane.update(_first(frame.get(group)) or _first(shared.get(group)))
        headers.append(_header(dataset, path, uid, plane=plane, frame=index))
    return headers


def _first(sequence: object) -> Dataset:
    """Return the first item of a sequence, an empty data set where there is none."""
    items = list(sequence) if sequence else []  # type: ignore[call-overload]
    return items[0] if items else Dataset()
