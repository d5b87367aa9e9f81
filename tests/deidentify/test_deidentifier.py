"""The door: equal originals stay equal, over objects, runs and kinds; what mining reads stays readable."""

from __future__ import annotations

import threading
from io import BytesIO

import numpy as np
import pydicom
import pytest
from dicom_files import (
    CT,
    annotation,
    bidirectional,
    code_item,
    content,
    ct_slice,
    gsps,
    label,
    line,
    sr_document,
    text_item,
    uid,
    uid_item,
)
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lesiongraph.mining import AsItIs, Deidentifier, KeyFile, Originals
from lesiongraph.mining.arrival import Arrival
from lesiongraph.mining.deidentify.pixels import without_comments
from lesiongraph.mining.mirror_folder import write_object
from lesiongraph.mining.structures import names_a_lesion

TRACKING = ("112039", "DCM", "Tracking Identifier")
TRACKING_UID = ("112040", "DCM", "Tracking Unique Identifier")
SITE = ("363698007", "SCT", "Finding Site")


def from_disk(dataset: Dataset) -> Dataset:
    buffer, bare = BytesIO(), Dataset()
    bare.update(dataset)  # a FileDataset refuses to change its byte order
    bare.file_meta = dataset.file_meta
    bare.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def report(*extra: Dataset) -> Dataset:
    name = str(ct_slice(0).SOPInstanceUID)
    return sr_document([bidirectional(name, (1, 1, 9, 1), (5, 0, 5, 3), list(extra))])


def item_of(dataset: Dataset, value_type: str) -> Dataset:
    (found,) = [
        i for i in dataset.ContentSequence[0].ContentSequence[0].ContentSequence if i.ValueType == value_type
    ]
    return found


def test_the_door_is_an_arrival(door):
    arrivals: list[Arrival] = [door, AsItIs()]
    assert [a.uid("1.2.3") == "1.2.3" for a in arrivals] == [False, True]


def test_one_secret_gives_the_same_in_every_run_another_does_not(tmp_path):
    secret = bytes(range(32))
    doors = [
        Deidentifier(KeyFile.create(tmp_path / f"{n}.key", s))
        for n, s in enumerate((secret, secret, bytes(32)))
    ]
    first, again, other = (d.admit(ct_slice(0)) for d in doors)
    assert first == again
    for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "StudyDate"):
        assert first[keyword] != other[keyword]


def test_references_between_objects_hold(door):
    image, document = door.admit(ct_slice(0)), door.admit(report())
    state = door.admit(
        gsps([annotation([uid("series", 0, (1, 0, 0, 0, 1, 0), (32, 48))], [line((1, 1, 9, 1))])])
    )
    num = next(
        i for i in document.ContentSequence[0].ContentSequence[0].ContentSequence if i.ValueType == "NUM"
    )
    scoord = num.ContentSequence[0]
    referenced = scoord.ContentSequence[0].ReferencedSOPSequence[0]
    assert (
        referenced.ReferencedSOPInstanceUID
        == image.SOPInstanceUID
        == door.uid(str(ct_slice(0).SOPInstanceUID))
    )
    assert referenced.ReferencedSOPClassUID == CT
    drawn_on = state.GraphicAnnotationSequence[0].ReferencedImageSequence[0]
    assert drawn_on.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert document.StudyInstanceUID == image.StudyInstanceUID
    assert document.PatientID == image.PatientID
    assert document.StudyDate == image.StudyDate
    assert (
        scoord.GraphicData
        == report().ContentSequence[0].ContentSequence[0].ContentSequence[0].ContentSequence[0].GraphicData
    )


def test_every_new_uid_is_valid_and_has_its_original(door, key):
    for original in ("1.2.3", "1.2.840.113619.2.1", "not a uid", "1." * 40):
        assert UID(door.uid(original)).is_valid
        assert Originals(key).uid(door.uid(original)) == original
    assert door.uid("") == ""


def test_uids_of_the_standard_stay(door):
    atlas = "1.2.840.10008.1.4.1.1"  # Talairach frame of reference
    admitted = door.admit(ct_slice(0, FrameOfReferenceUID=atlas))
    assert admitted.FrameOfReferenceUID == atlas
    assert admitted.SOPClassUID == CT
    assert (
        door.admit(ct_slice(0, SOPInstanceUID=CT + ".99")).SOPInstanceUID != CT + ".99"
    )  # an instance is not


@pytest.mark.parametrize(
    ("item", "kind", "keyword", "kept"),
    [
        (text_item(("121106", "DCM", "Comment"), "24 x 16 mm"), "TEXT", "TextValue", "24 x 16 mm"),
        (text_item(("121106", "DCM", "Comment"), "seen with Dr. Zqvort"), "TEXT", "TextValue", "removed"),
        (text_item(TRACKING, "Lesion 3"), "TEXT", "TextValue", "Lesion 3"),
    ],
)
def test_text_of_a_report(door, item, kind, keyword, kept):
    assert item_of(door.admit(report(item)), kind)[keyword].value == kept


def test_a_tracking_identifier_stays_equal_where_it_was_equal(door):
    items = [text_item(TRACKING, "Zqvort liver A"), uid_item(TRACKING_UID, "1.2.3.4")]
    first, second = door.admit(report(*items)), door.admit(report(*items))
    other = door.admit(report(text_item(TRACKING, "Zqvort liver B")))
    assert (
        item_of(first, "TEXT").TextValue
        == item_of(second, "TEXT").TextValue
        != item_of(other, "TEXT").TextValue
    )
    assert door.uid("1.2.3.4") == item_of(first, "UIDREF").UID


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (("10200004", "SCT", "Liver"), ("10200004", "SCT", "Liver")),
        (("10200004", "SCT", "Liver of Zqvort"), ("10200004", "SCT", "Liver")),
        (("T-62000", "SRT", "Liver"), ("T-62000", "SRT", "Liver")),
        (("126000", "DCM", "Zqvort"), ("126000", "DCM", "Imaging Measurement Report")),
        (("99999999", "SCT", "Zqvort"), ("99999999", "SCT", "code 99999999")),
    ],
)
def test_public_codes_stay_and_their_meaning_is_the_standards(door, code, kept):
    found = item_of(door.admit(report(code_item(SITE, code))), "CODE").ConceptCodeSequence[0]
    assert (found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning) == kept


def test_private_codes_become_tokens_that_stay_equal(door):
    codes = [("ZQVORT1", "99HOSP", "liver"), ("ZQVORT1", "99HOSP", "Zqvort"), ("ZQVORT2", "99HOSP", "liver")]
    a, b, c = (
        item_of(door.admit(report(code_item(SITE, code))), "CODE").ConceptCodeSequence[0] for code in codes
    )
    assert a.CodeValue == b.CodeValue != c.CodeValue
    assert a.CodeMeaning == "liver"
    assert not any("ZQV" in str(x).upper() or "HOSP" in str(x) for x in (a, b, c))


def test_birth_date_goes_and_age_is_capped(door):
    born = content("DATE", ("121031", "DCM", "Subject Birth Date"))
    born.Date = "19300101"
    assert item_of(door.admit(report(born)), "DATE").Date == ""
    ages = [door.admit(ct_slice(0, PatientAge=age)).PatientAge for age in ("089Y", "090Y", "104Y", "011M")]
    assert ages == ["089Y", "090Y", "090Y", "011M"]


def test_an_age_in_a_report_is_capped(door):
    age = content("NUM", ("121033", "DCM", "Subject Age"))
    measured = Dataset()
    measured.NumericValue = "97"
    measured.MeasurementUnitsCodeSequence = []
    age.MeasuredValueSequence = [measured]
    nums = [
        i
        for i in door.admit(report(age)).ContentSequence[0].ContentSequence[0].ContentSequence
        if i.ValueType == "NUM"
    ]
    (stated,) = [i for i in nums if i.ConceptNameCodeSequence[0].CodeValue == "121033"]
    assert stated.MeasuredValueSequence[0].NumericValue == 90


@pytest.mark.parametrize(
    "name", ["Zqvort-GTV", "Lung-GTV", "Zqvort", "GTV minus Zqvort", "ZqvortLung-GTV", "liver ohne tumour"]
)
def test_a_structure_stays_a_lesion_or_none(door, name):
    roi = Dataset()
    roi.ROIName = name
    made = ct_slice(0)
    made.StructureSetROISequence = [roi]
    kept = door.admit(made).StructureSetROISequence[0].ROIName
    assert kept
    assert names_a_lesion(kept) == names_a_lesion(name)
    assert "zqv" not in kept.lower()


def test_text_drawn_on_an_image(door):
    drawn = annotation(
        [uid("x")], [], [label("24 x 16 mm", 1, 1), label("Zqvort", 2, 2), label("liver", 3, 3)]
    )
    texts = door.admit(gsps([drawn])).GraphicAnnotationSequence[0].TextObjectSequence
    assert [t.UnformattedTextValue for t in texts] == ["24 x 16 mm", "", "liver"]


def test_a_patient_without_id_stays_without_and_its_studies_share_nothing(door):
    one, same, other = (
        door.admit(ct_slice(z, PatientID="", StudyInstanceUID=study))
        for z, study in ((0, "1.1"), (5, "1.1"), (0, "1.2"))
    )
    assert one.PatientID == ""
    assert one.StudyDate == same.StudyDate != other.StudyDate


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_uncompressed_syntax_is_written_as_it_was(door, tmp_path, syntax):
    made = ct_slice(0, stored=np.arange(1536, dtype=np.uint16).reshape(32, 48))
    pixels = np.frombuffer(made.PixelData, "<u2")
    if syntax is ExplicitVRBigEndian:
        made.PixelData = pixels.astype(">u2").tobytes()
    made.file_meta.TransferSyntaxUID = syntax
    back = pydicom.dcmread(write_object(door.admit(from_disk(made)), tmp_path))
    assert back.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(back.pixel_array.ravel(), pixels)
    assert (back.Rows, back.PixelSpacing) == (32, [0.5, 0.8])


def test_a_data_set_from_json_is_admitted_like_one_from_disk(door):
    """DICOMweb gives data sets as JSON, whose values are decoded already."""
    made = ct_slice(0)
    del made.PixelData
    assert door.admit(Dataset.from_json(made.to_json())) == door.admit(from_disk(made))


@pytest.mark.parametrize("signed", [False, True])
def test_overlays_in_unused_bits_are_cleared_and_pixels_stay(door, signed):
    values = np.arange(-800, 736, dtype=np.int16) if signed else np.arange(1536, dtype=np.uint16)
    stored = (values.view(np.uint16) & 0x0FFF) | np.where(np.arange(1536) % 2, 0x8000, 0).astype(np.uint16)
    made = ct_slice(0, stored=stored.reshape(32, 48))
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, int(signed)
    made.add_new(0x60000102, "US", 15)
    admitted = door.admit(from_disk(made))
    np.testing.assert_array_equal(np.frombuffer(admitted.PixelData, values.dtype), values)
    assert door.counts["overlays in the pixels' unused bits removed"] == 1


def test_comments_of_compressed_streams_are_blanked():
    j2k = b"\xff\x4f\xff\x64" + (10).to_bytes(2, "big") + b"\0\1Zqvort" + b"\xff\x90rest"
    jpeg = b"\xff\xd8\xff\xfe" + (8).to_bytes(2, "big") + b"Zqvort" + b"\xff\xda\xff\xferest"
    for stream in (j2k, jpeg):
        item = b"\xfe\xff\x00\xe0" + len(stream).to_bytes(4, "little") + stream
        cleaned = without_comments(b"\xfe\xff\x00\xe0\0\0\0\0" + item)
        assert b"Zqvort" not in cleaned
        assert cleaned.endswith(b"rest")
        assert len(cleaned) == 8 + len(item)


def test_several_threads_admit_at_once(door, key):
    made = [[ct_slice(-z, series=f"s{n}") for z in range(20)] for n in range(4)]
    before = pydicom.config.settings.reading_validation_mode
    threads = [threading.Thread(target=lambda part=part: [door.admit(ds) for ds in part]) for part in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pydicom.config.settings.reading_validation_mode == before
    assert door.counts["attributes removed"] == 0
    for part in made:
        for ds in part:
            assert Originals(key).uid(door.uid(str(ds.SOPInstanceUID))) == ds.SOPInstanceUID


def test_the_result_says_how_it_was_made(door):
    admitted = door.admit(ct_slice(0))
    assert admitted.PatientIdentityRemoved == "YES"
    assert admitted.LongitudinalTemporalInformationModified == "MODIFIED"
    assert {c.CodeValue for c in admitted.DeidentificationMethodCodeSequence} >= {
        "113100",
        "113104",
        "113107",
    }
