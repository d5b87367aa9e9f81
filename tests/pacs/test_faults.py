"""A PACS that fails now and then, in one place, or altogether: nothing is lost, nothing is there twice."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from faulty_proxy import DAMAGES, Damage, FaultyProxy, cut_connection, faulty_proxy, no_answer, slow, status
from mined_pacs import FAST, OPTIONS, pull, same_rows
from process import start
from pydicom.misc import is_dicom
from small_hospital import STUDIES, write_study

from lesiongraph.lesion import KEPT
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.follow import follow
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import INCOMPLETE
from lesiongraph.workspace import RunReport, Workspace
from orthanc import Orthanc

OBJECT = "^GET /dicom-web/studies/[0-9.]+/series/[0-9.]+/instances/[0-9.]+$"


@pytest.fixture
def proxy(pacs: Orthanc) -> Iterator[FaultyProxy]:
    """The PACS, behind a proxy that can be told to fail."""
    with faulty_proxy(f"http://localhost:{pacs.http_port}") as before:
        yield before


@pytest.fixture(scope="module")
def still(orthanc: Orthanc, hospital: Path) -> Orthanc:
    """An Orthanc that holds the hospital, and that no test changes."""
    orthanc.upload_folder(hospital)
    return orthanc


@pytest.fixture
def calm(still: Orthanc) -> Iterator[FaultyProxy]:
    """The Orthanc that no test changes, behind a proxy."""
    with faulty_proxy(f"http://localhost:{still.http_port}") as before:
        yield before


@pytest.fixture(scope="module")
def whole(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mining the hospital's folder gives."""
    workspace = tmp_path_factory.mktemp("whole") / "w"
    mine(Workspace(workspace), [hospital])
    return workspace


def series_of(pacs: Orthanc, modality: str, patient: str) -> str:
    """Return the Series Instance UID of a patient's first series of a modality."""
    ident = pacs.find("Series", Modality=modality, PatientID=patient)[0]
    return str(pacs.get(f"/series/{ident}")["MainDicomTags"]["SeriesInstanceUID"])


def study_of(pacs: Orthanc, patient: str) -> str:
    """Return the Study Instance UID of a patient's first study."""
    ident = pacs.find("Study", PatientID=patient)[0]
    return str(pacs.get(f"/studies/{ident}")["MainDicomTags"]["StudyInstanceUID"])


def store_file(pacs: Orthanc, modality: str, patient: str) -> Path:
    """Return the file in Orthanc's store of the third instance of a patient's first series of a modality."""
    ident = pacs.find("Series", Modality=modality, PatientID=patient)[0]
    instance = sorted(pacs.get(f"/series/{ident}/instances"), key=lambda one: int(one["IndexInSeries"]))[2]
    uid = instance["MainDicomTags"]["SOPInstanceUID"]
    stored = (path for path in pacs.storage.rglob("*") if path.is_file() and is_dicom(path))
    return next(path for path in stored if pydicom.dcmread(path).SOPInstanceUID == uid)


def fetched(*reports: RunReport) -> Counter[str]:
    """Add up the files that runs fetched."""
    kinds = ("objects", "headers", "slices")
    return Counter(
        {kind: sum(report.counts[f"PACS: {kind} fetched"] for report in reports) for kind in kinds}
    )


def kept_of(workspace: Path) -> dict[str, int]:
    """Return the number of marks kept, by patient."""
    lesions = read_catalogue(Workspace(workspace)).lesions
    return dict(lesions[lesions.status == KEPT].patient_id.value_counts())


@pytest.mark.parametrize("damage", [*DAMAGES, slow(1.0)])
def test_what_fails_now_and_then_is_asked_for_again(
    calm: FaultyProxy, whole: Path, tmp_path: Path, damage: Damage
) -> None:
    """Every second object meets the damage once."""
    patient = dataclasses.replace(FAST, retries=3, timeout_s=0.5)
    faults = [calm.fail(OBJECT, damage, after=after, times=1) for after in range(0, 40, 2)]
    faults.append(calm.fail("/studies[?].*CT", status(503), times=1))
    report = pull(tmp_path / "w", calm.dicomweb, dataclasses.replace(OPTIONS, settings=patient))
    assert INCOMPLETE not in report.details
    same_rows(tmp_path / "w", whole)
    assert report.counts["PACS: requests repeated"] >= sum(fault.done for fault in faults) > 5


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_slice_that_stays_damaged(
    calm: FaultyProxy, still: Orthanc, whole: Path, tmp_path: Path, damage: Damage
) -> None:
    """All else comes; the next run asks for that slice alone."""
    ct = series_of(still, "CT", "SMALL-1")
    calm.fail(f"/series/{ct}/instances/[0-9.]+$", damage, after=2, times=2)  # one slice, and its repetition
    one_by_one = dataclasses.replace(FAST, parallel=1)
    first = pull(tmp_path / "w", calm.dicomweb, dataclasses.replace(OPTIONS, settings=one_by_one))
    (why,) = first.details[INCOMPLETE]
    assert "1 of 3 studies could not be read whole" in why
    assert first.counts["PACS: slices that could not be had"] == 1
    kept = kept_of(tmp_path / "w")
    assert kept["SMALL-5"] == 8
    assert 2 <= kept["SMALL-1"] <= 3

    second = pull(tmp_path / "w", calm.dicomweb)
    assert INCOMPLETE not in second.details
    same_rows(tmp_path / "w", whole)
    assert fetched(second) == Counter(slices=1)
    assert fetched(first, second) == fetched(pull(tmp_path / "fresh", still.dicomweb))  # nothing twice
    third = pull(tmp_path / "w", calm.dicomweb)
    assert third.already_done
    assert third.counts["PACS: requests"] == 1


def test_a_report_that_stays_damaged(calm: FaultyProxy, still: Orthanc, whole: Path, tmp_path: Path) -> None:
    calm.fail(f"/series/{series_of(still, 'SR', 'SMALL-1')}/instances/[0-9.]+$", status(500))
    first = pull(tmp_path / "w", calm.dicomweb)
    assert first.counts["PACS: objects that could not be had"] == 1
    assert kept_of(tmp_path / "w") == {"SMALL-5": 8}
    calm.faults.clear()
    pull(tmp_path / "w", calm.dicomweb)
    same_rows(tmp_path / "w", whole)


@pytest.mark.parametrize("damage", [status(500), status(400), no_answer, cut_connection])
@pytest.mark.parametrize("search", ["series", "headers"])
def test_a_study_whose_searches_fail(
    proxy: FaultyProxy, pacs: Orthanc, whole: Path, tmp_path: Path, damage: Damage, search: str
) -> None:
    """Others are read; one that arrives in the meantime is read, too, and before the one that fails."""
    study, ct = study_of(pacs, "SMALL-1"), series_of(pacs, "CT", "SMALL-1")
    path = f"/studies/{study}/series[?]" if search == "series" else f"/series/{ct}/instances[?]"
    fault = proxy.fail(path, damage)
    first = pull(tmp_path / "w", proxy.dicomweb)
    missed = ("series", 1) if search == "series" else ("headers", 10)
    assert first.counts[f"PACS: {missed[0]} that could not be had"] == missed[1]
    assert kept_of(tmp_path / "w") == {"SMALL-5": 8}
    write_study(tmp_path / "new", "SMALL-9", "20210301")
    pacs.upload_folder(tmp_path / "new")
    before = len(proxy.requests)
    second = pull(tmp_path / "w", proxy.dicomweb)
    asked = [request for request in proxy.requests[before:] if f"/studies/{study}/" in request]
    assert proxy.requests[before:].index(asked[0]) > len(proxy.requests[before:]) / 2
    assert "1 of 2 studies could not be read whole" in second.details[INCOMPLETE][0]
    assert kept_of(tmp_path / "w") == {"SMALL-5": 8, "SMALL-9": 4}
    proxy.faults.remove(fault)
    third = pull(tmp_path / "w", proxy.dicomweb)
    assert third.counts["PACS: studies fetched"] == 1
    assert kept_of(tmp_path / "w") == {"SMALL-1": 4, "SMALL-5": 8, "SMALL-9": 4}
    assert pull(tmp_path / "w", proxy.dicomweb).counts["PACS: requests"] == 1


def test_a_pacs_that_answers_searches_alone(
    proxy: FaultyProxy, pacs: Orthanc, whole: Path, tmp_path: Path
) -> None:
    """Its store is gone, its index is not: it is left alone after a few studies, and read when it is back."""
    for number in range(9):
        write_study(tmp_path / "more" / f"{number}", f"MORE-{number}", "20210301")
    pacs.upload_folder(tmp_path / "more")
    proxy.fail(OBJECT, status(500))
    first = pull(tmp_path / "w", proxy.dicomweb)
    assert first.counts["PACS: studies not asked for"] == 12 - 5
    assert "Nothing came of 5 in a row: 7 more were left" in first.details[INCOMPLETE][0]
    proxy.faults.clear()
    second = pull(tmp_path / "w", proxy.dicomweb)
    assert INCOMPLETE not in second.details
    assert sum(kept_of(tmp_path / "w").values()) == 12 * 4


def test_a_series_without_a_single_good_object_does_not_hold_up_the_rest(
    calm: FaultyProxy, still: Orthanc, tmp_path: Path
) -> None:
    ct = series_of(still, "CT", "SMALL-1")
    calm.fail(f"/series/{ct}/instances/[0-9.]+$", status(500))
    report = pull(tmp_path / "w", calm.dicomweb)
    asked = [request for request in calm.requests if f"/series/{ct}/instances/" in request]
    missed = report.counts["PACS: slices that could not be had"]
    assert len(asked) <= 2 * (3 + 2 * FAST.parallel)  # three failures, and what was under way
    assert kept_of(tmp_path / "w") == {"SMALL-5": 8}
    calm.faults.clear()
    assert pull(tmp_path / "w", calm.dicomweb).counts["PACS: slices fetched"] == missed


def test_a_watch_goes_on_beside_what_stays_damaged(proxy: FaultyProxy, pacs: Orthanc, tmp_path: Path) -> None:
    """A round asks the log of changes; the whole PACS is not searched each time for the one that fails."""
    proxy.fail(f"/series/{series_of(pacs, 'CT', 'SMALL-1')}/instances/[0-9.]+$", status(500))
    arrivals = iter([lambda: None, lambda: write_study(tmp_path / "new", "SMALL-9", "20210301")])

    def wait(_seconds: float) -> None:
        next(arrivals)()
        if (tmp_path / "new").exists():
            pacs.upload_folder(tmp_path / "new")

    looks = follow(
        Workspace(tmp_path / "w"), [proxy.dicomweb], options=OPTIONS, every_s=1, rounds=3, sleep=wait
    )
    first, second, third = looks
    assert first.mined.counts["PACS: studies not read whole"] == 1
    assert second.mined.counts["PACS: requests"] == 1
    assert third.mined.counts["PACS: studies fetched"] == 1
    assert kept_of(tmp_path / "w") == {"SMALL-5": 8, "SMALL-9": 4}
    proxy.faults.clear()
    pull(tmp_path / "w", proxy.dicomweb)  # a run by hand asks at once
    assert kept_of(tmp_path / "w") == {"SMALL-1": 4, "SMALL-5": 8, "SMALL-9": 4}


@pytest.mark.parametrize("protocol", ["dicomweb", "dimse"])
def test_a_file_that_is_gone_from_the_store(
    pacs: Orthanc, whole: Path, tmp_path: Path, protocol: str
) -> None:
    """The index of the PACS still lists the slice; whoever asks for it gets an error, by either protocol."""
    address = getattr(pacs, protocol)
    lost = store_file(pacs, "CT", "SMALL-1")
    away = tmp_path / "away"
    pacs.stop()  # it holds what it was last given in memory
    lost.rename(away)
    pacs.start()
    first = pull(tmp_path / "w", address)
    assert "1 of 3 studies could not be read whole" in first.details[INCOMPLETE][0]
    assert first.counts["PACS: headers that could not be had"] == 1
    assert kept_of(tmp_path / "w") == {"SMALL-1": 3, "SMALL-5": 8}
    away.rename(lost)
    second = pull(tmp_path / "w", address)
    assert INCOMPLETE not in second.details
    same_rows(tmp_path / "w", whole)
    assert pull(tmp_path / "w", address).already_done


def test_the_command_tells_what_could_not_be_had(
    calm: FaultyProxy, still: Orthanc, tmp_path: Path, cli
) -> None:
    calm.fail(f"/series/{series_of(still, 'SR', 'SMALL-1')}/instances/[0-9.]+$", cut_connection)
    ran = cli("mine", calm.dicomweb, "-w", tmp_path / "w", "--keep-identifiers", "--retries", "0")
    assert ran.code == 1
    assert "1 of 3 studies could not be read whole" in " ".join((ran.out + ran.err).split())
    calm.faults.clear()
    ran = cli("mine", calm.dicomweb, "-w", tmp_path / "w", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["counts"]["PACS: objects fetched"] == 1


def start_mining(address: str, workspace: Path, *options: str) -> subprocess.Popen[str]:
    """Mine a PACS in a process of its own."""
    return start("mine", address, "-w", workspace, "--keep-identifiers", "--step", 60, *options)


@pytest.mark.slow
def test_two_machines_mine_one_pacs_into_one_catalogue(
    pacs: Orthanc, whole: Path, tmp_path: Path, store_url: str
) -> None:
    """At the same time, each with a workspace of its own: nothing is lost, and nothing is there twice."""
    workspaces = [tmp_path / "one", tmp_path / "other"]
    miners = [start_mining(pacs.dicomweb, workspace, "--store", store_url) for workspace in workspaces]
    for miner in miners:
        _, said = miner.communicate(timeout=180)
        assert miner.returncode == 0, said
    pull(tmp_path / "one", pacs.dicomweb)  # takes up what the other one added after it
    lesions, expected = (read_catalogue(Workspace(one)).lesions for one in (tmp_path / "one", whole))
    assert sorted(lesions.lesion_id) == sorted(expected.lesion_id)
    assert (lesions.status == KEPT).sum() == 4 * (1 + len(STUDIES))


@pytest.mark.slow
def test_two_miners_in_one_workspace(pacs: Orthanc, whole: Path, tmp_path: Path) -> None:
    """The second says that the first is at work, and changes nothing; asked again, it finds all done."""
    miners = [start_mining(pacs.dicomweb, tmp_path / "w") for _ in range(2)]
    said = [miner.communicate(timeout=180)[1] for miner in miners]
    codes = sorted(miner.returncode for miner in miners)
    assert codes in ([0, 0], [0, 1]), said
    if codes == [0, 1]:
        assert any("is writing to this workspace" in text for text in said), said
    last = start_mining(pacs.dicomweb, tmp_path / "w")
    assert last.communicate(timeout=180) is not None
    assert last.returncode == 0
    same_rows(tmp_path / "w", whole)
