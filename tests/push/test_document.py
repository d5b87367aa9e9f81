"""What a report holds, as independent readers and validators see it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pandas as pd
import pytest
from pydicom import Dataset, dcmread

from lesiongraph.mining.write_back.codes import LONG_AXIS, SHORT_AXIS
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.workspace import Workspace

READER = Path(__file__).parents[2] / "tools" / "read_sr"
PREFIX = "Cornerstone3DTools@^0.1.0:Bidirectional:"


def items(group: Dataset) -> dict[str, Dataset]:
    return {i.ConceptNameCodeSequence[0].CodeMeaning: i for i in group.ContentSequence}


def report_of(reports: list[Path], patient: str) -> Path:
    return next(path for path in reports if dcmread(path).PatientID == patient)


def rows_of(workspace: Workspace, path: Path) -> pd.DataFrame:
    lesions = read_catalogue(workspace).lesions
    return lesions[lesions.study_instance_uid == dcmread(path).StudyInstanceUID].set_index("lesion_id")


def lines(row: pd.Series) -> dict[str, np.ndarray]:
    """The axes in DICOM image coordinates, by hand."""
    ends = {name: [[row[f"{name}_x0"], row[f"{name}_y0"]], [row[f"{name}_x1"], row[f"{name}_y1"]]]
            for name in ("long", "short")}  # fmt: skip
    return {name: np.array(points) + 0.5 for name, points in ends.items()}


def test_highdicom_reads_every_group(workspace: Workspace, dry: list[Path]) -> None:
    assert len(dry) == 3
    for path in dry:
        document = hd.sr.srread(path)
        assert type(document) is hd.sr.ComprehensiveSR
        rows = rows_of(workspace, path)
        found = {}
        for group in document.content.get_image_measurement_groups():
            lesion = items(group[0])["Lesion id in lesiongraph"].TextValue
            for name, code, axis in (("long", LONG_AXIS, "long_mm"), ("short", SHORT_AXIS, "short_mm")):
                (measured,) = group.get_measurements(name=code)
                assert measured.value == pytest.approx(rows[axis][lesion], abs=0.005)
                assert measured.unit.CodeValue == "mm"
                (line,) = measured.referenced_coordinates
                np.testing.assert_allclose(line.value, lines(rows.loc[lesion])[name], atol=1e-4)
                image = line.ContentSequence[0].ReferencedSOPSequence[0]
                assert image.ReferencedSOPInstanceUID == rows.sop_instance_uid[lesion]
            found[lesion] = group.tracking_uid
        assert set(found) == set(rows.index)


def test_sites_are_the_originals_and_unknown_ones_stay_unknown(workspace: Workspace, dry: list[Path]) -> None:
    document = hd.sr.srread(report_of(dry, "SMALL-1"))
    types = rows_of(workspace, report_of(dry, "SMALL-1")).type
    for group in document.content.get_image_measurement_groups():
        named = items(group[0])
        (site,) = group.finding_sites
        assert site.value.CodeMeaning.lower() == types[named["Lesion id in lesiongraph"].TextValue]
        assert named["Origin of the lesion type"].ConceptCodeSequence[0].CodeValue == "stated"
        assert "Probability of the lesion type" not in named
    for group in hd.sr.srread(report_of(dry, "SMALL-5")).content.get_image_measurement_groups():
        assert group.finding_sites == []
        assert not {"Lesion type", "Probability of the lesion type"} & set(items(group[0]))


def test_the_original_mark_is_named_and_not_replaced(workspace: Workspace, dry: list[Path]) -> None:
    path = report_of(dry, "SMALL-1")
    document = dcmread(path)
    assert "PredecessorDocumentsSequence" not in document
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        str(sop.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }
    rows = rows_of(workspace, path)
    original = dcmread(rows.source_path.iloc[0])
    assert evidence == {*rows.sop_instance_uid, str(original.SOPInstanceUID)}
    for group in hd.sr.srread(path).content.get_image_measurement_groups():
        named = items(group[0])
        row = rows.loc[named["Lesion id in lesiongraph"].TextValue]
        assert (
            named["Original Source"].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            == original.SOPInstanceUID
        )
        assert row.source_item.split()[0] == named["Item of the original mark"].TextValue


def test_a_report_is_the_same_bytes_but_for_its_time(
    workspace: Workspace, dry: list[Path], tmp_path: Path
) -> None:
    from lesiongraph.pipeline.push import push_to_pacs

    push_to_pacs(workspace, None, dry_run=tmp_path / "again")
    assert [p.name for p in sorted((tmp_path / "again").iterdir())] == [p.name for p in dry]
    for path in dry:
        one, two = dcmread(path), dcmread(tmp_path / "again" / path.name)
        for document in (one, two):
            for keyword in ("InstanceCreation", "Content", "Series"):
                delattr(document, f"{keyword}Date")
                delattr(document, f"{keyword}Time")
            for equipment in document.get("ContributingEquipmentSequence", []):
                equipment.ContributionDateTime = ""
        assert one == two
    assert not (workspace.path / "write_back").exists()  # a dry run leaves the ledger alone


def test_dciodvfy_finds_no_error(dry: list[Path]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    for path in dry:
        ran = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        said = (ran.stdout + ran.stderr).splitlines()
        assert "ComprehensiveSR" in said
        assert not [line for line in said if line.startswith("Error")]
        # a private coding scheme is no defined term; nothing else is remarked on inside the content
        inside = [line for line in said if "ContentSequence" in line and "99LESIONGRAPH" not in line]
        assert not inside


def test_dsrdump_checks_the_tree(dry: list[Path]) -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("dsrdump is not installed (apt-get install dcmtk)")
    for path in dry:
        ran = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True)
        assert not [line for line in ran.stderr.splitlines() if line[:2] in ("E:", "F:")]
        assert ran.stdout.count("Measurement Group") == 4


def test_the_reader_inside_3d_slicer_lists_every_lesion(
    workspace: Workspace, dry: list[Path], tmp_path: Path
) -> None:
    program = shutil.which("tid1500reader", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("dcmqi's tid1500reader is not installed (pip install dcmqi)")
    path = report_of(dry, "SMALL-1")
    told = tmp_path / "told.json"
    subprocess.run([program, "--inputDICOM", path, "--outputMetadata", told], capture_output=True, check=True)
    seen = {}
    for group in json.loads(told.read_text())["Measurements"]:
        numbers = {item["quantity"]["CodeMeaning"]: item["value"] for item in group["measurementItems"]}
        seen[group["TrackingUniqueIdentifier"]] = (float(numbers["Long Axis"]), float(numbers["Short Axis"]))
        assert group["measurementAlgorithmIdentification"]["AlgorithmName"] == "lesiongraph"
        assert group["TrackingIdentifier"].startswith(PREFIX)
    rows = rows_of(workspace, path)
    assert sorted(seen.values()) == sorted(zip(rows.long_mm.round(2), rows.short_mm.round(2), strict=True))


def test_ohif_s_libraries_open_it_as_two_diameter_annotations(workspace: Workspace, dry: list[Path]) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (READER / "node_modules").is_dir():
        pytest.skip("tools/read_sr: run `npm install --ignore-scripts` there first")
    path = report_of(dry, "SMALL-1")
    ran = subprocess.run(
        ["node", READER / "read.mjs", path], capture_output=True, text=True, check=True, timeout=120
    )
    seen = json.loads(ran.stdout)
    rows = rows_of(workspace, path).set_index("sop_instance_uid")
    assert (seen["template"], seen["title"]) == ("1500", "Imaging Measurement Report")
    assert {group["site"].lower() for group in seen["groups"]} == {"lung", "liver"}
    assert all(group["tracking"].startswith(PREFIX + "Lesion ") for group in seen["groups"])
    assert list(seen["annotations"]) == ["Bidirectional"]
    found = seen["annotations"]["Bidirectional"]
    assert len(found) == len(rows) == 4
    for one in found:
        row = rows.loc[one["image"]]
        # the centre of the first pixel is the origin of the world that the tool was given
        drawn = np.array(one["points"])[:, :2]
        np.testing.assert_allclose(drawn, np.concatenate(list(lines(row).values())) - 0.5, atol=1e-4)
        assert one["stats"]["length"] == pytest.approx(row.long_mm, abs=0.005)
        assert one["stats"]["width"] == pytest.approx(row.short_mm, abs=0.005)
        assert one["label"].startswith("Lesion ")
