"""Patient ids that are paths, markup, formulas, control characters or endless: text, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from small_hospital import write_study

from lesiongraph.pipeline.catalogue import catalogue_table
from lesiongraph.workspace import Workspace

NAMES = {
    "../../etc/passwd": "../../etc/passwd",
    "/etc/passwd": "/etc/passwd",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "=cmd|'/c calc'!A1": "=cmd|'/c calc'!A1",
    "a\0b\nc\r\td": "a b c  d",
    "\x1b[31mred": " [31mred",
    "x" * 5000: "x" * 64 + "… (5000 characters, c59d3c0480)",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_hostile_patient_id(cli, tmp_path: Path, name: str):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom knows that it is no valid id
        write_study(tmp_path / "in" / "study", name, "20200110")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "w")}
    assert cli("mine", tmp_path / "in", "-w", tmp_path / "w").code == 0
    lesions = catalogue_table(Workspace(tmp_path / "w"))
    assert (lesions.status == "kept").all()
    assert set(lesions.patient_id) == {NAMES[name]}
    table = tmp_path / "out" / "lesions.csv"
    assert cli("catalogue", "-w", tmp_path / "w", "--csv", table).code == 0
    with table.open(newline="") as handle:
        (cell,) = {row["patient_id"] for row in csv.DictReader(handle)}
    assert cell == ("'" if name[0] == "=" else "") + NAMES[name]
    assert cli("report", "-w", tmp_path / "w").code == 0
    (page,) = (tmp_path / "w").rglob("*.html")
    assert "<script>alert" not in page.read_text()
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "w")}
    assert after - before == {table.parent, table}
