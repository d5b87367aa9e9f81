"""What the radiologist files: TID 1500 SR or GSPS, one object a study and reader, through highdicom.

Array coordinates become DICOM image coordinates here, and only here: their origin is the corner of the
first pixel, so half a pixel is added (PS3.3 C.18.6.1.1 SCOORD, C.10.5.1.2 graphic annotation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as calendar_date
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis
from lesiongraph.phantom.dicom import MANUFACTURER, MODEL, StudyRecord, WrittenSeries

AXES = (Code("103339001", "SCT", "Long Axis"), Code("103340004", "SCT", "Short Axis"))
LEGACY_AXES = (Code("G-A185", "SRT", "Long Axis"), Code("G-A186", "SRT", "Short Axis"))
LESION = Code("52988006", "SCT", "Lesion")
CT_PROCEDURE = Code("77477000", "SCT", "Computed tomography")
FINDING_SITES = {
    "bone": Code("272673000", "SCT", "Bone structure"),
    "abdomen": Code("818983003", "SCT", "Abdomen"),
    "mediastinum": Code("72410000", "SCT", "Mediastinum"),
    "liver": Code("10200004", "SCT", "Liver"),
    "lung": Code("39607008", "SCT", "Lung"),
    "kidney": Code("64033007", "SCT", "Kidney"),
    "soft tissue": Code("87784001", "SCT", "Soft tissue"),
    "pelvis": Code("12921003", "SCT", "Pelvis"),
}
CORNER_TO_CENTRE_PX = 0.5
TICK_LENGTH_PX = 3.0
TEXT_DISTANCE_PX = 4.0
SOFTWARE_VERSION = "1"


@dataclass(frozen=True)
class DrawnMark:
    """One mark as filed, in array coordinates of the stored image.

    `short_axis` None: a single line (an arrow). `type` "": the reader did not code the site.
    `ticks`: the workstation adds a small line across the middle of each axis (facts: Agfa).
    """

    series: WrittenSeries
    slice_index: int
    long_axis: Axis
    short_axis: Axis | None
    type: str
    tracking_uid: str
    ticks: bool = False


@dataclass(frozen=True)
class Report:
    """One object on disk."""

    kind: str  # SR | GSPS
    sop_instance_uid: str
    path: Path


def write_sr(
    path: Path,
    study: StudyRecord,
    reader: int,
    marks: Sequence[DrawnMark],
    *,
    legacy_codes: bool = False,
) -> Report:
    """Write the marks as Comprehensive SR, TID 1500 with one TID 1501 group a mark.

    With `legacy_codes` the axes carry the SNOMED-RT codes that older workstations still write.

    Raises
    ------
    ValueError
        If a mark has no short axis: an SR group needs both.

    Source: PS3.16 TID 1500, 1501, 320; PS3.3 A.35.3.
    """
    names = LEGACY_AXES if legacy_codes else AXES
    groups = [_measurement_group(mark, number, names) for number, mark in enumerate(marks, start=1)]
    context = hd.sr.ObservationContext(
        observer_person_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(
                name=_reader_name(reader)
            ),
        )
    )
    content = hd.sr.MeasurementReport(
        observation_context=context, procedure_reported=CT_PROCEDURE, imaging_measurements=groups
    )
    sop_instance_uid = study.uid("sr", reader)
    report = hd.sr.ComprehensiveSR(
        evidence=_key_images(marks),
        content=content,
        series_instance_uid=study.uid("sr series", reader),
        series_number=100 + reader,
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        series_description="Measurements",
        is_complete=True,
        is_final=True,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )
    return _save(report, "SR", path, study)


def write_gsps(
    path: Path,
    study: StudyRecord,
    reader: int,
    marks: Sequence[DrawnMark],
    *,
    one_annotation_an_image: bool = False,
) -> Report:
    """Write the marks as two-point polylines of a Grayscale Softcopy Presentation State.

    With `one_annotation_an_image` the lines of all marks on an image lie in one annotation, unpaired, as
    some workstations write them; else each mark has an annotation of its own.

    Source: PS3.3 A.33.1, C.10.5 (Graphic Annotation).
    """
    layer = hd.pr.GraphicLayer(layer_name="MEASUREMENTS", order=1)
    images = _key_images(marks)
    groups = _by_image(marks) if one_annotation_an_image else [[mark] for mark in marks]
    state = hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=images,
        series_instance_uid=study.uid("gsps series", reader),
        series_number=100 + reader,
        sop_instance_uid=study.uid("gsps", reader),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=SOFTWARE_VERSION,
        device_serial_number="1",
        content_label="MEASUREMENTS",
        content_creator_name=_reader_name(reader),
        graphic_layers=[layer],
        graphic_annotations=[_annotation(group, layer) for group in groups],
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )
    state.PresentationCreationDate = study.date
    state.PresentationCreationTime = study.time
    return _save(state, "GSPS", path, study)


def _measurement_group(
    mark: DrawnMark, number: int, names: tuple[Code, Code]
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    if mark.short_axis is None:
        raise ValueError(f"mark {mark.tracking_uid}: expected a long and a short axis, got one line")
    site = [hd.sr.FindingSite(FINDING_SITES[mark.type])] if mark.type else None
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=mark.tracking_uid, identifier=f"Measurement {number}"
        ),
        finding_type=LESION,
        finding_sites=site,
        measurements=[
            _measurement(mark, names[0], mark.long_axis),
            _measurement(mark, names[1], mark.short_axis),
        ],
    )


def _measurement(mark: DrawnMark, name: Code, axis: Axis) -> hd.sr.Measurement:
    header = mark.series.header(mark.slice_index)
    source = hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=header.SOPClassUID, referenced_sop_instance_uid=header.SOPInstanceUID
    )
    coordinates = hd.sr.CoordinatesForMeasurement(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=_image_points(axis),
        source_image=source,
    )
    return hd.sr.Measurement(
        name=name,
        value=round(axis.length_px * mark.series.pixel_mm, 2),
        unit=codes.UCUM.Millimeter,
        referenced_coordinates=[coordinates],
    )


def _by_image(marks: Sequence[DrawnMark]) -> list[list[DrawnMark]]:
    groups: dict[str, list[DrawnMark]] = {}
    for mark in marks:
        groups.setdefault(mark.series.sop_instance_uids[mark.slice_index], []).append(mark)
    return list(groups.values())


def _annotation(marks: Sequence[DrawnMark], layer: hd.pr.GraphicLayer) -> hd.pr.GraphicAnnotation:
    """Return one annotation with the lines and texts of marks on the same image."""
    lines: list[hd.pr.GraphicObject] = []
    texts: list[hd.pr.TextObject] = []
    for mark in marks:
        axes = [axis for axis in (mark.long_axis, mark.short_axis) if axis is not None]
        axes += [_tick(axis) for axis in axes] if mark.ticks else []
        lines += [_line(axis, mark.series) for axis in axes]
        texts.append(_text(f"{mark.long_axis.length_px * mark.series.pixel_mm:.1f} mm", mark, -1))
        if mark.type:
            texts.append(_text(mark.type, mark, 1))
    return hd.pr.GraphicAnnotation(
        referenced_images=[marks[0].series.header(marks[0].slice_index)],
        graphic_layer=layer,
        graphic_objects=lines,
        text_objects=texts,
    )


def _line(axis: Axis, series: WrittenSeries) -> hd.pr.GraphicObject:
    points = np.clip(_image_points(axis), 0, [series.columns, series.rows])
    return hd.pr.GraphicObject(
        graphic_type=hd.pr.GraphicTypeValues.POLYLINE,
        graphic_data=points,
        units=hd.pr.AnnotationUnitsValues.PIXEL,
    )


def _tick(axis: Axis) -> Axis:
    """Return the short line that some workstations put across the middle of a measurement."""
    middle_x, middle_y = (axis.x0 + axis.x1) / 2, (axis.y0 + axis.y1) / 2
    length = axis.length_px or 1.0
    half_x = -(axis.y1 - axis.y0) / length * TICK_LENGTH_PX / 2
    half_y = (axis.x1 - axis.x0) / length * TICK_LENGTH_PX / 2
    return Axis(middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y)


def _text(words: str, mark: DrawnMark, side: int) -> hd.pr.TextObject:
    axis = mark.long_axis
    x = max(axis.x0, axis.x1) + TEXT_DISTANCE_PX if side > 0 else min(axis.x0, axis.x1) - TEXT_DISTANCE_PX
    anchor = np.clip([x, (axis.y0 + axis.y1) / 2], 0, [mark.series.columns - 1, mark.series.rows - 1])
    return hd.pr.TextObject(
        text_value=words,
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        anchor_point=(float(anchor[0]), float(anchor[1])),
    )


def _image_points(axis: Axis) -> npt.NDArray[np.float64]:
    points = np.array([[axis.x0, axis.y0], [axis.x1, axis.y1]]) + CORNER_TO_CENTRE_PX
    return points.astype(np.float32).astype(np.float64)  # VR FL


def _key_images(marks: Sequence[DrawnMark]) -> list[Dataset]:
    headers = {}
    for mark in marks:
        header = mark.series.header(mark.slice_index)
        headers[header.SOPInstanceUID] = header
    return list(headers.values())


def _reader_name(reader: int) -> str:
    return f"Reader^{'ABCDEFGH'[reader % 8]}"


def _save(report: Dataset, kind: str, path: Path, study: StudyRecord) -> Report:
    """Write a highdicom object with the study's date where highdicom put the clock's."""
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = _calendar(study.date)
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = study.time
    for equipment in report.get("ContributingEquipmentSequence", []):
        equipment.ContributionDateTime = study.date + study.time
    path.parent.mkdir(parents=True, exist_ok=True)
    report.save_as(path, enforce_file_format=True)
    return Report(kind, str(report.SOPInstanceUID), path)


def _calendar(date: str) -> calendar_date:
    return calendar_date(int(date[:4]), int(date[4:6]), int(date[6:]))
