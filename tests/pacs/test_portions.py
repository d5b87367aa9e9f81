"""A PACS is read and kept a portion of its patients at a time: the same catalogue, whatever ends a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from mined_pacs import OPTIONS, pull, same_rows
from small_hospital import STUDIES, write_study

from lesiongraph.pipeline import mine as mine_stage
from lesiongraph.pipeline import portions
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import Workspace
from orthanc import Orthanc


@pytest.fixture
def whole(pacs: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace into which all patients were read at once; from here on a portion is one patient."""
    pull(tmp_path / "whole", pacs.dicomweb)
    monkeypatch.setattr(portions, "STUDIES_AT_ONCE", 1)
    return tmp_path / "whole"


def end_at_the_second(patch: pytest.MonkeyPatch) -> None:
    """End a run while it judges the marks of its second portion."""
    check, calls = mine_stage.check_on_images, []

    def judged(*given: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        check(*given)

    patch.setattr(mine_stage, "check_on_images", judged)


def test_portions_give_what_all_at_once_gives(pacs: Orthanc, tmp_path: Path, whole: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    report = mine(
        Workspace(tmp_path / "w"), [pacs.dicomweb], pacs=OPTIONS, progress=lambda *told: shown.append(told)
    )
    same_rows(tmp_path / "w", whole)
    assert Workspace(tmp_path / "w").read_run_reports()["mine"]["counts"] == report.counts
    at_once = Workspace(whole).read_run_reports()["mine"]
    ours = {k: n for k, n in report.counts.items() if not k.startswith("PACS")}
    assert ours == {k: n for k, n in at_once["counts"].items() if not k.startswith("PACS")}
    assert report.details["store"]["rows written"] == at_once["details"]["store"]["rows written"]
    assert [told for told in shown if told[0].startswith("read marks")] == [
        ("read marks of patients", 1, 2),
        ("read marks of patients", 2, 2),
    ]


def test_a_first_run_that_ends_between_portions_leaves_nothing_half_said(
    pacs: Orthanc, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        end_at_the_second(patch)
        with pytest.raises(KeyboardInterrupt):
            pull(tmp_path / "w", pacs.dicomweb)
    assert not Workspace(tmp_path / "w").has("catalogue")
    pull(tmp_path / "w", pacs.dicomweb)
    same_rows(tmp_path / "w", whole)


def test_a_later_run_that_ends_between_portions_is_taken_up(
    pacs: Orthanc, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(tmp_path / "w", pacs.dicomweb)
    before = read_catalogue(Workspace(tmp_path / "w")).lesions
    for patient in ("SMALL-7", "SMALL-8"):
        write_study(tmp_path / "late" / patient, patient, STUDIES[1])
    pacs.upload_folder(tmp_path / "late")
    with monkeypatch.context() as patch:
        end_at_the_second(patch)
        with pytest.raises(KeyboardInterrupt):
            pull(tmp_path / "w", pacs.dicomweb)
    assert read_catalogue(Workspace(tmp_path / "w")).lesions.equals(before), "the snapshot is of one state"
    report = pull(tmp_path / "w", pacs.dicomweb)
    pull(whole, pacs.dicomweb)
    same_rows(tmp_path / "w", whole)
    assert report.counts["catalogue rows"] > len(before)
    assert report.counts["marks"] == 4, "only the second portion was read again"
