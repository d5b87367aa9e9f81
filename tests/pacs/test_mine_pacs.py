"""`mine dicomweb+http://…` against a real Orthanc: the same catalogue as from a folder, few requests."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from dicom_files import uid
from mined_pacs import FAST, OPTIONS, pull, same_rows
from small_hospital import STUDIES, write_study

from lesiongraph.imaging import PatchStore
from lesiongraph.lesion import KEPT
from lesiongraph.mining.pacs import DateWindow, PacsSettings
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import INCOMPLETE, PacsOptions
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.pipeline.phantom import write_phantom
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace
from orthanc import Orthanc, missing


def patches_of(workspace: Path) -> PatchStore:
    opened = Workspace(workspace)
    with opened.lock():
        return ensure_patches(opened, ImagingRecipe(), RunReport("patches"))


def test_a_phantom_hospital_gives_the_rows_and_patches_of_its_folder(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    write_phantom(tmp_path / "phantom", patients=2, rng_seed=3, rows=96, workers=1)
    stored = orthanc.upload_folder(tmp_path / "phantom" / "dicom")
    by_pacs, by_folder = tmp_path / "pacs", tmp_path / "folder"
    report = mine(Workspace(by_pacs), [orthanc.dicomweb], pacs=PacsOptions(FAST))
    mine(Workspace(by_folder), [tmp_path / "phantom" / "dicom"])
    assert len(read_catalogue(Workspace(by_pacs)).lesions) > 10
    same_rows(by_pacs, by_folder)
    assert 0 < report.counts["PACS: slices fetched"] < stored / 2

    ours, theirs = patches_of(by_pacs), patches_of(by_folder)
    assert ours.lesion_ids == theirs.lesion_ids
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.hu, b.hu)
        assert (a.box, a.scale_mm, a.context_slices_mm, a.flags) == (
            b.box,
            b.scale_mm,
            b.context_slices_mm,
            b.flags,
        )

    located = locate(Workspace(by_pacs))
    locate(Workspace(by_folder))
    assert located.counts["slices not fetched"] > 0
    assert located.counts["slices unreadable"] == 0
    a, b = (
        pd.read_parquet(next(w.glob("locations-*/locations.parquet"))).set_index("lesion_id")
        for w in (by_pacs, by_folder)
    )
    pd.testing.assert_frame_equal(a[["x", "y"]], b.loc[a.index, ["x", "y"]])
    # fewer slices hold the line of a series (benchmarks/pacs_step.py): z stays within its expected error
    assert ((a.z - b.z).abs() < 2 * b.z_sd).all()


def test_an_unchanged_pacs_is_asked_once(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    first = pull(tmp_path / "w", pacs.dicomweb)
    assert first.counts["PACS: studies fetched"] == 3
    mine(Workspace(tmp_path / "folder"), [hospital])
    same_rows(tmp_path / "w", tmp_path / "folder")
    again = pull(tmp_path / "w", pacs.dicomweb)
    assert again.already_done
    assert again.counts["PACS: requests"] == 1
    assert again.counts["PACS: slices fetched"] == 0


def test_without_a_log_of_changes_a_search_tells_what_is_new(
    pacs: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lesiongraph.mining.pacs.orthanc_changes import OrthancChanges

    monkeypatch.setattr(OrthancChanges, "_page", lambda *_, **__: None)
    pull(tmp_path / "w", pacs.dicomweb)
    again = pull(tmp_path / "w", pacs.dicomweb)
    assert again.already_done
    assert again.counts["PACS: requests"] == 5  # one search a modality
    assert again.counts["PACS: studies unchanged"] == 3
    write_study(tmp_path / "new", "SMALL-9", "20210301")
    pacs.upload_folder(tmp_path / "new")
    third = pull(tmp_path / "w", pacs.dicomweb)
    assert (third.counts["PACS: studies unchanged"], third.counts["PACS: studies fetched"]) == (3, 1)
    assert "SMALL-9" in set(read_catalogue(Workspace(tmp_path / "w")).lesions.patient_id)


def test_what_arrives_later_is_fetched_alone(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    pull(tmp_path / "w", pacs.dicomweb)
    write_study(tmp_path / "new", "SMALL-5", "20210301", shift=1)
    pacs.upload_folder(tmp_path / "new")
    second = pull(tmp_path / "w", pacs.dicomweb)
    assert second.counts["PACS: studies fetched"] == 1
    assert second.counts["PACS: objects fetched"] == 1
    assert second.counts["PACS: headers fetched"] == 10
    mine(Workspace(tmp_path / "folder"), [hospital, tmp_path / "new"])
    same_rows(tmp_path / "w", tmp_path / "folder")


def test_a_window_of_dates(pacs: Orthanc, tmp_path: Path) -> None:
    from datetime import date

    window = DateWindow(date(2020, 4, 1), date(2020, 4, 30))
    pull(tmp_path / "w", pacs.dicomweb, PacsOptions(PacsSettings(window=window), step_mm=60.0))
    lesions = read_catalogue(Workspace(tmp_path / "w")).lesions
    assert set(lesions.study_date) == {"2020-04-15"}
    write_study(tmp_path / "new", "SMALL-9", "20210301")
    pacs.upload_folder(tmp_path / "new")
    again = pull(tmp_path / "w", pacs.dicomweb, PacsOptions(PacsSettings(window=window), step_mm=60.0))
    assert again.already_done
    pull(tmp_path / "w", pacs.dicomweb)  # all dates
    assert len(set(read_catalogue(Workspace(tmp_path / "w")).lesions.study_date)) == 3


def test_a_smaller_step_fetches_more_slices(pacs: Orthanc, tmp_path: Path) -> None:
    pull(tmp_path / "w", pacs.dicomweb, PacsOptions(FAST, step_mm=200.0))
    finer = pull(tmp_path / "w", pacs.dicomweb, PacsOptions(FAST, step_mm=20.0))
    assert finer.counts["PACS: slices fetched"] > 0
    assert finer.counts["PACS: headers fetched"] == 0
    slices = read_catalogue(Workspace(tmp_path / "w")).slices.whole()
    assert (slices.path != "").all()


def test_a_report_whose_images_are_gone_keeps_its_marks(pacs: Orthanc, tmp_path: Path) -> None:
    for series in pacs.find("Series", Modality="CT", PatientID="SMALL-1"):
        pacs.delete(f"/series/{series}")
    pull(tmp_path / "w", pacs.dicomweb)
    lesions = read_catalogue(Workspace(tmp_path / "w")).lesions
    gone = lesions[lesions.patient_id == "SMALL-1"]
    assert set(gone.reason) == {"image not found"}
    assert len(gone) == 4
    assert (lesions.status == KEPT).sum() == 8


def test_images_that_arrive_after_their_report(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    for series in pacs.find("Series", Modality="CT", PatientID="SMALL-1"):
        pacs.delete(f"/series/{series}")
    pull(tmp_path / "w", pacs.dicomweb)
    pacs.upload_folder(hospital / "SMALL-1")
    pull(tmp_path / "w", pacs.dicomweb)
    mine(Workspace(tmp_path / "folder"), [hospital])
    same_rows(tmp_path / "w", tmp_path / "folder")


def test_a_report_in_one_study_on_images_of_another(tmp_path: Path) -> None:
    """The report came after the earlier study was fetched: its slices are fetched then."""
    if missing():
        pytest.skip(missing())
    source = tmp_path / "source"
    for date in STUDIES:
        write_study(source / date, "SMALL-5", date)
    moved = pydicom.dcmread(source / STUDIES[0] / "report.sr")
    moved.StudyInstanceUID, moved.StudyDate = uid("SMALL-5", STUDIES[1]), STUDIES[1]
    moved.save_as(source / STUDIES[0] / "report.sr")
    with Orthanc(tmp_path / "orthanc") as server:
        for path in sorted((source / STUDIES[0]).glob("ct-*")):
            server.upload(path)
        first = pull(tmp_path / "w", server.dicomweb)
        assert first.counts["PACS: slices fetched"] == 0
        for path in [*sorted((source / STUDIES[1]).glob("*")), source / STUDIES[0] / "report.sr"]:
            server.upload(path)
        pull(tmp_path / "w", server.dicomweb)
    mine(Workspace(tmp_path / "folder"), [source])
    same_rows(tmp_path / "w", tmp_path / "folder")
    lesions = read_catalogue(Workspace(tmp_path / "w")).lesions
    assert (lesions.status == KEPT).all()
    assert len(lesions) == 8


def stop_in_the_middle(server: Orthanc, workspace: Path, after: int) -> threading.Thread:
    """Stop a PACS as soon as so many slices of it are in the mirror."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(list(workspace.rglob("images/*.dcm"))) >= after:
                server.stop()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_pacs_that_stops_in_the_middle(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    slow = PacsSettings(retries=1, backoff_s=0.01, timeout_s=10, rate=60, parallel=1)
    watcher = stop_in_the_middle(pacs, tmp_path / "w", after=15)
    report = pull(tmp_path / "w", pacs.dicomweb, PacsOptions(slow, step_mm=60.0))
    watcher.join()
    (why,) = report.details[INCOMPLETE]
    assert "Stopped after" in why
    assert report.counts["PACS: studies fetched"] in (1, 2)
    assert report.counts["marks kept"] == 4 * report.counts["PACS: studies fetched"]
    pacs.start()
    second = pull(tmp_path / "w", pacs.dicomweb)
    assert INCOMPLETE not in second.details
    mine(Workspace(tmp_path / "folder"), [hospital])
    same_rows(tmp_path / "w", tmp_path / "folder")
    fresh = pull(tmp_path / "fresh", pacs.dicomweb)
    for what in ("slices fetched", "objects fetched"):  # nothing twice
        name = f"PACS: {what}"
        assert report.counts[name] + second.counts[name] == fresh.counts[name]


def test_the_command_says_where_a_pacs_stopped(pacs: Orthanc, tmp_path: Path, cli) -> None:
    ran = cli("mine", pacs.dicomweb, "-w", tmp_path / "w", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["counts"]["PACS: studies fetched"] == 3
    pacs.stop()
    ran = cli("mine", pacs.dicomweb, "-w", tmp_path / "w", "--retries", "0", "--json")
    assert ran.code == 1
    assert "Stopped after 0" in json.loads(ran.out)["details"][INCOMPLETE][0]
    ran = cli("mine", pacs.dicomweb, "-w", tmp_path / "never", "--retries", "0")
    assert ran.code == 1
    assert "no usable answer" in ran.err
    assert not (tmp_path / "never").exists()
    pacs.start()
    assert cli("mine", pacs.dicomweb, "-w", tmp_path / "w").code == 0


def test_a_killed_run_is_taken_up(pacs: Orthanc, hospital: Path, tmp_path: Path, monkeypatch) -> None:
    """Control-C between two slices: the workspace is whole, and the next run fetches the rest."""
    from lesiongraph.mining.pacs import study_fetcher

    write, left = study_fetcher.write_dataset_file, [15]

    def interrupted(path, dataset):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, dataset)

    with monkeypatch.context() as broken, contextlib.suppress(KeyboardInterrupt):
        broken.setattr(study_fetcher, "write_dataset_file", interrupted)
        pull(tmp_path / "w", pacs.dicomweb)
    assert left == [0]
    pull(tmp_path / "w", pacs.dicomweb)
    mine(Workspace(tmp_path / "folder"), [hospital])
    same_rows(tmp_path / "w", tmp_path / "folder")


@pytest.mark.slow
def test_studies_that_arrive_while_mining_runs(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    """None is lost and none is there twice, whether this run or the next one meets it."""
    arriving = tmp_path / "arriving"
    for number in range(50):
        write_study(arriving / f"{number:02}", f"LATE-{number:02}", f"2021{1 + number // 25:02}15")

    uploader = threading.Thread(target=pacs.upload_folder, args=[arriving])
    uploader.start()
    rounds = 0
    while uploader.is_alive():
        pull(tmp_path / "w", pacs.dicomweb)
        rounds += 1
    uploader.join()
    pull(tmp_path / "w", pacs.dicomweb)
    assert rounds >= 1
    mine(Workspace(tmp_path / "folder"), [hospital, arriving])
    same_rows(tmp_path / "w", tmp_path / "folder")
    assert pull(tmp_path / "w", pacs.dicomweb).counts["PACS: requests"] == 1


def test_the_same_object_stored_twice(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    pull(tmp_path / "w", pacs.dicomweb)
    pacs.upload_folder(hospital)
    again = pull(tmp_path / "w", pacs.dicomweb)
    assert again.already_done
    assert again.counts["PACS: slices fetched"] == 0


def test_a_folder_and_a_pacs_add_up(pacs: Orthanc, hospital: Path, tmp_path: Path) -> None:
    """The reports lie in a folder, the images in the PACS; then the PACS is mined again."""
    for series in pacs.find("Series", Modality="SR"):
        pacs.delete(f"/series/{series}")
    reports = tmp_path / "reports"
    for path in hospital.rglob("report.sr"):
        (reports / path.parent.parent.name / path.parent.name).mkdir(parents=True)
        shutil.copy(path, reports / path.parent.parent.name / path.parent.name)
    report = mine(Workspace(tmp_path / "w"), [reports, pacs.dicomweb], pacs=OPTIONS)
    # a mark of a folder calls for no pixels of a PACS, and says so
    assert report.rejected == {"unreadable image: not fetched from the PACS": 12}


def test_an_arrival_decides_what_is_written(pacs: Orthanc, tmp_path: Path) -> None:
    """No identifier that the arrival takes away is found below the workspace, in names or in bytes."""
    from lesiongraph.mining.dicom_values import short_hash

    class Renamed:
        def uid(self, original: str) -> str:
            return "2.25." + str(int(short_hash(original, length=30), 16))

        def admit(self, dataset):
            for element in dataset.iterall():
                if element.VR == "UI" and not str(element.value).startswith("1.2.840.10008."):
                    element.value = self.uid(str(element.value))
            dataset.PatientID = "X" + short_hash(str(dataset.PatientID))
            return dataset

    pull(tmp_path / "w", pacs.dicomweb, PacsOptions(FAST, Renamed(), 60.0))
    lesions = read_catalogue(Workspace(tmp_path / "w")).lesions
    assert (lesions.status == KEPT).sum() == 12
    secrets = [b"SMALL-1", uid("SMALL-1", STUDIES[0]).encode(), *(u.encode() for u in original_uids(pacs))]
    for path in (tmp_path / "w").rglob("*"):
        assert not any(secret in str(path).encode() for secret in secrets)
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".gz":
                import gzip

                data = gzip.decompress(data)
            assert not any(secret in data for secret in secrets), path
    again = pull(tmp_path / "w", pacs.dicomweb, PacsOptions(FAST, Renamed(), 60.0))
    assert again.already_done


def original_uids(server: Orthanc) -> list[str]:
    return [
        server.get(f"/instances/{ident}")["MainDicomTags"]["SOPInstanceUID"]
        for ident in server.get("/instances")
    ]


def test_follow_takes_a_new_study_through_all_stages(pacs: Orthanc, tmp_path: Path) -> None:
    from lesiongraph.pipeline.follow import follow

    arrived = []

    def arrive(_seconds: float) -> None:
        if not arrived:
            write_study(tmp_path / "new", "SMALL-1", "20210301", shift=1)
            pacs.upload_folder(tmp_path / "new")
            arrived.append(time.monotonic())

    workspace = Workspace(tmp_path / "w")
    looks = follow(workspace, [pacs.dicomweb], options=OPTIONS, every_s=15, rounds=3, sleep=arrive)
    first, second, third = looks
    assert [report.verb for report in first.stages] == ["locate", "embed", "match"]
    assert second.mined.counts["PACS: studies fetched"] == 1
    assert second.stages[1].counts["lesions embedded"] == 16
    assert third.is_quiet
    assert second.seconds < 45  # with 15 s between two looks: within a minute of its arrival
    groups = workspace.open("groups", "match").read_table("groups")
    assert set(groups[groups.patient == "SMALL-1"].study_date) == {"2020-01-10", "2021-03-01"}


def test_follow_without_a_log_searches_the_last_days(pacs: Orthanc, tmp_path: Path, monkeypatch) -> None:
    """It begins with an empty PACS; a study of today is found by a search of the last days."""
    from datetime import date

    from lesiongraph.mining.pacs.orthanc_changes import OrthancChanges
    from lesiongraph.pipeline.follow import follow

    monkeypatch.setattr(OrthancChanges, "_page", lambda *_, **__: None)
    for study in pacs.find("Study", PatientID="*"):
        pacs.delete(f"/studies/{study}")
    write_study(tmp_path / "new", "SMALL-1", f"{date.today():%Y%m%d}")
    arrivals = iter([tmp_path / "new"])

    def arrive(_seconds: float) -> None:
        for folder in arrivals:
            pacs.upload_folder(folder)

    first, second = follow(
        Workspace(tmp_path / "w"), [pacs.dicomweb], options=OPTIONS, every_s=1, rounds=2, sleep=arrive
    )
    assert "nothing to embed or match yet" in first.mined.notes[0]
    assert second.mined.counts["PACS: studies fetched"] == 1
    assert [report.verb for report in second.stages] == ["locate", "embed", "match"]


def test_follow_waits_for_a_busy_workspace(pacs: Orthanc, tmp_path: Path) -> None:
    from lesiongraph.pipeline.follow import follow

    other = Workspace(tmp_path / "w")
    held = contextlib.ExitStack()
    steps = iter([lambda: held.enter_context(other.lock()), held.close])
    looks = follow(
        Workspace(tmp_path / "w"),
        [pacs.dicomweb],
        options=OPTIONS,
        every_s=1,
        rounds=3,
        sleep=lambda _: next(steps)(),
    )
    assert [bool(look.mined.details.get(INCOMPLETE)) for look in looks] == [False, True, False]


def test_a_rejected_mark_has_its_slice_too(pacs: Orthanc, tmp_path: Path) -> None:
    """A person may want to see it."""
    (report,) = pacs.find("Instance", Modality="SR", PatientID="SMALL-1")
    dataset = pydicom.dcmread(io.BytesIO(pacs.download(report)))
    for item in dataset.iterall():
        if item.keyword == "GraphicData":
            item.value = [item.value[0], item.value[1]] * 2  # zero length
    pacs.delete(f"/instances/{report}")
    changed = tmp_path / "changed.dcm"
    dataset.save_as(changed)
    pacs.upload(changed)
    pull(tmp_path / "w", pacs.dicomweb)
    catalogue = read_catalogue(Workspace(tmp_path / "w"))
    marks = catalogue.lesions[catalogue.lesions.patient_id == "SMALL-1"]
    assert set(marks.reason) == {"zero length"}
    assert (marks.image != "").all()
    slices = catalogue.slices.of(marks.series_instance_uid.iloc[0])
    assert 0 < (slices.path != "").sum() < len(slices)


def test_follow_outlives_a_pacs_that_is_away(pacs: Orthanc, tmp_path: Path) -> None:
    from lesiongraph.pipeline.follow import follow

    steps = iter([pacs.stop, pacs.start])
    options = PacsOptions(PacsSettings(retries=0, timeout_s=5), step_mm=60.0)
    looks = follow(
        Workspace(tmp_path / "w"),
        [pacs.dicomweb],
        options=options,
        every_s=1,
        rounds=3,
        sleep=lambda _: next(steps)(),
    )
    incomplete = [bool(look.mined.details.get(INCOMPLETE)) for look in looks]
    assert incomplete == [False, True, False]
