"""A whole phantom hospital goes through every stage, and none of its identifiers is found anywhere after.

Searched are all bytes of the workspace, names of files and folders among them, tables and pictures unpacked,
the report, and everything the command line printed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import annotation, gsps, label, line, save, uid
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from sentinels import DATE, ROOT, TEXTS, TIME, WORD, everything_in, found, plant
from test_rtstruct import contour, structure_set
from test_seg import frame_groups, seg, segment

from lesiongraph.mining.deidentify import deidentifier
from lesiongraph.mining.deidentify.actions import Action

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:UserWarning")]

IDENTIFIERS = [
    "PatientID",
    "PatientName",
    "OtherPatientIDs",
    "PatientBirthDate",
    "AccessionNumber",
    "StudyID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "InstitutionName",
    "ReferringPhysicianName",
    "OperatorsName",
    "StationName",
    "DeviceSerialNumber",
    "TrackingUID",
    "UID",
    "ReferencedSOPInstanceUID",
    "ContentCreatorName",
    "PersonName",
]
PLANTED = [
    "PatientName",
    "PatientBirthDate",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientComments",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "StudyID",
    "InstitutionName",
    "InstitutionAddress",
    "StationName",
    "ReferringPhysicianName",
    "OperatorsName",
    "PerformingPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ImageComments",
    "DeviceSerialNumber",
    "RequestedProcedureDescription",
    "AdmissionID",
    "BodyPartExamined",
    "ConvolutionKernel",
    "Manufacturer",
    "SoftwareVersions",
    "FrameComments",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "PatientAge",
    "CountryOfResidence",
]


def _plant_in(dataset: Dataset, path: Path) -> None:
    """Fill a file of the hospital with values that must not come through, wherever DICOM has room."""
    for keyword in PLANTED:
        vr = dictionary_VR(tag_for_keyword(keyword))
        setattr(
            dataset, keyword, f"{WORD} {path.parent.name}" if vr in ("LO", "SH", "LT", "ST") else TEXTS[vr]
        )
    private = dataset.private_block(0x0011, WORD, create=True)
    private.add_new(1, "LO", f"{WORD} private")
    request = Dataset()
    plant(request, "LO")
    dataset.RequestAttributesSequence = [request]
    dataset[0x60003000] = pydicom.DataElement(0x60003000, "OW", WORD.encode() + b"\0")
    dataset[0x60000022] = pydicom.DataElement(0x60000022, "LO", WORD)
    dataset.file_meta.SourceApplicationEntityTitle = WORD
    dataset.file_meta.PrivateInformationCreatorUID = ROOT + "7"
    dataset.file_meta.PrivateInformation = WORD.encode()
    dataset.preamble = WORD.encode().ljust(128, b" ")
    if "PixelData" in dataset:
        dataset.PixelData += WORD.encode()
    for item in _items(dataset):
        if item.get("ValueType") == "CODE" and item.get("ConceptCodeSequence"):
            item.ConceptCodeSequence[0].CodeMeaning = f"Liver of {WORD}"
        item.ObservationDateTime = TEXTS["DT"]
    for annotated in dataset.get("GraphicAnnotationSequence") or []:
        annotated.TextObjectSequence = [
            *(annotated.get("TextObjectSequence") or []),
            label(f"{WORD} 24 mm", 5, 5),
        ]
        annotated.GraphicLayer = WORD.upper()
    if dataset.get("ValueType") == "CONTAINER":
        dataset.ContentSequence = [*dataset.ContentSequence, *_remarks()]
        dataset.VerifyingObserverSequence = [request]


def _items(dataset: Dataset):
    for item in dataset.get("ContentSequence") or []:
        yield item
        yield from _items(item)


def _remarks() -> list[Dataset]:
    """Return content items that tell about people: names, dates, free text, identifiers."""
    told = {"TEXT": ("TextValue", "LT"), "PNAME": ("PersonName", "PN"), "DATE": ("Date", "DA")}
    told |= {"DATETIME": ("DateTime", "DT"), "TIME": ("Time", "TM"), "UIDREF": ("UID", "UI")}
    items = []
    for kind, (keyword, vr) in told.items():
        item, concept = Dataset(), Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = WORD[:16], "99ZQ", WORD
        item.ValueType, item.RelationshipType, item.ConceptNameCodeSequence = kind, "CONTAINS", [concept]
        setattr(item, keyword, TEXTS[vr])
        items.append(item)
    return items


def _more_objects(folder: Path, images: list[pydicom.FileDataset]) -> None:
    """Add a presentation state, a structure set and a segmentation on images of one series."""
    middle = images[len(images) // 2]
    about = {name: middle[name].value for name in ("PatientID", "StudyInstanceUID", "StudyDate")}
    name, (x, y, z) = str(middle.SOPInstanceUID), middle.ImagePositionPatient
    step = float(middle.PixelSpacing[0])
    left, right, top, bottom = x + 40 * step, x + 55 * step, y + 40 * step, y + 50 * step
    square = [left, top, z, right, top, z, right, bottom, z, left, bottom, z]
    structures = structure_set((f"{WORD} GTV", "GTV", [contour(square, name)]))
    mask = np.zeros((1, middle.Rows, middle.Columns), np.uint8)[0]
    mask[40:50, 40:55] = 1
    labelled = segment(1, f"nodule {WORD}", ("27925004", "SCT", f"Nodule {WORD}"))
    segments = seg([labelled], [(frame_groups(1, z, name, (x, y)), mask)], spacing=middle.PixelSpacing)
    state = gsps([annotation([name], [line((40, 40, 60, 40)), line((50, 35, 50, 45))])])
    for number, made in enumerate((structures, segments, state)):
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid(name, number)
        made.SeriesInstanceUID = uid("series of", name, number)
        for keyword, value in about.items():
            setattr(made, keyword, value)
        save(made, folder / f"{WORD}-{number}.dcm")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory) -> tuple[Path, set[str]]:
    """A phantom hospital with planted values, and every identifying value it holds."""
    from lesiongraph.cli.app import app

    out = tmp_path_factory.mktemp("proof")
    options = ("--patients", "3", "--seed", "69", "--rows", "96", "--workers", "1")
    app(["phantom", *options, "--out", str(out / "made")], standalone_mode=False)
    source = out / WORD / "archive"
    (out / WORD).mkdir()
    (out / "made" / "dicom").rename(source)
    (out / WORD / "truth.csv").write_bytes((out / "made" / "truth" / "truth.csv").read_bytes())
    series: dict[str, list[pydicom.FileDataset]] = {}
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        dataset = pydicom.dcmread(path)
        if dataset.Modality == "CT":
            series.setdefault(dataset.SeriesInstanceUID, []).append(dataset)
    _more_objects(source / "more", next(iter(series.values())))
    values: set[str] = {WORD, ROOT + "1", ROOT + "7", TIME, TIME.split(".")[0], DATE}
    with pydicom.config.disable_value_validation():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            dataset = pydicom.dcmread(path)
            _plant_in(dataset, path)
            values |= _identifying(dataset)
            dataset.save_as(path)
    values |= {p.name for p in source.rglob("*") if len(p.name) > 8}
    return source, values | _iso(values)


def _identifying(dataset: Dataset) -> set[str]:
    """Return the identifying values of a data set, those of nested items among them."""
    values = set()
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                values |= _identifying(item)
        elif element.keyword in IDENTIFIERS and element.value:
            values.add(str(element.value))
    return values


def _iso(values: set[str]) -> set[str]:
    return {f"{v[:4]}-{v[4:6]}-{v[6:]}" for v in values if len(v) == 8 and v.isdigit()}


def _worked(cli, source: Path, workspace: Path, verbs: list[tuple[object, ...]]) -> str:
    """Run the stages; return everything they printed."""
    printed = []
    for verb in verbs:
        ran = cli(*verb, "-w", workspace)
        assert ran.code == 0, ran.err
        printed += [ran.out, ran.err]
    return "".join(printed).replace(str(source), "<the source the user typed>")


def test_no_identifier_is_left_anywhere(cli, hospital, tmp_path):
    source, identifiers = hospital
    assert len([v for v in identifiers if v.count(".") > 4]) > 200
    workspace, key = tmp_path / "workspace", tmp_path / "apart" / "the.key"
    stages = [
        ("mine", source, "--deidentify", "--key", key, "--json"),
        ("locate", "--workers", 1),
        ("embed",),
        ("match",),
        ("report",),
        ("info",),
        ("catalogue", "--csv", workspace / "all.csv"),
    ]
    printed = _worked(cli, source, workspace, stages)
    contents = [*everything_in(workspace), ("printed", printed.encode())]
    assert any(b"image/png;base64" in content for _, content in contents), "the report shows no picture"
    assert found(contents, identifiers) == {}
    held = found([("key", key.read_bytes())], identifiers)  # the same search finds them where they are
    assert len(held) > 200


def test_every_kind_of_object_is_mined(cli, hospital, tmp_path):
    source, _ = hospital
    ran = cli("mine", source, "-w", tmp_path / "w", "--deidentify", "--key", tmp_path / "k.key", "--json")
    assert ran.code == 0
    for kind in ("SR", "GSPS", "RTSTRUCT", "SEG"):
        assert f'"marks kept from {kind}"' in ran.out, kind


@pytest.mark.parametrize("action", [Action.UID, Action.SENTENCE, Action.STRUCTURE])
def test_the_proof_fails_when_a_step_is_left_out(cli, hospital, tmp_path, monkeypatch, action):
    source, identifiers = hospital
    real = deidentifier.action_for

    def without(tag):
        step, vr = real(tag)
        return (Action.PIXELS if step is action else step), vr

    monkeypatch.setattr(deidentifier, "action_for", without)
    workspace = tmp_path / "workspace"
    printed = _worked(cli, source, workspace, [("mine", source, "--deidentify", "--key", tmp_path / "k.key")])
    assert found([*everything_in(workspace), ("printed", printed.encode())], identifiers)
