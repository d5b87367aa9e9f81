"""Our reports in the real OHIF viewer: Orthanc, OHIF's own build, Chromium; and what a reader saves there."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from growing_hospital import ledger_of
from pydicom import Dataset, dcmread

import ohif
import ohif_page
from lesiongraph.lesion import KEPT
from lesiongraph.mining.own_reports import OWN_AGAIN
from lesiongraph.mining.write_back.document import SERIES_DESCRIPTION
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.push import push_to_pacs
from lesiongraph.workspace import Workspace
from orthanc import Orthanc, missing

PATHS = ["source_path", "image"]


class Seen(NamedTuple):
    """What OHIF told of our report of one study, and what it was made from."""

    server: Orthanc
    workspace: Workspace
    lesions: pd.DataFrame  # rows of the catalogue by image and label of the report
    reports: list[dict[str, Any]]
    measurements: list[dict[str, Any]]
    table: list[list[str]]
    errors: list[str]
    saved: int


@pytest.fixture(scope="module")
def seen(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A reader opens our report of the first study with stated types, goes on with it and saves."""
    if lacking := missing() or ohif.missing() or ohif_page.missing():
        pytest.skip(lacking)
    workspace = Workspace(Path(shutil.copytree(phantom / "w", tmp_path_factory.mktemp("ohif") / "w")))
    with Orthanc() as server, ohif.Viewer(server.rest) as viewer, ohif_page.browser() as chromium:
        server.upload_folder(phantom / "hospital" / "dicom")
        assert push_to_pacs(workspace, server.dicomweb).counts["failures"] == 0
        study = ohif.first_study(workspace.path)
        page = ohif_page.open_study(chromium, viewer, study)
        reports, measurements = page.open_report(), page.go_on()
        table, saved = page.table(), page.save_report()
        yield Seen(
            server, workspace, of_study(workspace, study), reports, measurements, table, page.errors, saved
        )


def of_study(workspace: Workspace, study: str) -> pd.DataFrame:
    lesions = read_catalogue(workspace).lesions
    return lesions[(lesions.status == KEPT) & (lesions.study_instance_uid == study)]


def row_of(seen: Seen, measurement: dict[str, Any]) -> pd.Series:
    """The row of the catalogue on the same image whose long axis is nearest."""
    rows = seen.lesions[seen.lesions.sop_instance_uid == measurement["image"]]
    return rows.loc[(rows.long_mm - measurement["length"]).abs().idxmin()]


def image_of(seen: Seen, uid: str) -> Dataset:
    (found,) = seen.server.find("Instance", SOPInstanceUID=uid)
    return dcmread(io.BytesIO(seen.server.download(found)), stop_before_pixels=True)


def in_patient(image: Dataset, points: np.ndarray) -> np.ndarray:
    """Array coordinates (N, 2) px, x then y → patient coordinates (N, 3) mm (PS3.3 C.7.6.2.1.1)."""
    row, column = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
    y_mm, x_mm = (float(step) for step in image.PixelSpacing)
    return np.array(image.ImagePositionPatient, float) + np.outer(points[:, 0] * x_mm, row) + np.outer(
        points[:, 1] * y_mm, column
    )  # fmt: skip


def test_it_finds_every_lesion_in_our_report(seen: Seen) -> None:
    (report,) = (r for r in seen.reports if r["description"] == SERIES_DESCRIPTION)
    assert len(seen.lesions) > 1
    assert sorted(one["image"] for one in report["lesions"]) == sorted(seen.lesions.sop_instance_uid)
    names = {one["tracking"] for one in report["lesions"]}
    assert all(name.startswith("Cornerstone3DTools@^0.1.0:Bidirectional:Lesion ") for name in names)
    tracked = {uid for uid, _ in ledger_of(seen.workspace).tracking().values()}
    assert {one["uid"] for one in report["lesions"]} <= tracked
    assert seen.errors == []


def test_it_goes_on_with_two_diameters_of_the_catalogue_s_lengths(seen: Seen) -> None:
    assert len(seen.measurements) == len(seen.lesions)
    matched = {row_of(seen, one).lesion_id for one in seen.measurements}
    assert matched == set(seen.lesions.lesion_id)
    for one in seen.measurements:
        row = row_of(seen, one)
        assert (one["tool"], one["unit"], one["finding"]) == ("Bidirectional", "mm", "Lesion")
        assert one["length"] == pytest.approx(row.long_mm, abs=0.006)  # a report has two decimals
        assert one["width"] == pytest.approx(row.short_mm, abs=0.006)
        assert [site.lower() for site in one["sites"]] == [row.type]
        assert one["label"].endswith(f", {row.type}")


def test_its_lines_lie_where_the_radiologist_s_did(seen: Seen) -> None:
    ends = [f"{axis}_{end}" for axis in ("long", "short") for end in ("x0", "y0", "x1", "y1")]
    for one in seen.measurements:
        points = row_of(seen, one)[ends].to_numpy(float).reshape(4, 2)
        expected = in_patient(image_of(seen, one["image"]), points)
        np.testing.assert_allclose(one["points"], expected, atol=1e-3)


def test_a_reader_sees_both_lengths_and_the_site(seen: Seen) -> None:
    assert len(seen.table) == len(seen.measurements)
    for one, lines in zip(seen.measurements, seen.table, strict=True):
        shown = {line[:2]: float(line[2:].split()[0]) for line in lines if line[:2] in ("L:", "W:")}
        assert shown["L:"] == pytest.approx(one["length"], rel=0.005)  # three digits
        assert shown["W:"] == pytest.approx(one["width"], rel=0.005)
        assert {one["label"], one["sites"][0], "Lesion"} <= set(lines)


def test_what_the_reader_saved_is_no_second_lesion_and_is_not_replaced(seen: Seen, tmp_path: Path) -> None:
    assert seen.saved == 200
    series = [seen.server.get(f"/series/{one}") for one in seen.server.find("Series", Modality="SR")]
    assert sorted(len(one["Instances"]) for one in series)[-2:] == [1, 2]  # OHIF's lies in our series
    assert push_to_pacs(seen.workspace, seen.server.dicomweb).counts["reports already there"] == 6
    together = Workspace(tmp_path / "together")
    report = mine(together, [seen.server.dicomweb])
    found, before = (
        read_catalogue(one).lesions.drop(columns=PATHS).set_index("lesion_id")
        for one in (together, seen.workspace)
    )
    pd.testing.assert_frame_equal(found, before)
    assert report.counts[OWN_AGAIN] == (before.status == KEPT).sum() + len(seen.lesions)
