"""Hostile objects in a healthy study: bounded memory and time, a reason or a count, the study unharmed."""

from __future__ import annotations

from pathlib import Path

import objects
import pydicom
import pytest
from child import mine
from small_hospital import PATIENTS, STUDIES, write_study

from lesiongraph.mining.pairing import Pairing

HEALTHY = 4
TOO_LARGE = "too large (40000 × 40000 pixels, at most 4096 a side are read)"
OTHER_SIZE = "unreadable image: compressed pixels of 40000 × 40000, the header says 64 × 64"
WRONG_KIND = "unreadable object: a value of the wrong kind ('str' object has no attribute 'get')"
CASES = {
    # writer: (reasons of its rejected rows, marks it gives, a count of the run)
    objects.absurd_length: (["unreadable object: truncated file"], 0, "SR"),
    objects.absurd_length_of_a_ct: ([], 0, "unreadable header"),
    objects.nested: ([], 0, "nested too deeply"),
    objects.nested_in_turn: ([], 1, "SR"),
    objects.loop: (["single diameter"] * 40, 1, "SR"),
    objects.million_points: (["damaged coordinates", "zero length"], 1, "PR"),
    objects.thousands_of_marks: ([], 2000, "SR"),
    objects.coordinates: (["damaged coordinates"] * 3 + ["outside the image"] * 2, 0, "SR"),
    objects.deflated_bomb: ([], 0, "too large (unpacks to more than 512 MiB)"),
    objects.declared_pixels: ([], 0, TOO_LARGE),
    objects.rle_bomb: ([f"image not usable: {TOO_LARGE}"], 1, TOO_LARGE),  # the longer runs are cut
    objects.jpeg2000_bomb: ([OTHER_SIZE], 0, "SR"),
    objects.wrong_types: (["image not found"] * 2, 0, "SR"),
    objects.sequence_of_text: ([WRONG_KIND], 0, "SR"),
}


@pytest.mark.skipif(not hasattr(Pairing(), "too_many"), reason="pairing has no bound in this version")
def test_thousands_of_lines_on_one_image(tmp_path: Path):
    study = tmp_path / "study"
    write_study(study, PATIENTS[0], STUDIES[0])
    objects.thousands_of_lines(study, str(pydicom.dcmread(study / "ct-5").SOPInstanceUID))
    found = mine([study], tmp_path / "w")
    assert (found.lesions.status == "kept").sum() == HEALTHY
    assert found.reasons == ["too many lines"] * 3000


@pytest.mark.parametrize("write", CASES, ids=lambda write: write.__name__)
def test_hostile_objects(tmp_path: Path, write):
    reasons, marks, counted = CASES[write]
    study = tmp_path / "study"
    write_study(study, PATIENTS[0], STUDIES[0])
    (study / "hostile").mkdir()
    write(study / "hostile", str(pydicom.dcmread(study / "ct-5").SOPInstanceUID))
    found = mine([study], tmp_path / "w")
    healthy = found.lesions[found.lesions.source_path == str(study / "report.sr")]
    assert len(healthy) == HEALTHY
    assert (healthy.status == "kept").all()
    assert found.reasons == reasons
    assert (found.lesions.status == "kept").sum() == HEALTHY + marks
    assert found.counts[counted] >= 1
