"""A PACS mined by the command line: de-identified unless one says otherwise, and the way back by the key."""

import json

import numpy as np
import pytest
from small_hospital import write_hospital

from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.workspace import Workspace

AXES = ["long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1"]


@pytest.fixture
def hospital(tmp_path):
    return write_hospital(tmp_path / "hospital", ("SMALL-1", "SMALL-5"))


def axes(workspace):
    lesions = read_catalogue(Workspace(workspace)).lesions
    return sorted(tuple(np.round(row, 4)) for row in lesions[lesions.status == "kept"][AXES].to_numpy())


def test_mined_without_identifiers_and_pushed_under_the_originals(cli, tmp_path, orthanc, hospital):
    orthanc.upload_folder(hospital)
    clean, plain, key = tmp_path / "clean", tmp_path / "plain", tmp_path / "key"
    ran = cli("mine", orthanc.dicomweb, "-w", clean, "--key", key, "--json")
    assert ran.code == 0, ran.err
    assert "de-identified" in " ".join(json.loads(ran.out)["notes"])
    assert cli("mine", orthanc.dicomweb, "-w", plain, "--keep-identifiers").code == 0
    assert axes(clean) == axes(plain)
    patients = {w: set(read_catalogue(Workspace(w)).lesions.patient_id) for w in (clean, plain)}
    assert patients[plain] == {"SMALL-1", "SMALL-5"}
    assert not patients[clean] & patients[plain]
    for path in (p for p in clean.rglob("*") if p.is_file()):
        assert b"SMALL-1" not in path.read_bytes(), path

    again = cli("mine", orthanc.dicomweb, "-w", clean, "--key", key, "--json")
    assert json.loads(again.out)["already_done"]
    for verb in ("locate", "embed", "match"):
        assert cli(verb, "-w", clean).code == 0
    ran = cli("push", "-w", clean, "--to", orthanc.dicomweb, "--key", key, "--json")
    assert ran.code == 0, ran.err
    counts = json.loads(ran.out)["counts"]
    assert counts["reports stored"] > 0
    studies = len(orthanc.find("Study"))
    assert studies == len(set(read_catalogue(Workspace(plain)).lesions.study_instance_uid))  # none made up

    wrong = cli("push", "-w", clean, "--to", orthanc.dicomweb, "--key", tmp_path / "other")
    assert wrong.code == 1
    assert "key" in wrong.err
