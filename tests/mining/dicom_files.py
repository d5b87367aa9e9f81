"""Small DICOM files that the tests make: CT slices, SR documents, presentation states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
GSPS = "1.2.840.10008.5.1.4.1.1.11.1"
AXIAL = (1, 0, 0, 0, 1, 0)


def uid(*words: object) -> str:
    """Return a UID that is the same in every run."""
    return str(generate_uid(entropy_srcs=["lesiongraph tests", *map(str, words)]))


def new_file(sop_class: str, modality: str, sop_uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = sop_class
    ds.SOPInstanceUID = sop_uid
    ds.Modality = modality
    ds.PatientID = "P1"
    ds.PatientSex = "F"
    ds.PatientAge = "061Y"
    ds.StudyInstanceUID = uid("study")
    ds.StudyDate = "20200131"
    ds.SeriesInstanceUID = uid("series")
    return ds


def ct_slice(
    z_mm: float,
    *,
    number: int = 1,
    stored: np.ndarray | None = None,
    orientation: Sequence[float] = AXIAL,
    xy_mm: tuple[float, float] = (-10.0, -20.0),
    series: str = "series",
    **changes: Any,
) -> FileDataset:
    """Return a CT slice; `changes` sets attributes, None deletes one."""
    pixels = np.full((32, 48), 1024, np.uint16) if stored is None else stored
    ds = new_file(CT, "CT", uid(series, z_mm, tuple(orientation), pixels.shape))
    ds.SeriesInstanceUID = uid(series)
    ds.FrameOfReferenceUID = uid("frame")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = number
    ds.ImagePositionPatient = [*xy_mm, z_mm]
    ds.ImageOrientationPatient = list(orientation)
    ds.PixelSpacing = [0.5, 0.8]  # rows 0.5 mm apart, columns 0.8 mm
    ds.SliceThickness = 5
    ds.ConvolutionKernel = "B31f"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
    ds.HighBit = ds.BitsAllocated - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelData = pixels.tobytes()
    for name, value in changes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    if "SOPInstanceUID" in changes:
        ds.file_meta.MediaStorageSOPInstanceUID = changes["SOPInstanceUID"] or ""
    return ds


def save(ds: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path)
    return path


def volume(folder: Path, count: int = 5, interval_mm: float = 5.0, **changes: Any) -> list[str]:
    """Write `count` slices from z = 0 downwards; return their SOP Instance UIDs, head → foot."""
    uids = []
    for index in range(count):
        ds = ct_slice(-index * interval_mm, number=index + 1, **changes)
        save(ds, folder / f"{index:03d}")
        uids.append(str(ds.SOPInstanceUID))
    return uids


# --- SR ---------------------------------------------------------------------------------------------


def coded(value: str, scheme: str, meaning: str = "x") -> Items:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Items([item])


def content(
    value_type: str,
    concept: tuple[str, ...] | None,
    children: Sequence[Dataset] = (),
    relation: str = "CONTAINS",
) -> Dataset:
    item = Dataset()
    item.ValueType = value_type
    item.RelationshipType = relation
    if concept is not None:
        item.ConceptNameCodeSequence = coded(*concept)
    if children:
        item.ContentSequence = Items(list(children))
    return item


def image_item(sop_uid: str, frame: int | None = None) -> Dataset:
    item = content("IMAGE", None, relation="SELECTED FROM")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, sop_uid
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    item.ReferencedSOPSequence = Items([reference])
    return item


def scoord(kind: str, points: Sequence[float], image: Dataset | None) -> Dataset:
    """`points` in DICOM image coordinates (origin at the corner of the first pixel)."""
    item = content("SCOORD", None, [image] if image is not None else [], relation="INFERRED FROM")
    item.GraphicType = kind
    item.GraphicData = [float(v) for v in points]
    return item


def num(concept: tuple[str, ...], value: float, children: Sequence[Dataset] = ()) -> Dataset:
    item = content("NUM", concept, children)
    measured = Dataset()
    measured.NumericValue = f"{value:g}"
    measured.MeasurementUnitsCodeSequence = coded("mm", "UCUM", "mm")
    item.MeasuredValueSequence = Items([measured])
    return item


def code_item(concept: tuple[str, ...], value: tuple[str, ...], relation: str = "CONTAINS") -> Dataset:
    item = content("CODE", concept, relation=relation)
    item.ConceptCodeSequence = coded(*value)
    return item


def text_item(concept: tuple[str, ...], value: str) -> Dataset:
    item = content("TEXT", concept, relation="HAS OBS CONTEXT")
    item.TextValue = value
    return item


def uid_item(concept: tuple[str, ...], value: str) -> Dataset:
    item = content("UIDREF", concept, relation="HAS OBS CONTEXT")
    item.UID = value
    return item


GROUP = ("125007", "DCM", "Measurement Group")
LONG = ("103339001", "SCT", "Long Axis")
SHORT = ("103340004", "SCT", "Short Axis")
TRACKING_ID = ("112039", "DCM", "Tracking Identifier")
TRACKING_UID = ("112040", "DCM", "Tracking Unique Identifier")
FINDING = ("121071", "DCM", "Finding")
SITE = ("363698007", "SCT", "Finding Site")
LUNG = ("39607008", "SCT", "Lung")


def group(children: Sequence[Dataset]) -> Dataset:
    return content("CONTAINER", GROUP, children)


def bidirectional(
    sop_uid: str,
    long: Sequence[float],
    short: Sequence[float],
    extra: Sequence[Dataset] = (),
    codes: tuple[tuple[str, ...], tuple[str, ...]] = (LONG, SHORT),
    pixel_mm: tuple[float, float] = (0.8, 0.5),
) -> Dataset:
    """Return a TID 1501 group with both axes, in DICOM image coordinates; `pixel_mm` as in `ct_slice`."""
    return group(
        [
            *extra,
            num(codes[0], _length_mm(long, pixel_mm), [scoord("POLYLINE", long, image_item(sop_uid))]),
            num(codes[1], _length_mm(short, pixel_mm), [scoord("POLYLINE", short, image_item(sop_uid))]),
        ]
    )


def _length_mm(points: Sequence[float], pixel_mm: tuple[float, float]) -> float:
    """Return the length of a line on pixels of that width and height; 1 mm where it has none to state."""
    x0, y0, x1, y1 = points
    length_mm = math.hypot((x1 - x0) * pixel_mm[0], (y1 - y0) * pixel_mm[1])
    return length_mm if length_mm < 1e6 else 1.0


def sr_document(groups: Sequence[Dataset], name: str = "sr") -> FileDataset:
    ds = new_file(ENHANCED_SR, "SR", uid(name))
    ds.SeriesInstanceUID = uid(name, "series")
    ds.ValueType = "CONTAINER"
    ds.ConceptNameCodeSequence = coded("126000", "DCM", "Imaging Measurement Report")
    measurements = content("CONTAINER", ("126010", "DCM", "Imaging Measurements"), groups)
    ds.ContentSequence = Items([measurements])
    return ds


# --- GSPS -------------------------------------------------------------------------------------------


def line(points: Sequence[float], units: str = "PIXEL", kind: str = "POLYLINE") -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions = units, 2
    item.NumberOfGraphicPoints, item.GraphicType, item.GraphicFilled = len(points) // 2, kind, "N"
    item.GraphicData = [float(v) for v in points]
    return item


def label(text: str, x: float, y: float) -> Dataset:
    item = Dataset()
    item.UnformattedTextValue = text
    item.AnchorPointAnnotationUnits, item.AnchorPoint, item.AnchorPointVisibility = "PIXEL", [x, y], "Y"
    return item


def annotation(
    sop_uids: Sequence[str], lines: Sequence[Dataset] = (), labels: Sequence[Dataset] = ()
) -> Dataset:
    item = Dataset()
    item.GraphicLayer = "LAYER"
    if sop_uids:
        item.ReferencedImageSequence = Items([_reference(u) for u in sop_uids])
    if lines:
        item.GraphicObjectSequence = Items(list(lines))
    if labels:
        item.TextObjectSequence = Items(list(labels))
    return item


def _reference(sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, sop_uid
    return item


def gsps(annotations: Sequence[Dataset], shown: Sequence[str] = (), **changes: Any) -> FileDataset:
    ds = new_file(GSPS, "PR", uid("gsps"))
    ds.SeriesInstanceUID = uid("gsps", "series")
    series = Dataset()
    series.SeriesInstanceUID = uid("series")
    series.ReferencedImageSequence = Items([_reference(u) for u in shown])
    ds.ReferencedSeriesSequence = Items([series])
    ds.GraphicAnnotationSequence = Items(list(annotations))
    for name, value in changes.items():
        setattr(ds, name, value)
    return ds
