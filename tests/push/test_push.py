"""`push` to a real Orthanc: once, again, after the hospital has grown, refused, out of reach."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from growing_hospital import THIRD, follow, groups_of, ledger_of, predecessor_of, work
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from small_hospital import write_study

from lesiongraph.errors import NotEnoughDataError, StageMissingError, UnknownOriginalError, UsageError
from lesiongraph.mining.pacs.address import PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.pacs.errors import PacsUnreachableError
from lesiongraph.mining.write_back import DicomwebDestination
from lesiongraph.mining.write_back.document import SERIES_DESCRIPTION
from lesiongraph.mining.write_back.identity import series_uid
from lesiongraph.mining.write_back.own import read_former
from lesiongraph.pipeline.catalogue import TABLES
from lesiongraph.pipeline.push import push, push_to_pacs
from lesiongraph.pipeline.push_ledger import LEDGER, TAKEN_OVER
from lesiongraph.workspace import RunReport, Workspace
from orthanc import Orthanc, missing

STORED, FOLLOWED, THERE = (
    "reports stored",
    "reports stored that follow an earlier one",
    "reports already there",
)
GONE = "reports sent before and gone from the destination since (left so)"
OHIF_REPORT = Path(__file__).parents[1] / "mining" / "dialects" / "ohif" / "ohif.dcm"
REFUSES = "function ReceivedInstanceFilter(dicom, origin, info) return dicom.Modality ~= 'SR' end"


def to(workspace: Workspace, server: Orthanc, **options: object) -> RunReport:
    return push_to_pacs(workspace, server.dicomweb, **options)  # type: ignore[arg-type]


def counts(report: RunReport) -> dict[str, int]:
    return {name: report.counts[name] for name in (STORED, FOLLOWED, THERE, "failures")}


def ours(server: Orthanc, workspace: Workspace) -> dict[str, list[Dataset]]:
    """Study → our reports there, the newest last."""
    with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
        found = {}
        for study in groups_of(workspace).study.unique():
            documents = {
                str(d.SOPInstanceUID): d for d in connection.series_metadata(study, series_uid(study))
            }
            found[study] = [documents[r.sop_instance_uid] for r in read_former(list(documents.values()))]
    return found


def tracked(server: Orthanc, workspace: Workspace) -> dict[str, str]:
    """Lesion → tracking UID in the newest reports."""
    newest = [read_former(reports)[-1] for reports in ours(server, workspace).values()]
    return {lesion: t.uid for report in newest for lesion, t in report.tracking.items()}


def test_one_report_a_study_one_uid_a_group_and_nothing_twice(pacs: Orthanc, workspace: Workspace) -> None:
    report = to(workspace, pacs)
    assert counts(report) == {STORED: 3, FOLLOWED: 0, THERE: 0, "failures": 0}
    groups = groups_of(workspace)
    assert (groups.groupby(["patient", "group"]).study.nunique() == 2).sum() == 4
    assert report.counts["lesion groups"] == 8
    uids = groups.assign(uid=groups.index.map(tracked(pacs, workspace)))
    assert (uids.groupby(["patient", "group"]).uid.nunique() == 1).all()
    assert uids.uid.nunique() == 8
    before = pacs.get("/statistics")
    assert counts(to(workspace, pacs)) == {STORED: 0, FOLLOWED: 0, THERE: 3, "failures": 0}
    assert pacs.get("/statistics") == before
    assert [len(reports) for reports in ours(pacs, workspace).values()] == [1, 1, 1]


def test_patient_and_study_are_those_of_the_pacs(pacs: Orthanc, workspace: Workspace) -> None:
    to(workspace, pacs)
    images = pacs.find("Study")
    assert len(images) == 3  # no study came into being
    for (report,) in ours(pacs, workspace).values():
        assert report.PatientID in ("SMALL-1", "SMALL-5")
        assert report.PatientSex == "F"
        assert report.Modality == "SR"


def test_a_workspace_made_anew_finds_its_reports_and_uids(
    pacs: Orthanc, workspace: Workspace, matched: Path, tmp_path: Path
) -> None:
    to(workspace, pacs)
    before = tracked(pacs, workspace)
    anew = Workspace(Path(shutil.copytree(matched, tmp_path / "anew")))  # its ledger is empty
    assert counts(to(anew, pacs)) == {STORED: 0, FOLLOWED: 0, THERE: 3, "failures": 0}
    ledger, destination = ledger_of(anew), str(PacsAddress.parse(pacs.dicomweb))
    assert {i: uid for i, (uid, _) in ledger.tracking().items()} == before
    assert ledger.studies(destination) == set(groups_of(anew).study)


def test_a_ledger_of_an_earlier_version_is_taken_over_once(pacs: Orthanc, workspace: Workspace) -> None:
    destination = str(PacsAddress.parse(pacs.dicomweb))
    known, gone = groups_of(workspace).study.unique()[:2]
    lesion = groups_of(workspace).index[0]
    sent = {"destination": destination, "digest": "d", "predecessor": "", "at": "2025-03-01T10:00:00+00:00"}
    lines = [
        {"lesion": lesion, "uid": "2.25.4711", "number": 9},
        sent | {"study": gone, "sop_instance_uid": "2.25.1"},
        sent | {"study": gone, "sop_instance_uid": "2.25.2", "predecessor": "2.25.1"},
    ]
    path = workspace.path / LEDGER
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"cut')
    report = to(workspace, pacs)
    assert (report.counts[STORED], report.counts[GONE]) == (2, 1), "what it says was sent is not sent again"
    assert any("2.25.2 was sent on 2025-03-01" in note for note in report.notes)
    assert "1 lines of write_back/ledger.jsonl cannot be read and were left aside" in report.notes
    (reported,) = read_former(ours(pacs, workspace)[known])
    assert reported.tracking[lesion].uid == "2.25.4711"
    assert not path.exists()
    assert path.with_name(path.name + TAKEN_OVER).exists()
    found = ledger_of(workspace).newest(destination, gone)
    assert found is not None
    assert (found.number, found.sop_instance_uid) == (2, "2.25.2")
    assert ledger_of(workspace).newest(destination, known) is not None
    assert counts(to(workspace, pacs)) == {STORED: 0, FOLLOWED: 0, THERE: 2, "failures": 0}


def test_an_empty_look_at_a_workspace_without_database_keeps_it(matched: Path, tmp_path: Path) -> None:
    old = Workspace(Path(shutil.copytree(matched, tmp_path / "old")))
    for path in old.path.glob("catalogue.sqlite*"):
        path.unlink()
    (old.path / "store.json").unlink()
    key = old.key("catalogue")
    assert push_to_pacs(old, None, dry_run=tmp_path / "out").counts["studies"] == 3
    assert old.key("catalogue") == key


def test_a_study_arrives_and_its_groups_keep_their_uid(
    pacs: Orthanc, workspace: Workspace, two_visits: Path, tmp_path: Path
) -> None:
    to(workspace, pacs)
    before = tracked(pacs, workspace)
    write_study(tmp_path / "new", "SMALL-5", THIRD, shift=2)
    pacs.upload_folder(tmp_path / "new")
    grown = work(workspace.path, two_visits, tmp_path / "new")
    report = to(grown, pacs)
    assert report.counts[STORED] == 1
    assert report.counts[STORED] + report.counts[FOLLOWED] + report.counts[THERE] == 4
    after = tracked(pacs, grown)
    assert {lesion: after[lesion] for lesion in before} == before
    groups = groups_of(grown)
    assert (groups.groupby(["patient", "group"]).study.nunique() == 3).any()
    uids = groups.assign(uid=groups.index.map(after))
    assert (uids.groupby(["patient", "group"]).uid.nunique() == 1).all()


def test_what_changed_follows_the_former_which_stays(pacs: Orthanc, workspace: Workspace) -> None:
    to(workspace, pacs)
    first = {study: reports[0].SOPInstanceUID for study, reports in ours(pacs, workspace).items()}
    taken = tracked(pacs, workspace)
    from lesiongraph.pipeline.match import match

    match(workspace, t1=0.0, t2=0.0)  # nothing belongs together any more
    report = to(workspace, pacs)
    assert counts(report) == {STORED: 0, FOLLOWED: 3, THERE: 0, "failures": 0}
    for study, (old, new) in ours(pacs, workspace).items():
        assert old.SOPInstanceUID == first[study]
        assert predecessor_of(new) == first[study]
        assert new.SeriesInstanceUID == old.SeriesInstanceUID
        assert (old.InstanceNumber, new.InstanceNumber) == (1, 2)
    apart = tracked(pacs, workspace)
    assert len(set(apart.values())) == len(apart) == 12
    assert set(taken.values()) < set(apart.values())  # one of each former group kept its UID
    match(workspace, t1=0.0, t2=50.0)  # and together again: said before, yet not by the newest
    assert to(workspace, pacs).counts[FOLLOWED] == 3
    assert [len(reports) for reports in ours(pacs, workspace).values()] == [3, 3, 3]
    assert counts(to(workspace, pacs)) == {STORED: 0, FOLLOWED: 0, THERE: 3, "failures": 0}


def test_what_a_reader_saved_into_our_series_is_not_replaced(
    pacs: Orthanc, workspace: Workspace, tmp_path: Path
) -> None:
    """OHIF saves there what it loaded from there, and names our report as its predecessor."""
    from lesiongraph.pipeline.match import match

    to(workspace, pacs)
    study, (report,) = next(iter(ours(pacs, workspace).items()))
    saved = dcmread(OHIF_REPORT)
    saved.StudyInstanceUID, saved.SeriesInstanceUID = study, report.SeriesInstanceUID
    saved.PatientID, saved.InstanceNumber, saved.SOPInstanceUID = report.PatientID, 2, generate_uid()
    follow(saved, report)
    saved.save_as(tmp_path / "saved.dcm")
    pacs.upload(tmp_path / "saved.dcm")
    assert counts(to(workspace, pacs)) == {STORED: 0, FOLLOWED: 0, THERE: 3, "failures": 0}
    match(workspace, t1=0.0, t2=0.0)
    assert to(workspace, pacs).counts[FOLLOWED] == 3
    old, new = ours(pacs, workspace)[study]
    assert predecessor_of(new) == old.SOPInstanceUID == report.SOPInstanceUID
    assert new.InstanceNumber == 3  # OHIF opens the highest of a series


def test_a_report_that_is_refused_is_told_and_sent_next_time(
    tmp_path: Path, workspace: Workspace, two_visits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lesiongraph.mining.write_back.sending.PAUSE_S", 0.01)
    if missing():
        pytest.skip(missing())
    script = tmp_path / "refuse.lua"
    script.write_text(REFUSES)
    storage = tmp_path / "orthanc"
    with Orthanc(storage) as server:
        server.upload_folder(two_visits)
        ports = {"http_port": server.http_port, "dicom_port": server.dicom_port}
    with Orthanc(storage, changes={"LuaScripts": [str(script)]}, **ports) as server:
        report = to(workspace, server)
        assert counts(report) == {STORED: 0, FOLLOWED: 0, THERE: 0, "failures": 3}
        assert report.counts["reports that the destination refused"] == 3
        assert sum("refused" in note for note in report.notes) == 3
        destination = str(PacsAddress.parse(server.dicomweb))
        ledger = ledger_of(workspace)
        assert all(ledger.newest(destination, s) is None for s in groups_of(workspace).study)
        planned = {lesion: uid for lesion, (uid, _) in ledger.tracking().items()}
    with Orthanc(storage, **ports) as server:
        assert counts(to(workspace, server)) == {STORED: 3, FOLLOWED: 0, THERE: 0, "failures": 0}
        assert tracked(server, workspace) == planned


def test_a_pacs_that_stops_in_the_middle_is_taken_up_where_it_stopped(
    pacs: Orthanc, workspace: Workspace
) -> None:
    class Stops(DicomwebDestination):
        def store(self, report: Dataset) -> None:
            if len(pacs.find("Series", SeriesDescription=SERIES_DESCRIPTION)) == 1:
                pacs.stop()
            super().store(report)

    settings = PacsSettings(retries=0, timeout_s=2)
    address = PacsAddress.parse(pacs.dicomweb)
    with DicomwebConnection(address, settings) as connection, pytest.raises(PacsUnreachableError):
        push(workspace, Stops(connection))
    kept = workspace.read_run_reports()["push"]["counts"]
    assert (kept[STORED], kept["failures"]) == (1, 0)
    pacs.start()
    assert counts(to(workspace, pacs)) == {STORED: 2, FOLLOWED: 0, THERE: 1, "failures": 0}
    assert [len(reports) for reports in ours(pacs, workspace).values()] == [1, 1, 1]


def test_an_answer_that_was_lost_does_not_send_twice(pacs: Orthanc, workspace: Workspace) -> None:
    class Killed(DicomwebDestination):
        def store(self, report: Dataset) -> None:
            super().store(report)
            raise KeyboardInterrupt  # stored there, and nothing of it written down here

    with DicomwebConnection(PacsAddress.parse(pacs.dicomweb)) as connection, pytest.raises(KeyboardInterrupt):
        push(workspace, Killed(connection))
    assert counts(to(workspace, pacs)) == {STORED: 2, FOLLOWED: 0, THERE: 1, "failures": 0}


def test_nobody_there_is_one_clear_error(workspace: Workspace, cli) -> None:
    ran = cli("push", "-w", workspace.path, "--to", "dicomweb+http://localhost:9/dicom-web", "--retries", 0)
    assert ran.code == 1
    assert "localhost:9" in ran.err
    assert "Traceback" not in ran.err


def test_what_was_deleted_there_is_left_so_unless_asked(pacs: Orthanc, workspace: Workspace) -> None:
    to(workspace, pacs)
    (victim, *_) = pacs.find("Series", SeriesDescription=SERIES_DESCRIPTION)
    pacs.delete(f"/series/{victim}")
    report = to(workspace, pacs)
    assert (report.counts[THERE], report.counts[GONE], report.counts["failures"]) == (2, 1, 0)
    assert len(pacs.find("Series", SeriesDescription=SERIES_DESCRIPTION)) == 2
    assert counts(to(workspace, pacs, again=True)) == {STORED: 1, FOLLOWED: 0, THERE: 2, "failures": 0}


def test_a_study_without_its_images_there_is_a_failure(pacs: Orthanc, workspace: Workspace) -> None:
    (victim,) = pacs.find("Study", PatientID="SMALL-1")
    pacs.delete(f"/studies/{victim}")
    report = to(workspace, pacs)
    assert report.counts["studies without their images at the destination"] == 1
    assert (report.counts[STORED], report.counts["failures"]) == (2, 1)
    assert not pacs.find("Study", PatientID="SMALL-1")


def test_the_command_counts_and_fails_where_something_failed(
    pacs: Orthanc, workspace: Workspace, cli, tmp_path: Path
) -> None:
    ran = cli("push", "-w", workspace.path, "--to", pacs.dicomweb, "--dry-run", tmp_path / "look", "--json")
    assert (ran.code, json.loads(ran.out)["counts"]["studies"]) == (0, 3)
    assert len(list((tmp_path / "look").iterdir())) == 3
    assert not pacs.find("Series", SeriesDescription=SERIES_DESCRIPTION)
    ran = cli("push", "-w", workspace.path, "--to", pacs.dicomweb, "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert (found["counts"]["studies"], found["counts"]["lesions in the reports"]) == (3, 12)
    assert {p.stem for p in (tmp_path / "look").iterdir()} == {
        str(report.SOPInstanceUID) for reports in ours(pacs, workspace).values() for report in reports
    }
    for study in pacs.find("Study"):
        pacs.delete(f"/studies/{study}")
    assert cli("push", "-w", workspace.path, "--to", pacs.dicomweb, "--again").code == 1


@pytest.mark.parametrize("address", [None, "dimse://PACS@localhost:104", "http://localhost/dicom-web"])
def test_an_address_that_cannot_be_pushed_to(workspace: Workspace, address: str | None) -> None:
    with pytest.raises(UsageError, match="dicomweb\\+http"):
        push_to_pacs(workspace, address)


def test_unmatched_lesions_wait_and_are_counted(tmp_path: Path, matched: Path, two_visits: Path) -> None:
    from lesiongraph.pipeline.mine import mine

    with pytest.raises(StageMissingError, match="mine"):
        push_to_pacs(Workspace(tmp_path / "none"), None, dry_run=tmp_path / "out")
    fresh = Workspace(tmp_path / "fresh")
    mine(fresh, [two_visits])
    with pytest.raises(StageMissingError, match="match"):
        push_to_pacs(fresh, None, dry_run=tmp_path / "out")
    grown = Workspace(Path(shutil.copytree(matched, tmp_path / "grown")))
    write_study(tmp_path / "new", "SMALL-5", THIRD, shift=2)
    mine(grown, [two_visits, tmp_path / "new"])
    report = push_to_pacs(grown, None, dry_run=tmp_path / "out")
    assert report.rejected == {"not matched yet (run embed and match)": 4}
    assert report.counts["studies"] == 3


def test_predicted_types_need_a_probability(tmp_path: Path, workspace: Workspace) -> None:
    rows = groups_of(workspace)
    labels = pd.DataFrame({"lesion_id": rows.index, "type": "liver", "confidence": 0.876})
    for abstain in (None, 0.9):
        with workspace.lock(), workspace.write("model", str(abstain)) as folder:
            folder.write_table("pseudo_labels", labels)
            folder.write_json("about", {"recipe": {"abstain": abstain}})
        out = tmp_path / str(abstain)
        report = push_to_pacs(workspace, None, dry_run=out)
        dumped = [str(dcmread(path)) for path in sorted(out.iterdir())]
        predicted = sum(text.count("'type-probability'") for text in dumped)
        # the patient with coded sites keeps them: 4 of the 12 marks
        assert predicted == (0 if abstain is None else 8)
        assert any("no probability" in note for note in report.notes) == (abstain is None)


def test_a_study_whose_lesions_are_gone_keeps_its_report_and_says_so(
    pacs: Orthanc, workspace: Workspace
) -> None:
    to(workspace, pacs)
    tables = {name: workspace.open("catalogue", "mine").read_table(name) for name in TABLES}
    of_one = tables["lesions"].patient_id == "SMALL-1"
    tables["lesions"].loc[of_one, ["status", "reason"]] = ["rejected", "by a person"]
    with workspace.lock(), workspace.write("catalogue", "judged") as folder:
        for name, table in tables.items():
            folder.write_table(name, table, TABLES[name])
    report = to(workspace, pacs)
    assert (report.counts["studies"], report.counts[THERE]) == (2, 2)
    assert "1 studies reported before have no lesion now: their report stays" in report.notes


def test_a_uid_without_its_original_is_left_out_and_counted(workspace: Workspace, tmp_path: Path) -> None:
    lost = groups_of(workspace).query("patient == 'SMALL-1'").study.iloc[0]

    class Lacking:
        def uid(self, workspace_uid: str) -> str:
            if workspace_uid == lost:
                raise UnknownOriginalError(workspace_uid)
            return workspace_uid

    report = push_to_pacs(workspace, None, dry_run=tmp_path / "out", originals=Lacking())
    assert report.rejected == {"original UID not known (another key file?)": 4}
    assert report.counts["studies"] == 2


def test_nothing_to_report_is_an_error(tmp_path: Path, workspace: Workspace) -> None:
    tables = {name: workspace.open("catalogue", "mine").read_table(name) for name in TABLES}
    with workspace.lock(), workspace.write("catalogue", "boxes") as folder:
        tables["lesions"].loc[:, ["short_x0"]] = float("nan")  # boxes without axes
        for name, table in tables.items():
            folder.write_table(name, table, TABLES[name])
    with pytest.raises(NotEnoughDataError, match="two axes"):
        push_to_pacs(workspace, None, dry_run=tmp_path / "out")
