"""The content tree of a report: one TID 1501 group a lesion instance, in a TID 1500 document (PS3.16)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis
from lesiongraph.mining.write_back import codes
from lesiongraph.mining.write_back.facts import (
    Algorithm,
    OriginalMark,
    ReportedLesion,
    StudyFacts,
    image_points,
)
from lesiongraph.mining.write_back.identity import DEVICE_UID

MANUFACTURER = "lesiongraph"
MODEL = "write-back"
# OHIF opens a group as its two-diameter tool where the Tracking Identifier starts so (docs/write-back.md).
TRACKING_PREFIX = "Cornerstone3DTools@^0.1.0:Bidirectional:"
CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


def content_of(facts: StudyFacts, headers: Mapping[str, Dataset]) -> Dataset:
    """Return the root of the content tree (TID 1500); arguments as of `document.build_report`."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=DEVICE_UID, name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=MODEL
    )
    observer = hd.sr.ObserverContext(
        observer_type=dicom_codes.DCM.Device, observer_identifying_attributes=device
    )
    groups = [_group(lesion, headers[lesion.sop_instance_uid], facts.algorithm) for lesion in facts.lesions]
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.CT_PROCEDURE,
        imaging_measurements=groups,
    )
    content: Dataset = report[0]
    return content


def _group(
    lesion: ReportedLesion, header: Dataset, algorithm: Algorithm
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=lesion.tracking.uid, identifier=TRACKING_PREFIX + lesion.tracking.label
        ),
        finding_type=lesion.original.findings[0],
        finding_sites=[hd.sr.FindingSite(site) for site in lesion.original.sites] or None,
        algorithm_id=hd.sr.AlgorithmIdentification(
            name=algorithm.name,
            version=algorithm.version,
            parameters=["; ".join(algorithm.parameters)],  # one text: readers show the first alone
        ),
        # the long axis is the first number: viewers take the lines from it
        measurements=[
            _measurement(codes.LONG_AXIS, lesion.mark.long_axis, lesion.long_mm, (lesion, header)),
            _measurement(codes.SHORT_AXIS, lesion.mark.short_axis, lesion.short_mm, (lesion, header)),
        ],
    )
    group[0].ContentSequence.extend([*_numbers(lesion), *_coded(lesion), *_named(lesion)])
    return group


def _measurement(
    name: Code, axis: Axis, length_mm: float, where: tuple[ReportedLesion, Dataset]
) -> hd.sr.Measurement:
    lesion, header = where
    frames = [lesion.frame + 1] if "NumberOfFrames" in header else None
    source = hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=str(header.SOPClassUID),
        referenced_sop_instance_uid=lesion.sop_instance_uid,
        referenced_frame_numbers=frames,
    )
    line = hd.sr.CoordinatesForMeasurement(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE, graphic_data=image_points(axis), source_image=source
    )
    return hd.sr.Measurement(name=name, value=length_mm, unit=codes.MILLIMETRE, referenced_coordinates=[line])


def _numbers(lesion: ReportedLesion) -> Iterator[Dataset]:
    for name, value in (
        (codes.TYPE_PROBABILITY, lesion.type_probability),
        (codes.MATCH_PROBABILITY, lesion.match_probability),
        (codes.BODY_Z, lesion.z),
        (codes.BODY_Z_SD, lesion.z_sd),
    ):
        if math.isfinite(value):
            yield hd.sr.NumContentItem(name, value, codes.NO_UNITS, relationship_type=CONTAINS)


def _coded(lesion: ReportedLesion) -> Iterator[Dataset]:
    kind, origin = lesion.type, codes.STATED
    if not kind:
        kind, origin = lesion.predicted_type, codes.PREDICTED
    if kind:
        yield hd.sr.CodeContentItem(codes.LESION_TYPE, codes.TYPES[kind], CONTAINS)
        yield hd.sr.CodeContentItem(codes.TYPE_ORIGIN, origin, CONTAINS)
    if lesion.region in codes.REGIONS:
        yield hd.sr.CodeContentItem(codes.BODY_REGION, codes.REGIONS[lesion.region], CONTAINS)


def _named(lesion: ReportedLesion) -> Iterator[Dataset]:
    """Give the texts and references: what the lesion is called, and where its mark was first made."""
    original = lesion.original
    yield hd.sr.TextContentItem(codes.COMMENT, _comment(lesion), CONTAINS)
    yield hd.sr.TextContentItem(codes.LESION_ID, lesion.lesion_id, CONTAINS)
    if lesion.state_before:
        yield hd.sr.TextContentItem(codes.STATE_BEFORE, lesion.state_before, CONTAINS)
    if original_evidence(original) is not None:
        yield hd.sr.CompositeContentItem(
            codes.ORIGINAL_SOURCE, original.sop_class_uid, original.sop_instance_uid, CONTAINS
        )
    if original.words:
        yield hd.sr.TextContentItem(codes.ORIGINAL_WORDS, original.words, CONTAINS)
    if original.item:
        yield hd.sr.TextContentItem(codes.ORIGINAL_ITEM, original.item, CONTAINS)
    if original.tracking_id:
        yield hd.sr.TextContentItem(codes.ORIGINAL_TRACKING, original.tracking_id, CONTAINS)
    if original.tracking_uid:
        yield hd.sr.UIDRefContentItem(codes.ORIGINAL_TRACKING_UID, original.tracking_uid, CONTAINS)


def _comment(lesion: ReportedLesion) -> str:
    """Return the line that a viewer shows beside the mark."""
    words = [lesion.tracking.label]
    if lesion.type:
        words.append(lesion.type)
    elif lesion.predicted_type:
        words.append(f"{lesion.predicted_type} (predicted, {lesion.type_probability:.0%})")
    if lesion.state_before:
        words.append(f"against the study before: {lesion.state_before}")
    return ", ".join(words)


def original_evidence(original: OriginalMark) -> Dataset | None:
    """Return the original as evidence; None where what a reference needs is not known."""
    if not (original.sop_instance_uid and original.sop_class_uid and original.series_instance_uid):
        return None
    evidence = Dataset()
    evidence.SOPClassUID = original.sop_class_uid
    evidence.SOPInstanceUID = original.sop_instance_uid
    evidence.SeriesInstanceUID = original.series_instance_uid
    evidence.StudyInstanceUID = original.study_instance_uid
    return evidence
