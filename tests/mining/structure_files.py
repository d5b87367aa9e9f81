"""RTSTRUCT and SEG objects on the slices of `dicom_files.volume`."""

from __future__ import annotations

import numpy as np
from dicom_files import coded, new_file, uid
from pydicom import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence as Items

SPACING_X_MM, SPACING_Y_MM = 0.8, 0.5  # of `dicom_files.ct_slice`, whose first pixel lies at (-10, -20)


def box_mm(x0: float, y0: float, x1: float, y1: float, z_mm: float) -> list[float]:
    """A rectangle given in array coordinates (px), as contour data (mm)."""
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return [v for x, y in corners for v in (-10 + x * SPACING_X_MM, -20 + y * SPACING_Y_MM, z_mm)]


def contour(data: list[float], image_uid: str | None, kind: str = "CLOSED_PLANAR") -> Dataset:
    item = Dataset()
    item.ContourGeometricType = kind
    item.ContourData = [f"{v:.4f}" for v in data]
    item.NumberOfContourPoints = len(data) // 3
    if image_uid is not None:
        reference = Dataset()
        reference.ReferencedSOPInstanceUID = image_uid
        item.ContourImageSequence = Items([reference])
    return item


def structure_set(*rois: tuple[str, str, list[Dataset]]) -> Dataset:
    """ROIs as (name, interpreted type, contours)."""
    ds = new_file("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", uid("rtstruct"))
    names, observations, contours = [], [], []
    for number, (name, kind, items) in enumerate(rois, start=1):
        roi, observation, drawn = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, uid("frame")
        observation.ReferencedROINumber, observation.RTROIInterpretedType = number, kind
        drawn.ReferencedROINumber, drawn.ContourSequence = number, Items(items)
        names.append(roi)
        observations.append(observation)
        contours.append(drawn)
    ds.StructureSetROISequence = Items(names)
    ds.RTROIObservationsSequence = Items(observations)
    ds.ROIContourSequence = Items(contours)
    return ds


def segment(number: int, label: str, kind: tuple[str, str, str], site: tuple | None = None) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, label
    item.SegmentedPropertyCategoryCodeSequence = coded("91723000", "SCT", "Anatomical Structure")
    item.SegmentedPropertyTypeCodeSequence = coded(*kind)
    item.TrackingUID = uid("tracking", number)
    if site is not None:
        item.AnatomicRegionSequence = coded(*site)
    return item


def frame_groups(number: int | None, z_mm: float, image_uid: str | None, corner=(-10.0, -20.0)) -> Dataset:
    item, position = Dataset(), Dataset()
    position.ImagePositionPatient = [*corner, z_mm]
    item.PlanePositionSequence = Items([position])
    if number is not None:
        which = Dataset()
        which.ReferencedSegmentNumber = number
        item.SegmentIdentificationSequence = Items([which])
    if image_uid is not None:
        source, derivation = Dataset(), Dataset()
        source.ReferencedSOPInstanceUID = image_uid
        derivation.SourceImageSequence = Items([source])
        item.DerivationImageSequence = Items([derivation])
    return item


def seg(
    segments: list[Dataset],
    frames: list[tuple[Dataset, np.ndarray]],
    kind: str = "BINARY",
    spacing=(0.5, 0.8),
) -> Dataset:
    ds = new_file("1.2.840.10008.5.1.4.1.1.66.4", "SEG", uid("seg"))
    ds.FrameOfReferenceUID = uid("frame")
    ds.SegmentationType = kind
    ds.SegmentSequence = Items(segments)
    ds.PerFrameFunctionalGroupsSequence = Items([groups for groups, _ in frames])
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = list(spacing)
    shared.PlaneOrientationSequence = Items([orientation])
    shared.PixelMeasuresSequence = Items([measures])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    pixels = np.stack([plane for _, plane in frames]).astype(np.uint8)
    ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    if kind == "BINARY":
        ds.BitsAllocated = ds.BitsStored = 1
        ds.HighBit = 0
        ds.PixelData = pack_bits(pixels)
    else:
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit = 7
        ds.PixelData = pixels.tobytes()
    if kind == "FRACTIONAL":
        ds.MaximumFractionalValue = 200
    return ds


def plane(x0: int, x1: int, y0: int, y1: int, value: int = 1, shape=(32, 48)) -> np.ndarray:
    pixels = np.zeros(shape, np.uint8)
    pixels[y0:y1, x0:x1] = value
    return pixels
