"""Objects that highdicom writes: reports of TID 1500 with any group, segmentations of each type."""

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from dicom_files import ct_slice, save, uid
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

MAKER = {"manufacturer": "tests", "manufacturer_model_name": "tests"}
NODULE = Code("27925004", "SCT", "Nodule")
SPACING_MM = 0.5
SHAPE = (128, 256)


def write_images(folder: Path, count: int = 4, interval_mm: float = 5.0) -> list[Dataset]:
    """Write a CT series of 256 × 128 pixels of 0.5 mm, its first pixel at (−10, −20, 0); head → foot."""
    images = []
    for index in range(count):
        image = ct_slice(
            -interval_mm * index,
            number=index + 1,
            stored=np.zeros(SHAPE, np.uint16),
            PixelSpacing=[SPACING_MM, SPACING_MM],
            PatientName="Test^Patient",
            PatientBirthDate="19590101",
            StudyID="1",
            StudyTime="120000",
            AccessionNumber="1",
            ReferringPhysicianName="",
            SeriesNumber=1,
        )
        save(image, folder / f"{index:03d}")
        images.append(image)
    return images


def report(groups: Sequence[Dataset], images: Sequence[Dataset], *, three_d: bool = False) -> Dataset:
    """Return an SR document (Comprehensive, or Comprehensive 3D) of these measurement groups."""
    person = hd.sr.PersonObserverIdentifyingAttributes(name="Reader^Test")
    context = hd.sr.ObservationContext(
        observer_person_context=hd.sr.ObserverContext(codes.DCM.Person, person)
    )
    content = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=Code("77477000", "SCT", "Computerized axial tomography"),
        imaging_measurements=groups,
    )
    document = hd.sr.Comprehensive3DSR if three_d else hd.sr.ComprehensiveSR
    return document(
        evidence=images,
        content=content,
        series_instance_uid=uid("hd sr series"),
        series_number=9,
        sop_instance_uid=uid("hd sr"),
        instance_number=1,
        is_complete=True,
        **MAKER,
    )


def tracking(name: str = "Lesion 1") -> hd.sr.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=uid("tracking", name), identifier=name)


def source(image: Dataset) -> hd.sr.SourceImageForRegion:
    return hd.sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)


def measured(name: Code, value_mm: float, points: object, image: Dataset) -> hd.sr.Measurement:
    """Return a measurement inferred from a line; points in DICOM image coordinates."""
    line = hd.sr.CoordinatesForMeasurement(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=np.array(points, float),
        source_image=source(image),
    )
    return hd.sr.Measurement(name, value_mm, codes.UCUM.Millimeter, referenced_coordinates=[line])


def measured_3d(name: Code, value_mm: float, points_mm: object) -> hd.sr.Measurement:
    line = hd.sr.CoordinatesForMeasurement3D(
        graphic_type=hd.sr.GraphicTypeValues3D.POLYLINE,
        graphic_data=np.array(points_mm, float),
        frame_of_reference_uid=uid("frame"),
    )
    return hd.sr.Measurement(name, value_mm, codes.UCUM.Millimeter, referenced_coordinates=[line])


def segment(number: int, label: str = "nodule", kind: Code = NODULE) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=Code("49755003", "SCT", "Morphologically Altered Structure"),
        segmented_property_type=kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=uid("segment", number),
        tracking_id=label,
    )


def segmentation(
    images: Sequence[Dataset],
    pixels: np.ndarray,
    segments: Sequence[hd.seg.SegmentDescription],
    kind: str = "BINARY",
    **more: object,
) -> hd.seg.Segmentation:
    """Return a segmentation; `pixels` (frames, rows, columns[, segments]) as highdicom takes them."""
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=uid("hd seg series", kind),
        series_number=8,
        sop_instance_uid=uid("hd seg", kind),
        instance_number=1,
        software_versions="1",
        device_serial_number="1",
        **MAKER,
        **more,
    )
