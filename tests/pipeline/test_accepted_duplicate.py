"""A duplicate that a person accepts is a lesion as any other, in every stage and in every later run."""

from __future__ import annotations

from pathlib import Path

import pydicom
from dicom_files import uid
from small_hospital import PATIENTS, STUDIES, write_study

from lesiongraph.lesion import KEPT, REJECTED
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.workspace import Workspace


def test_an_accepted_duplicate(cli, tmp_path: Path) -> None:
    folder, w = tmp_path / "in", tmp_path / "w"
    write_study(folder, PATIENTS[0], STUDIES[0])
    again = pydicom.dcmread(folder / "report.sr")
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = uid("again")
    again.save_as(folder / "again.sr")
    assert cli("mine", folder, "-w", w).code == 0
    rows = read_catalogue(Workspace(w)).lesions
    twice = rows[rows.reason.str.startswith("duplicate of SR")]
    assert len(twice) == 4
    lesion, stands_for = twice.lesion_id.iloc[0], twice.reason.iloc[0].split()[-1]

    assert cli("decide", "accept", lesion, "-w", w, "--by", "Ann", "--note", "a second reader").code == 0
    for _ in range(2):
        rows = read_catalogue(Workspace(w)).lesions.set_index("lesion_id")
        assert (rows.status[lesion], rows.reason[lesion]) == (KEPT, "")
        assert "accepted by hand" in rows["flags"][lesion]
        assert (rows.status == REJECTED).sum() == 3
        assert cli("mine", folder, "-w", w).code == 0

    for stage in ("locate", "embed"):
        assert cli(stage, "-w", w).code == 0
    found = cli("search", lesion, "-w", w)
    assert found.code == 0
    assert found.out.splitlines()[1].startswith(f"1,{stands_for},")  # the same place in the same image

    assert cli("decide", "undo", 1, "-w", w).code == 0
    rows = read_catalogue(Workspace(w)).lesions
    assert (rows.status == REJECTED).sum() == 4
