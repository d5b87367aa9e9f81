"""Hostile objects behind a real PACS: what it takes in comes to us, and harms as little as in a folder."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import objects
import pydicom
import pytest
from child import PEAK_KB, mine
from dicom_files import uid
from small_hospital import PATIENTS, STUDIES, write_study
from test_objects import CASES, HEALTHY

from orthanc import Orthanc

REFUSED = (objects.absurd_length, objects.absurd_length_of_a_ct)
DEADLY = (objects.nested, objects.nested_in_turn)  # Orthanc 1.10 itself ends at them
# What Orthanc changes on its way out by C-GET: it unpacks the one, cuts the other, cannot send the third.
CHANGED = (objects.deflated_bomb, objects.million_points, objects.jpeg2000_bomb)
TAKEN_IN = [
    (protocol, write)
    for protocol in ("dicomweb", "dimse")
    for write in CASES
    if write not in (*REFUSED, *DEADLY) and not (protocol == "dimse" and write in CHANGED)
]
COUNTED = {objects.deflated_bomb: "PACS: objects too large"}  # it is refused before it is unpacked
PATHS = ["../../etc/passwd", "/etc/passwd", "=cmd|'/c calc'!A1", "<script>alert(1)</script>"]


@pytest.fixture
def pacs(orthanc: Orthanc) -> Iterator[Orthanc]:
    """The PACS of this module, empty again after the test."""
    yield orthanc
    for study in orthanc.find("Study", PatientID="*"):
        orthanc.delete(f"/studies/{study}")


def write_healthy(folder: Path) -> str:
    """Write a study to which the hostile objects say that they belong; return the image that they name."""
    write_study(folder, PATIENTS[0], STUDIES[0])
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        ds.PatientID, ds.StudyInstanceUID, ds.StudyDate = "P1", uid("study"), "20200131"
        ds.save_as(path)
    return str(pydicom.dcmread(folder / "ct-5").SOPInstanceUID)


@pytest.mark.parametrize(("protocol", "write"), TAKEN_IN, ids=lambda one: getattr(one, "__name__", one))
def test_hostile_objects(pacs: Orthanc, tmp_path: Path, protocol: str, write) -> None:
    reasons, marks, counted = CASES[write]
    study = tmp_path / "study"
    (study / "hostile").mkdir(parents=True)
    write(study / "hostile", write_healthy(study / "healthy"))
    pacs.upload_folder(study)
    found = mine([getattr(pacs, protocol)], tmp_path / "w", peak_kb=PEAK_KB * 3 // 2)
    assert (found.lesions.status == "kept").sum() == HEALTHY + marks
    assert found.reasons == reasons
    assert found.counts[COUNTED.get(write, counted)] >= 1


@pytest.mark.parametrize("write", REFUSED)
def test_what_the_pacs_does_not_take_in(pacs: Orthanc, tmp_path: Path, write) -> None:
    """If it ever does, the case belongs above."""
    write(tmp_path, uid("image"))
    with pytest.raises(urllib.error.HTTPError, match="400"):
        pacs.upload(tmp_path / "object")


def test_patient_ids_that_are_paths(pacs: Orthanc, tmp_path: Path, cli) -> None:
    """They name no folder: nothing is written but below the workspace, under names that are hashes."""
    for number, name in enumerate(PATHS):
        write_study(tmp_path / "in" / str(number), name, "20200110")
    pacs.upload_folder(tmp_path / "in")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "w")}
    assert cli("mine", pacs.dicomweb, "-w", tmp_path / "w", "--keep-identifiers").code == 0
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "w")}
    assert after == before
    assert not [
        path for path in (tmp_path / "w").rglob("*") if "passwd" in path.name or "script" in path.name
    ]
    table = tmp_path / "lesions.csv"
    assert cli("catalogue", "-w", tmp_path / "w", "--csv", table).code == 0
    assert all(name in table.read_text() for name in PATHS)
