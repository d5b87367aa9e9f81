"""A workspace under other UIDs than the PACS's: the right patient gets the reports, none returns twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dicom_files import save
from growing_hospital import groups_of, ledger_of, work
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from lesiongraph.lesion import KEPT
from lesiongraph.mining.own_reports import OWN_AGAIN, OWN_REPORT
from lesiongraph.mining.pacs.address import PacsAddress
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.write_back.identity import series_uid
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.push import push_to_pacs
from lesiongraph.workspace import Workspace
from orthanc import Orthanc, missing

PREFIXES = ("1.2.840.10008.",)  # UIDs of the standard itself


class Renamed:
    """Gives every UID another one, and finds the original again."""

    def __init__(self) -> None:
        self.originals: dict[str, str] = {}

    def uid(self, workspace_uid: str) -> str:
        return self.originals[workspace_uid]

    def rename(self, dataset: Dataset) -> None:
        dataset.walk(self._element)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = "A-" + str(abs(hash(dataset.PatientID)) % 1000)

    def _element(self, _: Dataset, element) -> None:
        if element.VR == "UI" and element.value and not str(element.value).startswith(PREFIXES):
            new = generate_uid(entropy_srcs=["renamed", str(element.value)])
            self.originals[new] = str(element.value)
            element.value = new
        if element.keyword == "TextValue":
            element.value = "removed"


@pytest.fixture
def renamed(two_visits: Path, tmp_path: Path) -> tuple[Path, Renamed]:
    names, folder = Renamed(), tmp_path / "renamed"
    for path in (p for p in two_visits.rglob("*") if p.is_file()):
        dataset = dcmread(path)
        names.rename(dataset)
        save(dataset, folder / path.relative_to(two_visits))
    return folder, names


def test_a_renamed_workspace_reports_to_the_real_patient_and_reads_it_back_once(
    two_visits: Path, matched: Path, renamed: tuple[Path, Renamed], tmp_path: Path
) -> None:
    if missing():
        pytest.skip(missing())
    folder, names = renamed
    workspace = work(tmp_path / "w", folder)
    with Orthanc(tmp_path / "orthanc") as server:
        server.upload_folder(two_visits)
        report = push_to_pacs(workspace, server.dicomweb, originals=names)
        assert (report.counts["reports stored"], report.counts["failures"]) == (3, 0)
        assert len(server.find("Study")) == 3  # none came into being
        reports = []
        with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
            for study in map(names.uid, groups_of(workspace).study.unique()):
                reports += connection.series_metadata(study, series_uid(study))
        assert {str(found.PatientID) for found in reports} == {"SMALL-1", "SMALL-5"}
        no_original_in(workspace, set(names.originals.values()))

        # the hospital's own workspace knows the lesions by other ids
        theirs = Workspace(Path(shutil.copytree(matched, tmp_path / "theirs")))
        ids = set(kept(theirs).lesion_id)
        assert not ids & set(kept(workspace).lesion_id)
        again = mine(theirs, [server.dicomweb])
        assert again.counts[OWN_AGAIN] == 12
        assert set(kept(theirs).lesion_id) == ids
        assert not kept(theirs)["flags"].str.contains(OWN_REPORT, regex=False).any()

        # and ours takes its reports in under its own names, texts gone
        for number, found in enumerate(reports):
            uid = str(found.SOPInstanceUID)
            with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
                whole = connection.retrieve_instance(
                    str(found.StudyInstanceUID), str(found.SeriesInstanceUID), uid
                )
            assert whole is not None
            names.rename(whole)
            save(whole, tmp_path / "back" / str(number))
        before = set(kept(workspace).lesion_id)
        assert mine(workspace, [folder, tmp_path / "back"]).counts[OWN_AGAIN] == 12
        assert set(kept(workspace).lesion_id) == before


def kept(workspace: Workspace):
    lesions = read_catalogue(workspace).lesions
    return lesions[lesions.status == KEPT]


def no_original_in(workspace: Workspace, originals: set[str]) -> None:
    """Check that the database with its ledger and the run report hold none of the PACS's UIDs."""
    assert ledger_of(workspace).tracking()
    paths = [*workspace.path.glob("catalogue.sqlite*"), workspace.path / "runs" / "push.json"]
    held = b"".join(path.read_bytes() for path in paths)
    assert b"2.25." in held
    assert not [uid for uid in originals if uid.encode() in held]
