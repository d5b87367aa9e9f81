"""A workspace and its database: snapshot, decisions, take-over, several workspaces on one catalogue."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from postgres import PASSWORD
from process import start
from small_hospital import PATIENTS, STUDIES, write_hospital, write_study
from tables import catalogue, key_of

from lesiongraph.errors import DecisionError, StageMissingError, StoreError, StoreMismatchError
from lesiongraph.lesion import ContradictoryDecisionsError
from lesiongraph.mining import IMAGE_NOT_FOUND, MiningResult, assign_subsets, merge_results
from lesiongraph.pipeline.catalogue import read_catalogue, read_decisions
from lesiongraph.pipeline.decide import decide, decisions_table
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.stored_catalogue import export, stored_catalogue
from lesiongraph.workspace import Workspace


def add(workspace: Workspace, patients: range, store: str | None = None, **about):
    with workspace.lock(), stored_catalogue(workspace, store) as stored:
        return stored.add(catalogue(patients, **about), ["/archive"])


def ids(workspace: Workspace) -> list[str]:
    return read_catalogue(workspace).lesions.lesion_id.tolist()


def same_as(workspace: Workspace, wanted: MiningResult) -> None:
    """Check the snapshot, and that the slices of each series are found by its UID."""
    found = read_catalogue(workspace)
    for name in ("lesions", "series", "landmarks"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(wanted, name))
    pd.testing.assert_frame_equal(found.slices.whole(), wanted.slices)
    for uid, rows in wanted.slices.groupby("series_instance_uid"):
        pd.testing.assert_frame_equal(found.slices.of(uid), rows.reset_index(drop=True))


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "w")


def test_a_snapshot_holds_what_all_runs_found(workspace, store_url):
    add(workspace, range(3), store_url)
    key = workspace.key("catalogue")
    assert add(workspace, range(3)).already_done
    assert workspace.key("catalogue") == key
    add(workspace, range(2, 5))
    wanted = merge_results([catalogue(range(5))])
    wanted.lesions = assign_subsets(wanted.lesions)
    same_as(workspace, wanted)


def test_a_run_in_parts_ends_in_the_same_snapshot(workspace, tmp_path, store_url):
    add(workspace, range(3, 5), store_url)
    key = workspace.key("catalogue")
    with workspace.lock(), stored_catalogue(workspace) as stored:
        written = stored.add_part(catalogue(range(3)), ["/archive"])
        assert written == {"lesions": 6, "series": 3, "slices": 12, "landmarks": 3}
        assert workspace.key("catalogue") == key, "the snapshot waits for the last part"
        stored.add_part(catalogue(range(5, 9), slices=6), ["/archive"])
    whole = merge_results([catalogue(range(5)), catalogue(range(5, 9), slices=6)])
    assert add(workspace, range(2)).lesions.lesion_id.tolist() == whole.lesions.lesion_id.tolist()
    whole.lesions = assign_subsets(whole.lesions)
    same_as(workspace, whole)
    assert workspace.key("catalogue") == key_of(whole)


def test_text_that_no_database_holds(workspace, store_url):
    """Marks and series are looked for under the names that they are kept under."""
    found = catalogue(range(2))
    found.lesions.loc[0, ["lesion_id", "reason", "sop_instance_uid"]] = ["L\x00", IMAGE_NOT_FOUND, "9\udc80"]
    found.series.loc[0, ["series_instance_uid", "study_instance_uid"]] = ["1\x00", "2\udc80"]
    with workspace.lock(), stored_catalogue(workspace, store_url) as stored:
        stored.add(found, ["/archive"])
        around = stored.around(found)
        assert sorted(around.lesions.lesion_id) == sorted(ids(workspace))
        assert len(around.series) == 2
        assert not stored.came_apart(found)
        assert stored.add(found, ["/archive"]).already_done


def test_a_report_and_an_image_that_came_apart(workspace, store_url):
    whole = catalogue(range(2))
    waiting = whole.lesions.assign(reason=IMAGE_NOT_FOUND, status="rejected", slice_index=-1)
    reports = MiningResult(lesions=waiting)
    unnamed = MiningResult(lesions=waiting.assign(sop_instance_uid=""))
    images = MiningResult(series=whole.series, slices=whole.slices)
    elsewhere = catalogue(range(5, 6))
    with workspace.lock(), stored_catalogue(workspace, store_url) as stored:
        assert not stored.came_apart(images)
        stored.add(images, ["/images"])
        assert stored.came_apart(reports)
        assert stored.came_apart(unnamed)
        assert not stored.came_apart(MiningResult(lesions=waiting.assign(sop_instance_uid="9.9")))
        assert not stored.came_apart(elsewhere)
        stored.add(reports, ["/reports"])
        assert stored.came_apart(images)
        assert not stored.came_apart(elsewhere)


def test_slices_of_a_database_put_back_from_a_backup(workspace, tmp_path, monkeypatch):
    """The snapshot is of a state that the database has never been in: nothing of it may be taken over."""
    add(workspace, range(2))
    file = workspace.path / "catalogue.sqlite"
    shutil.copy(file, tmp_path / "backup")
    add(workspace, range(4), slices=7)
    note = json.loads((workspace.path / "store.json").read_text())
    shutil.copy(tmp_path / "backup", file)
    other = Workspace(tmp_path / "other")  # a run of the same number, another day's
    monkeypatch.setattr("lesiongraph.store.catalogue.utc_now", lambda: "2031-01-01T00:00:00Z")
    with other.lock(), stored_catalogue(other, f"sqlite:///{file}") as stored:
        stored.add(catalogue(range(3), slices=5), ["/archive"])
    assert note["run"]["id"] == json.loads((other.path / "store.json").read_text())["run"]["id"]
    add(workspace, range(1))
    wanted = merge_results([catalogue(range(3), slices=5)])
    wanted.lesions = assign_subsets(wanted.lesions)
    same_as(workspace, wanted)


def test_decisions_survive_later_runs(workspace, store_url):
    add(workspace, range(4), store_url)
    rejected, typed = ids(workspace)[:2]
    decide(workspace, "reject", [rejected], decided_by="Ann", note="a vessel")
    decide(workspace, "type", [typed], value="kidney", decided_by="Bob")
    add(workspace, range(6))
    rows = read_catalogue(workspace).lesions.set_index("lesion_id")
    assert (rows.status[rejected], rows.reason[rejected]) == ("rejected", "rejected by hand: a vessel")
    assert rows.type[typed] == "kidney"
    table = decisions_table(workspace)
    assert table[["kind", "decided_by", "note"]].values.tolist() == [
        ["reject", "Ann", "a vessel"],
        ["type", "Bob", ""],
    ]
    assert table.decided_at.str.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
    decide(workspace, "undo", value="1", decided_by="Ann")
    decide(workspace, "undo", value="2", decided_by="Ann")
    wanted = merge_results([catalogue(range(6))])
    wanted.lesions = assign_subsets(wanted.lesions)
    assert workspace.key("catalogue") == key_of(wanted)
    same_as(workspace, wanted)
    assert len(read_decisions(workspace)) == 4


def test_a_decision_on_a_match_leaves_the_catalogue_as_it_is(workspace):
    add(workspace, range(2))
    key, (a, b, c, _) = workspace.key("catalogue"), ids(workspace)
    decide(workspace, "confirm-match", [b, a], decided_by="Ann")
    assert workspace.key("catalogue") == key
    assert [d.pair for d in read_decisions(workspace)] == [(a, b)]
    with pytest.raises(DecisionError, match="one patient"):
        decide(workspace, "confirm-match", [a, c], decided_by="Ann")
    decide(workspace, "break-match", [a, c], decided_by="Ann")  # superfluous, not wrong


def test_decisions_that_are_refused_leave_no_trace(workspace):
    with pytest.raises(StageMissingError, match="mine"):
        decide(workspace, "reject", ["L-1"], decided_by="Ann")
    assert not workspace.path.exists()
    add(workspace, range(2), marks=3)
    a, b, c, *_ = ids(workspace)
    decide(workspace, "confirm-match", [a, b], decided_by="Ann")
    decide(workspace, "confirm-match", [b, c], decided_by="Ann")
    for kind, lesions, value, by, said in (
        ("reject", ["L-none"], "", "Ann", "L-none"),
        ("type", [a], "spleen", "Ann", "soft tissue"),
        ("confirm-match", [a, a], "", "Ann", "twice"),
        ("undo", [], "99", "Ann", "no such number"),
        ("reject", [a], "", "  ", "name"),
    ):
        with pytest.raises(DecisionError, match=said):
            decide(workspace, kind, lesions, value=value, decided_by=by)
    with pytest.raises(ContradictoryDecisionsError, match=r"decision 1 .* and decision 2 "):
        decide(workspace, "break-match", [a, c], decided_by="Bob")
    assert len(decisions_table(workspace, everything=True)) == 2


def old_workspace(path, patients: range) -> Workspace:
    """A workspace as the last version without a database left it."""
    workspace = Workspace(path)
    tables = catalogue(patients)
    tables.lesions = assign_subsets(tables.lesions)
    with workspace.lock(), workspace.write("catalogue", key_of(tables)) as folder:
        for name in ("lesions", "series", "slices", "landmarks"):
            folder.write_table(name, getattr(tables, name))
        folder.write_json("sources", ["/archive"])
    return workspace


def test_a_workspace_of_an_earlier_version_is_taken_over(tmp_path, store_url):
    workspace = old_workspace(tmp_path / "w", range(3))
    key = workspace.key("catalogue")
    decide(workspace, "type", [ids(workspace)[0]], value="bone", decided_by="Ann", store=store_url)
    assert workspace.key("catalogue") != key
    decide(workspace, "undo", value="1", decided_by="Ann")
    assert workspace.key("catalogue") == key, "what was made of it before is made of it still"
    assert add(workspace, range(3)).already_done
    assert add(workspace, range(5)).rows_written == {
        "lesions": 4,
        "series": 2,
        "slices": 8,
        "landmarks": 2,
    }
    assert len(ids(workspace)) == 10


def test_a_take_over_that_fails_leaves_the_workspace_as_it_was(tmp_path):
    workspace = old_workspace(tmp_path / "w", range(1))
    before = sorted(path.name for path in workspace.path.iterdir())
    with pytest.raises(DecisionError):
        decide(workspace, "reject", ["L-none"], decided_by="Ann")
    assert sorted(path.name for path in workspace.path.iterdir()) == before


def test_a_database_that_is_gone_is_not_made_up_again(workspace, tmp_path):
    add(workspace, range(2))
    decide(workspace, "reject", [ids(workspace)[0]], decided_by="Ann")
    file = workspace.path / "catalogue.sqlite"
    kept = file.rename(tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(StoreError, match="no such file"):
            add(workspace, range(2))
    other = Workspace(tmp_path / "other")
    add(other, range(2))
    shutil.copy(other.path / "catalogue.sqlite", file)
    with pytest.raises(StoreError, match="another database"):
        add(workspace, range(2))
    shutil.copy(kept, file)
    assert add(workspace, range(2)).already_done


def test_a_workspace_can_be_moved_with_its_database(workspace, tmp_path):
    add(workspace, range(2))
    moved = Workspace(workspace.path.rename(tmp_path / "moved"))
    assert add(moved, range(2)).already_done


def test_two_workspaces_share_a_catalogue(tmp_path, store_url):
    one, other = Workspace(tmp_path / "one"), Workspace(tmp_path / "other")
    add(one, range(3), store_url)
    add(other, range(2, 5), store_url)
    assert len(ids(other)) == 10
    assert len(ids(one)) == 6
    decide(other, "reject", [ids(other)[0]], decided_by="Ann")
    found = export(one, tmp_path / "out")
    assert found == {"lesions": 10, "series": 5, "slices": 20, "landmarks": 5,
                     "decisions": 1, "provenance": 15}  # fmt: skip
    assert one.key("catalogue") == other.key("catalogue")
    rows = pd.read_parquet(tmp_path / "out" / "lesions.parquet")
    assert (rows.status == "rejected").sum() == 1
    assert pd.read_parquet(tmp_path / "out" / "decisions.parquet").decided_by.tolist() == ["Ann"]
    assert pd.read_parquet(tmp_path / "out" / "provenance.parquet").first_seen.str.len().eq(20).all()


def test_the_address_is_remembered_without_its_password(tmp_path, postgres_server, monkeypatch):
    from postgres import create_database

    workspace = Workspace(tmp_path / "w")
    url = create_database(postgres_server, "remembered")
    add(workspace, range(1), url)
    for path in workspace.path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(StoreError, match="password"):
        add(workspace, range(1))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert add(workspace, range(1)).already_done
    with pytest.raises(StoreMismatchError, match="remembered"):
        add(workspace, range(1), f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    assert not (tmp_path / "elsewhere.sqlite").exists()


def test_a_workspace_does_not_change_its_database_unasked(workspace, tmp_path):
    add(workspace, range(1))
    with pytest.raises(StoreMismatchError):
        add(workspace, range(1), f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    assert add(workspace, range(1), f"sqlite:///{workspace.path}/catalogue.sqlite").already_done


@pytest.mark.slow
def test_two_miners_of_two_machines_on_one_catalogue(tmp_path, store_url):
    hospital = write_hospital(tmp_path / "hospital", PATIENTS[:3])
    sources = {"one": [PATIENTS[0], PATIENTS[1]], "other": [PATIENTS[1], PATIENTS[2]]}
    miners = [
        start(
            "mine",
            *(hospital / patient for patient in patients),
            "-w",
            tmp_path / name,
            "--store",
            store_url,
        )
        for name, patients in sources.items()
    ]
    for miner in miners:
        _, said = miner.communicate(timeout=180)
        assert miner.returncode == 0, said
    alone = Workspace(tmp_path / "alone")
    mine(alone, [hospital])
    export(Workspace(tmp_path / "one"), tmp_path / "out")
    assert Workspace(tmp_path / "one").key("catalogue") == alone.key("catalogue")
    assert len(pd.read_parquet(tmp_path / "out" / "lesions.parquet")) == 12


def test_decisions_through_mine_and_the_command_line(cli, tmp_path):
    folder, w = tmp_path / "dicom", tmp_path / "w"
    write_study(folder, PATIENTS[0], STUDIES[0])
    image = folder / "ct-2"
    content = image.read_bytes()
    image.unlink()
    assert cli("mine", folder, "-w", w).code == 0
    rows = read_catalogue(Workspace(w)).lesions
    lost = rows.lesion_id[rows.status == "rejected"].item()
    ran = cli("decide", "accept", lost, "-w", w, "--by", "Ann")
    assert (ran.code, "cannot be accepted: image not found" in ran.err) == (2, True)
    kept = rows.lesion_id[rows.status == "kept"].tolist()
    ran = cli("decide", "reject", kept[0], "-w", w, "--by", "Ann", "--note", "a vessel", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["id"] == 1
    image.write_bytes(content)
    report = json.loads(cli("mine", folder, "-w", w, "--json").out)
    assert report["counts"]["marks kept"] == 3, "one of the four was rejected by hand"
    assert report["rejected"]["rejected by hand: a vessel"] == 1
    rows = read_catalogue(Workspace(w)).lesions.set_index("lesion_id")
    assert rows.status[lost] == "kept"
    assert rows.reason[kept[0]] == "rejected by hand: a vessel"
    assert cli("decide", "undo", 1, "-w", w).code == 0
    listed = cli("decide", "list", "-w", w, "--all", "--json")
    assert [d["kind"] for d in json.loads(listed.out)] == ["reject", "undo"]
    ran = cli("catalogue", "-w", w, "--export", tmp_path / "out")
    assert ran.out.splitlines()[0] == f"{tmp_path / 'out' / 'lesions.parquet'}: 4 rows"
