"""What a reader saves after going on from our report: the same marks are no new ones, a moved one is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from dicom_files import save
from growing_hospital import follow
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from lesiongraph.lesion import KEPT
from lesiongraph.mining.own_reports import OWN_AGAIN, SCHEME
from lesiongraph.mining.result import REPLACED
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import Workspace

MOVED_PX = 3.0


def groups(report: Dataset) -> list[Dataset]:
    (measurements,) = (i for i in report.ContentSequence if name(i) == "Imaging Measurements")
    return [item for item in measurements.ContentSequence if name(item) == "Measurement Group"]


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def gone_on_with(report: Dataset, moved: int) -> Dataset:
    """Our report as a viewer saves it again: without what is ours alone, and one mark moved."""
    follow(report, report)
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for number, group in enumerate(groups(report)):
        group.ContentSequence = [item for item in group.ContentSequence if not is_ours(item)]
        for item in group.ContentSequence:
            if name(item) == "Tracking Unique Identifier":
                item.UID = generate_uid()
            elif item.ValueType == "NUM":
                line = item.ContentSequence[0]
                shift = MOVED_PX if number == moved else 1e-3  # single precision in patient mm
                line.GraphicData = [value + shift for value in line.GraphicData]
    return report


def is_ours(item: Dataset) -> bool:
    code = item.ConceptNameCodeSequence[0]
    return code.CodingSchemeDesignator == SCHEME or code.CodeValue == "111040"


def test_marks_left_alone_keep_their_row_and_a_moved_one_is_new(
    workspace: Workspace, two_visits: Path, dry: list[Path], tmp_path: Path
) -> None:
    ours = next(path for path in dry if dcmread(path).PatientID == "SMALL-1")
    save(gone_on_with(dcmread(ours), moved=2), tmp_path / "saved" / "one.dcm")
    together = Workspace(tmp_path / "together")
    report = mine(together, [two_visits, ours.parent, tmp_path / "saved"])
    found, before = (read_catalogue(one).lesions.set_index("lesion_id") for one in (together, workspace))
    pd.testing.assert_frame_equal(found.loc[before.index], before)
    (moved,) = found.index.difference(before.index)
    assert found.status[moved] == KEPT
    assert report.counts[OWN_AGAIN] == len(before) + 3
    assert not (found.reason == REPLACED).any()  # the originals stand, whatever follows our report
