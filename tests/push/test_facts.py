"""What is said of a lesion: probabilities only where they are known, sites only where a person said so."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import highdicom as hd
import pytest
from dicom_files import ct_slice, uid
from pydicom import Dataset
from pydicom.sr.coding import Code

from lesiongraph.lesion import LESION_TYPES, Axis, RecistMark
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.write_back import Algorithm, OriginalMark, ReportedLesion, StudyFacts, Tracking
from lesiongraph.mining.write_back.codes import REGIONS, TYPES
from lesiongraph.mining.write_back.document import build_report

IMAGE = ct_slice(0.0)
LESION = ReportedLesion(
    lesion_id="L-0000000001",
    tracking=Tracking("2.25.5", 3),
    series_instance_uid=str(IMAGE.SeriesInstanceUID),
    sop_instance_uid=str(IMAGE.SOPInstanceUID),
    frame=0,
    mark=RecistMark(Axis(10, 10, 20, 10), Axis(15, 8, 15, 12)),
    long_mm=8.0,
    short_mm=2.0,
)
ALGORITHM = Algorithm("lesiongraph", "1", ("matcher=exclusive",))


def facts(*lesions: ReportedLesion) -> StudyFacts:
    return StudyFacts(str(IMAGE.StudyInstanceUID), lesions, ALGORITHM)


def report(lesion: ReportedLesion, header: Dataset = IMAGE) -> Dataset:
    return build_report(facts(lesion), {str(IMAGE.SOPInstanceUID): header})


def items(document: Dataset) -> dict[str, list[Dataset]]:
    (group,) = document.ContentSequence[-1].ContentSequence
    found: dict[str, list[Dataset]] = {}
    for item in group.ContentSequence:
        found.setdefault(item.ConceptNameCodeSequence[0].CodeMeaning, []).append(item)
    return found


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def test_a_predicted_type_has_its_probability_and_is_no_site() -> None:
    found = items(report(dataclasses.replace(LESION, predicted_type="liver", type_probability=0.8333)))
    assert found["Lesion type"][0].ConceptCodeSequence[0].CodeMeaning == "Liver"
    assert found["Origin of the lesion type"][0].ConceptCodeSequence[0].CodeValue == "predicted"
    assert number(found["Probability of the lesion type"][0]) == 0.83
    assert "Finding Site" not in found
    assert found["Comment"][0].TextValue == "Lesion 3, liver (predicted, 83%)"


def test_a_stated_type_goes_before_a_predicted_one() -> None:
    both = dataclasses.replace(LESION, type="lung", predicted_type="liver", type_probability=0.83)
    found = items(report(both))
    assert found["Lesion type"][0].ConceptCodeSequence[0].CodeMeaning == "Lung"
    assert found["Origin of the lesion type"][0].ConceptCodeSequence[0].CodeValue == "stated"
    assert "Probability of the lesion type" not in found


def test_what_is_not_known_is_not_said() -> None:
    found = items(report(LESION))
    assert set(found) == {
        *("Tracking Identifier", "Tracking Unique Identifier", "Finding", "Algorithm Name"),
        *("Algorithm Version", "Algorithm Parameters", "Long Axis", "Short Axis", "Comment"),
        "Lesion id in lesiongraph",
    }


def test_all_that_is_known_is_said() -> None:
    known = dataclasses.replace(
        LESION, z=0.4567, z_sd=0.0149, region="chest", match_probability=0.913, state_before="matched"
    )
    found = items(report(known))
    assert number(found["Relative body location, 0 head to 1 foot"][0]) == 0.457
    assert number(found["Expected error of the relative body location"][0]) == 0.015
    assert found["Body region"][0].ConceptCodeSequence[0].CodeMeaning == "Chest"
    assert number(found["Probability of the match to another study"][0]) == 0.91
    assert found["State against the study before"][0].TextValue == "matched"


def test_the_original_s_site_gives_way_to_a_corrected_type() -> None:
    spleen = Code("78961009", "SCT", "Spleen")
    original = OriginalMark(sites=(spleen,), findings=(Code("4147007", "SCT", "Mass"),))
    kept = items(report(dataclasses.replace(LESION, original=original, type="abdomen")))
    assert kept["Finding Site"][0].ConceptCodeSequence[0].CodeMeaning == "Spleen"
    assert kept["Finding"][0].ConceptCodeSequence[0].CodeMeaning == "Mass"
    corrected = items(report(dataclasses.replace(LESION, original=original, type="kidney")))
    assert corrected["Finding Site"][0].ConceptCodeSequence[0].CodeMeaning == "Kidney"


def test_every_type_and_region_is_a_code_that_is_read_back() -> None:
    assert {type_of_site(code): name for name, code in TYPES.items()} == {n: n for n in LESION_TYPES}
    assert set(REGIONS) == {"head", "neck", "chest", "abdomen", "pelvis", "thigh"}


@pytest.mark.parametrize(
    "change",
    [
        {"tracking": Tracking("2.25.6", 3)},
        {"mark": RecistMark(Axis(10, 10, 20.001, 10), Axis(15, 8, 15, 12))},
        {"type": "lung"},
        {"match_probability": 0.5},
        {"state_before": "new"},
        {"lesion_id": "L-0000000002"},
    ],
)
def test_what_changes_the_content_changes_the_uid(change: dict[str, object]) -> None:
    assert facts(dataclasses.replace(LESION, **change)).digest != facts(LESION).digest  # type: ignore[arg-type]


def test_what_says_the_same_has_the_same_uid() -> None:
    other = dataclasses.replace(LESION, lesion_id="L-0000000002", tracking=Tracking("2.25.9", 1))
    assert facts(LESION, other).digest == facts(other, LESION).digest
    as_read = dataclasses.replace(
        LESION,
        mark=RecistMark(Axis(10 + 1e-9, 10, 20, 10), Axis(15, 8, 15, 12)),
        long_mm=8.0 + 1e-7,
        z=0.3,  # where the lesion lies is said, and makes no new report by itself
        match_probability=math.nan,
    )
    assert facts(as_read).digest == facts(LESION).digest
    newer = StudyFacts(str(IMAGE.StudyInstanceUID), (LESION,), dataclasses.replace(ALGORITHM, version="2"))
    assert newer.digest == facts(LESION).digest
    assert report(LESION).SOPInstanceUID == report(LESION).SOPInstanceUID


def test_a_frame_is_named_in_a_multi_frame_image() -> None:
    image = ct_slice(0.0, NumberOfFrames=4)
    found = items(report(dataclasses.replace(LESION, frame=2), image))
    (reference,) = found["Long Axis"][0].ContentSequence[0].ContentSequence[0].ReferencedSOPSequence
    assert reference.ReferencedFrameNumber == 3


@pytest.mark.parametrize("name", ["Müller^Jürgen", "Yamada^Tarou=山田^太郎=やまだ^たろう", ""])
def test_any_patient_stays_as_the_pacs_names_it(name: str, tmp_path: Path) -> None:
    header = ct_slice(0.0, PatientName=name, PatientID="", PatientSex="", StudyTime="101500.25")
    report(LESION, header).save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    document = hd.sr.srread(tmp_path / "sr.dcm")
    assert str(document.PatientName) == name
    assert (document.PatientID, document.StudyDate, document.StudyTime) == ("", "20200131", "101500.25")
    assert document.StudyInstanceUID == uid("study")
    assert (document.CompletionFlag, document.PreliminaryFlag, document.VerificationFlag) == (
        *("COMPLETE", "PRELIMINARY", "UNVERIFIED"),
    )
