"""Several machines on one catalogue push to one real Orthanc: at once, and after one of them was killed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from growing_hospital import groups_of, predecessor_of
from pydicom import Dataset

from lesiongraph.mining.pacs.address import PacsAddress
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.write_back import DicomwebDestination
from lesiongraph.mining.write_back.identity import series_uid
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.move_store import move_store
from lesiongraph.pipeline.push import push
from lesiongraph.workspace import Workspace
from orthanc import Orthanc

STORED, FOLLOWED, THERE, LEFT = (
    "reports stored",
    "reports stored that follow an earlier one",
    "reports already there",
    "studies left to another that is sending their report",
)
KILLED = 9


@pytest.fixture
def machines(workspace: Workspace, store_url: str, tmp_path: Path) -> tuple[Workspace, Workspace]:
    """Two workspaces on one catalogue."""
    move_store(workspace, store_url)
    return workspace, Workspace(Path(shutil.copytree(workspace.path, tmp_path / "other")))


class Together(DicomwebDestination):
    """Asks for its first header when both have seen an empty PACS and an empty ledger, and sends slowly."""

    barrier = None

    def header(self, study: str, series: str, instance: str) -> Dataset | None:
        if self.barrier is not None:
            self.barrier.wait(60)
            self.barrier = None
        return super().header(study, series, instance)

    def store(self, report: Dataset) -> None:
        time.sleep(0.2)
        super().store(report)


def _push_together(path: Path, address: str, barrier, said) -> None:
    with DicomwebConnection(PacsAddress.parse(address)) as connection:
        destination = Together(connection)
        destination.barrier = barrier
        said.put(dict(push(Workspace(path), destination).counts))


def both_push(machines: tuple[Workspace, Workspace], server: Orthanc) -> list[dict[str, int]]:
    """Have two processes push at once; return what each counted."""
    apart = multiprocessing.get_context("spawn")
    barrier, said = apart.Barrier(2), apart.Queue()
    pushers = [
        apart.Process(target=_push_together, args=(one.path, server.dicomweb, barrier, said))
        for one in machines
    ]
    for pusher in pushers:
        pusher.start()
    counted = [said.get(timeout=120) for _ in pushers]
    for pusher in pushers:
        pusher.join(60)
    assert [pusher.exitcode for pusher in pushers] == [0, 0]
    return counted


def push_alone(workspace: Workspace, server: Orthanc, **options: float) -> dict[str, int]:
    with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
        return dict(push(workspace, DicomwebDestination(connection), **options).counts)


def predecessors(server: Orthanc, workspace: Workspace) -> dict[str, list[tuple[str, str]]]:
    """Return study → (report, the one it follows or ""), the first one first."""
    found = {}
    with DicomwebConnection(PacsAddress.parse(server.dicomweb)) as connection:
        for study in groups_of(workspace).study.unique():
            documents = connection.series_metadata(study, series_uid(study))
            found[study] = [
                (str(d.SOPInstanceUID), predecessor_of(d))
                for d in sorted(documents, key=lambda d: d.InstanceNumber)
            ]
    return found


def test_two_at_once_send_each_report_once(pacs: Orthanc, machines: tuple[Workspace, Workspace]) -> None:
    counted = both_push(machines, pacs)
    assert sum(counts[STORED] for counts in counted) == 3
    assert all(counts["failures"] == counts[FOLLOWED] == 0 for counts in counted)
    assert all(sum(counts.get(name, 0) for name in (STORED, THERE, LEFT)) == 3 for counts in counted)
    assert [len(chain) for chain in predecessors(pacs, machines[0]).values()] == [1, 1, 1]
    for workspace in machines:
        assert push_alone(workspace, pacs)[THERE] == 3


def test_two_at_once_that_disagree_make_one_chain_a_study(
    pacs: Orthanc, machines: tuple[Workspace, Workspace]
) -> None:
    match(machines[1], t1=0.0, t2=0.0)  # this one says that nothing belongs together
    counted = both_push(machines, pacs)
    assert sum(counts[STORED] for counts in counted) == 3, "one of both begins"
    for chain in predecessors(pacs, machines[0]).values():
        uids = [uid for uid, _ in chain]
        assert [follows for _, follows in chain] == ["", *uids[:-1]], "each follows the one before it"


class Dies(DicomwebDestination):
    """Is killed as it sends its first report: before it went off, or after it arrived."""

    arrives = False

    def store(self, report: Dataset) -> None:
        if self.arrives:
            super().store(report)
        sys.stdout.flush()
        os._exit(KILLED)


def _push_and_die(path: Path, address: str, arrives: bool, lease_s: float) -> None:
    with DicomwebConnection(PacsAddress.parse(address)) as connection:
        destination = Dies(connection)
        destination.arrives = arrives
        push(Workspace(path), destination, lease_s=lease_s)


def kill_one(workspace: Workspace, server: Orthanc, *, arrives: bool, lease_s: float) -> None:
    killed = multiprocessing.get_context("spawn").Process(
        target=_push_and_die, args=(workspace.path, server.dicomweb, arrives, lease_s)
    )
    killed.start()
    killed.join(120)
    assert killed.exitcode == KILLED


@pytest.mark.parametrize("arrives", [False, True], ids=["before it went off", "after it arrived"])
def test_the_claim_of_a_killed_one_is_settled_by_asking_the_pacs(
    pacs: Orthanc, machines: tuple[Workspace, Workspace], arrives: bool
) -> None:
    killed, other = machines
    kill_one(killed, pacs, arrives=arrives, lease_s=600.0)
    counts = push_alone(other, pacs)
    assert (counts[STORED], counts[LEFT], counts["failures"]) == (2, 1, 0)
    assert "claimed by" in " ".join(other.read_run_reports()["push"]["notes"])
    counts = push_alone(killed, pacs)  # the workspace itself knows that nobody else is its sender
    assert (counts[STORED], counts[THERE], counts["failures"]) == ((0, 3, 0) if arrives else (1, 2, 0))
    assert [len(chain) for chain in predecessors(pacs, other).values()] == [1, 1, 1]
    assert push_alone(other, pacs)[THERE] == 3


@pytest.mark.parametrize("arrives", [False, True], ids=["before it went off", "after it arrived"])
def test_another_machine_takes_over_when_the_claim_has_run_out(
    pacs: Orthanc, machines: tuple[Workspace, Workspace], arrives: bool
) -> None:
    killed, other = machines
    kill_one(killed, pacs, arrives=arrives, lease_s=0.1)
    time.sleep(0.2)
    counts = push_alone(other, pacs)
    assert (counts[STORED], counts[THERE], counts["failures"]) == ((2, 1, 0) if arrives else (3, 0, 0))
    assert [len(chain) for chain in predecessors(pacs, other).values()] == [1, 1, 1]
    assert push_alone(killed, pacs)[THERE] == 3
