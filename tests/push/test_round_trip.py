"""Phantom → catalogue → groups → reports in Orthanc → catalogue: the same lesions, none twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import save
from growing_hospital import groups_of, work

from lesiongraph.lesion import KEPT
from lesiongraph.mining.own_reports import OWN_AGAIN, OWN_REPORT
from lesiongraph.mining.pacs.address import PacsAddress
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.write_back.document import SERIES_DESCRIPTION
from lesiongraph.mining.write_back.identity import series_uid
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.push import push_to_pacs
from lesiongraph.workspace import Workspace
from orthanc import Orthanc, missing

AXES = [f"{axis}_{end}" for axis in ("long", "short") for end in ("x0", "y0", "x1", "y1")]
SAME = ["patient_id", "study_instance_uid", "study_date", "series_instance_uid", "sop_instance_uid"]
SAME += ["slice_index", "columns", "rows", "spacing_x_mm", "spacing_y_mm", "type", "status", "reason"]


@pytest.fixture(scope="module")
def pushed(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, Workspace]]:
    """An Orthanc with the phantom hospital and our reports on it; what was pushed."""
    if missing():
        pytest.skip(missing())
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        server.upload_folder(phantom / "hospital" / "dicom")
        # a copy: each test process pushes on its own
        workspace = Workspace(shutil.copytree(phantom / "w", tmp_path_factory.mktemp("pushed") / "w"))
        report = push_to_pacs(workspace, server.dicomweb)
        assert (report.counts["reports stored"], report.counts["failures"]) == (6, 0)
        yield server, workspace


def kept(workspace: Workspace) -> pd.DataFrame:
    lesions = read_catalogue(workspace).lesions
    return lesions[lesions.status == KEPT].set_index("lesion_id").sort_index()


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Check the rows that were read back from our reports against those that were pushed."""
    assert found.index.tolist() == expected.index.tolist()
    pd.testing.assert_frame_equal(found[SAME], expected[SAME])
    np.testing.assert_allclose(found[AXES], expected[AXES], atol=1e-3)
    np.testing.assert_allclose(found[["x0", "y0", "x1", "y1"]], expected[["x0", "y0", "x1", "y1"]], atol=1e-3)
    np.testing.assert_allclose(found[["long_mm", "short_mm"]], expected[["long_mm", "short_mm"]], atol=1e-3)
    from_sr = expected.source == "SR"
    for column in ("finding", "finding_site"):
        pd.testing.assert_series_equal(found[column][from_sr], expected[column][from_sr])


def copied(workspace: Workspace, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(workspace.path, tmp_path / "copy")))


def test_originals_and_our_reports_together_keep_each_lesion_once(
    pushed: tuple[Orthanc, Workspace], tmp_path: Path
) -> None:
    server, workspace = pushed
    together = Workspace(tmp_path / "together")
    report = mine(together, [server.dicomweb])
    before = kept(workspace)
    pd.testing.assert_frame_equal(
        kept(together)[[*SAME, *AXES, "tracking_uid", "source", "flags"]],
        before[[*SAME, *AXES, "tracking_uid", "source", "flags"]],
    )
    assert report.counts[OWN_AGAIN] == len(before)
    assert report.counts["the same mark again"] == 0
    again = mine(copied(workspace, tmp_path), [server.dicomweb])  # known before, our reports are new
    assert again.counts["catalogue rows"] == len(read_catalogue(workspace).lesions)


def test_our_reports_alone_give_the_same_catalogue(pushed: tuple[Orthanc, Workspace], tmp_path: Path) -> None:
    server, workspace = pushed
    match(workspace, t1=0.0, t2=0.0)  # a second version of each report, whose former stays
    assert push_to_pacs(workspace, server.dicomweb).counts["failures"] == 0
    match(workspace)
    newest = push_to_pacs(workspace, server.dicomweb)
    assert newest.counts["reports stored that follow an earlier one"] > 0
    for modality in ("SR", "PR"):
        for series in server.find("Series", Modality=modality):
            about = server.get(f"/series/{series}")
            if about["MainDicomTags"].get("SeriesDescription") != SERIES_DESCRIPTION:
                server.delete(f"/series/{series}")
    expected, alone = kept(workspace), Workspace(tmp_path / "alone")
    mine(alone, [server.dicomweb])
    found = kept(alone)
    assert_same(found, expected)
    assert set(found.source) == {"SR"}
    assert found["flags"].str.contains(OWN_REPORT, regex=False).all()
    groups = groups_of(workspace).assign(uid=found.tracking_uid)
    assert (groups.groupby(["patient", "group"]).uid.nunique() == 1).all()
    assert groups.uid.nunique() == groups.groupby(["patient", "group"]).ngroups
    assert (groups.groupby(["patient", "group"]).study.nunique() > 1).any()


def test_a_workspace_mined_from_our_reports_has_nothing_new_to_say(
    pushed: tuple[Orthanc, Workspace], phantom: Path, tmp_path: Path
) -> None:
    server, workspace = pushed
    with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
        for study in groups_of(workspace).study.unique():
            for report in connection.series_metadata(study, series_uid(study)):
                uid = str(report.SOPInstanceUID)
                fetched = connection.retrieve_instance(study, series_uid(study), uid)
                assert fetched is not None
                save(fetched, tmp_path / "reports" / uid)
    # the images as they were: with other slices z and so a match could differ
    images = sorted((phantom / "hospital" / "dicom").glob("*/*/series-*"))
    alone = work(tmp_path / "alone", *images, tmp_path / "reports", wide=False)
    assert set(kept(alone).source) == {"SR"}
    report = push_to_pacs(alone, server.dicomweb)
    assert (report.counts["reports already there"], report.counts["failures"]) == (6, 0)
