"""One study's facts → a Comprehensive SR document of that study (PS3.3 A.35.3, PS3.16 TID 1500)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import highdicom as hd
from pydicom import Dataset

from lesiongraph.mining.write_back import codes
from lesiongraph.mining.write_back.content import MANUFACTURER, MODEL, content_of, original_evidence
from lesiongraph.mining.write_back.facts import StudyFacts
from lesiongraph.mining.write_back.identity import report_uid, series_uid
from lesiongraph.mining.write_back.own import FormerReport

SERIES_NUMBER = 7801
SERIES_DESCRIPTION = "Lesions over time (lesiongraph)"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription"),
)


def build_report(
    facts: StudyFacts,
    headers: Mapping[str, Dataset],
    former: Sequence[FormerReport] = (),
    instance_number: int = 1,
    made: datetime.datetime | None = None,
) -> Dataset:
    """Return the report of one study.

    Parameters
    ----------
    facts : StudyFacts
        With the PACS's own UIDs.
    headers : mapping
        SOP Instance UID of each key slice → its header as the PACS holds it. Patient and study of the report
        are those of the first.
    former : sequence of FormerReport
        Ours of this study, the newest last: it becomes the predecessor.
    instance_number : int
        Place in our series of the study.
    made : datetime, optional
        Date and time of the content; now.

    Source: PS3.16 TID 1500, 1501, 300, 320, 4019; PS3.3 A.35.3 (Comprehensive SR).
    """
    made = made or datetime.datetime.now()
    predecessor = former[-1] if former else None
    images = [_evidence(headers[lesion.sop_instance_uid]) for lesion in facts.lesions]
    originals = [e for lesion in facts.lesions if (e := original_evidence(lesion.original)) is not None]
    report: Dataset = hd.sr.ComprehensiveSR(
        evidence=[*images, *originals],
        content=content_of(facts, headers),
        series_instance_uid=series_uid(facts.study_instance_uid),
        series_number=SERIES_NUMBER,
        sop_instance_uid=report_uid(
            facts.study_instance_uid, facts.digest, predecessor.sop_instance_uid if predecessor else ""
        ),
        instance_number=instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=facts.algorithm.version,
        series_description=SERIES_DESCRIPTION,
        is_complete=True,
        is_final=False,  # nobody has looked at it
        previous_versions=[_reference(facts, predecessor)] if predecessor else None,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
    )
    _identify(report, headers[facts.lesions[0].sop_instance_uid])
    _date(report, made)
    report.CodingSchemeIdentificationSequence = [_coding_scheme()]
    return report


def _evidence(header: Dataset) -> Dataset:
    """Return what highdicom needs of an image; patient and study are filled in afterwards, as they stand."""
    evidence = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        setattr(evidence, keyword, str(header.get(keyword)))
    for keyword in ("PatientID", "PatientName", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(evidence, keyword, "")
    for keyword in ("PatientBirthDate", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(evidence, keyword, None)
    return evidence


def _reference(facts: StudyFacts, former: FormerReport) -> Dataset:
    reference = Dataset()
    reference.StudyInstanceUID = facts.study_instance_uid
    reference.SeriesInstanceUID = series_uid(facts.study_instance_uid)
    reference.SOPClassUID = former.sop_class_uid
    reference.SOPInstanceUID = former.sop_instance_uid
    return reference


def _identify(report: Dataset, header: Dataset) -> None:
    """Give the report patient and study exactly as the PACS states them, in UTF-8."""
    report.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _IDENTITY:
        if keyword in report:
            delattr(report, keyword)
        if keyword in header:
            value = header[keyword].value
            setattr(report, keyword, None if value is None else str(value))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
        if keyword not in report:  # type 2: there, if need be empty
            setattr(report, keyword, None)
    for keyword in ("StudyID", "AccessionNumber", "ReferringPhysicianName"):
        if keyword not in report:
            setattr(report, keyword, None)


def _date(report: Dataset, made: datetime.datetime) -> None:
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = date
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = time


def _coding_scheme() -> Dataset:
    """Return who stands behind our private codes (PS3.3 C.12.1.1.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = codes.SCHEME
    scheme.CodingSchemeName = "lesiongraph, docs/write-back.md"
    return scheme
