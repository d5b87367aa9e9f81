"""Every attribute of PS3.6, holding a value that must not come through, in each place it can stand."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from dicom_files import ct_slice
from pydicom import DataElement, Dataset
from sentinels import DATE, ROOT, TEXTS, TIME, WORD, found, plant

from lesiongraph.mining import Deidentifier
from lesiongraph.mining.deidentify import actions, deidentifier
from lesiongraph.mining.deidentify.actions import Action
from lesiongraph.mining.mirror_folder import write_object

WANTED = [WORD, ROOT + "1", DATE, TIME, TIME.split(".")[0], TEXTS["AS"]]
# where attributes may hide: at the top, in a sequence that is kept, in one that is not, two levels down
PLACES = (
    "top",
    "ContentSequence",
    "RequestAttributesSequence",
    "ReferencedSeriesSequence ReferencedSOPSequence",
)


def written(door: Deidentifier, dataset: Dataset, folder) -> bytes:
    """Admit what a reader would read from disk, and return the written file."""
    with pydicom.config.disable_value_validation():
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        buffer.seek(0)
        return write_object(door.admit(pydicom.dcmread(buffer)), folder).read_bytes()


def at(place: str, dataset: Dataset) -> Dataset:
    """Return the data set or item at a place, made where it is not there."""
    for keyword in place.split() if place != "top" else []:
        if keyword not in dataset:
            setattr(dataset, keyword, [Dataset()])
        dataset = dataset[keyword].value[0]
    return dataset


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("vr", sorted(TEXTS))
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # pydicom remarks on the odd values it is given here
def test_no_attribute_lets_a_planted_value_through(door, tmp_path, vr, place):
    dataset = ct_slice(0)
    pixels = dataset.PixelData
    planted = plant(at(place, dataset), vr)
    assert planted > (0 if vr in ("UN", "AS") else 3) or vr == "UN"
    for keyword in ("SOPClassUID", "Rows", "Columns"):
        dataset[keyword] = ct_slice(0)[keyword]
    content = written(door, dataset, tmp_path)
    assert found([("file", content)], WANTED) == {}
    assert pixels in content


@pytest.mark.parametrize("vr", ["IS", "DS"])
def test_text_in_an_attribute_for_numbers_is_removed(door, tmp_path, vr):
    dataset = ct_slice(0)
    with pydicom.config.disable_value_validation():
        for tag in actions_tags(vr):
            dataset[tag] = DataElement(tag, "LO", WORD)
    assert found([("file", written(door, dataset, tmp_path))], WANTED) == {}


def actions_tags(vr: str) -> list[int]:
    from sentinels import attributes

    return attributes(vr)


def test_the_table_names_only_attributes_that_exist():
    assert actions.unknown_keywords() == []


STEPS = [
    (Action.REMOVE, "InstitutionName", f"{WORD} hospital"),
    (Action.EMPTY, "AccessionNumber", WORD),
    (Action.UID, "StudyInstanceUID", ROOT + "1"),
    (Action.STANDARD_UID, "FrameOfReferenceUID", ROOT + "1"),
    (Action.MOMENT, "StudyDate", DATE),
    (Action.CODE_STRING, "BodyPartExamined", WORD.upper()),
    (Action.SENTENCE, "TextValue", WORD),
    (Action.DESCRIPTOR, "SeriesDescription", WORD),
    (Action.STRUCTURE, "ROIName", WORD),
    (Action.TOKEN, "TrackingID", WORD),
    (Action.KERNEL, "ConvolutionKernel", WORD),
    (Action.PERSON, "PersonName", WORD),
    (Action.PATIENT_ID, "PatientID", WORD),
    (Action.PATIENT_NAME, "PatientName", f"{WORD}^Anna"),
    (Action.AGE, "PatientAge", "093Y"),
    (Action.NUMBER, "SliceThickness", WORD),
]


@pytest.mark.parametrize(("action", "keyword", "value"), STEPS, ids=[step[0].name for step in STEPS])
@pytest.mark.parametrize("working", [True, False], ids=["on", "off"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_each_step_of_cleaning_is_needed(door, tmp_path, monkeypatch, action, keyword, value, working):
    """Switched off, each step lets the value through, and the search finds it: neither is idle."""
    if not working:
        real = deidentifier.action_for

        def without(tag):
            found_action, vr = real(tag)
            return (Action.PIXELS if found_action is action else found_action), vr

        monkeypatch.setattr(deidentifier, "action_for", without)
    dataset = ct_slice(0)
    with pydicom.config.disable_value_validation():
        tag = pydicom.datadict.tag_for_keyword(keyword)
        vr = "LO" if action is Action.NUMBER else pydicom.datadict.dictionary_VR(tag)
        dataset[tag] = DataElement(tag, vr, value)
    hits = found([("file", written(door, dataset, tmp_path))], WANTED)
    assert bool(hits) is not working
