"""The key file: apart from the workspace, for its owner only, never changed, whole after a kill."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from lesiongraph.errors import UnknownOriginalError
from lesiongraph.mining import Deidentifier, KeyFile, Originals, find_key, mark_workspace
from lesiongraph.mining.deidentify.key_file import KeyFileError, WrongKeyError, open_or_create


def test_only_its_owner_can_read_it(tmp_path):
    with KeyFile.create(tmp_path / "new" / "a.key") as key:
        key.remember([("1", "2")])
        files = [key.path, *key.path.parent.glob("a.key-*")]
        assert len(files) > 1
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "new" / "a.key").chmod(0o640)
    with pytest.raises(KeyFileError, match=r"mode 0640, open to others.*chmod 600"):
        KeyFile(tmp_path / "new" / "a.key")


def test_originals_are_found_and_unknown_ones_are_an_error(tmp_path):
    with KeyFile.create(tmp_path / "a.key") as key:
        from dicom_files import ct_slice

        admitted = Deidentifier(key).admit(ct_slice(0))
        pseudonym = admitted.PatientID
    with KeyFile(tmp_path / "a.key") as key:
        originals = Originals(key)
        assert originals.patient_id(pseudonym) == "P1"
        assert originals.uid(admitted.SOPInstanceUID) == ct_slice(0).SOPInstanceUID
        assert originals.date(pseudonym, admitted.StudyDate) == "20200131"
        iso = f"{admitted.StudyDate[:4]}-{admitted.StudyDate[4:6]}-{admitted.StudyDate[6:]}"
        assert originals.date(pseudonym, iso) == "20200131"
        with pytest.raises(UnknownOriginalError, match=r"2\.25\.1: expected its original"):
            originals.uid("2.25.1")


def test_rows_are_only_added(tmp_path):
    with KeyFile.create(tmp_path / "a.key") as key:
        key.remember([("1", "original")], [("P-1", "patient")])
        key.remember([("1", "another")])
        assert key.original("uids", "1") == "original"
    connection = sqlite3.connect(tmp_path / "a.key")
    for statement in (
        "UPDATE uids SET original = 'x'",
        "DELETE FROM patients",
        "UPDATE secret SET value = x'00'",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look like one" * 50])
def test_another_file_is_no_key(tmp_path, content):
    path = tmp_path / "a.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="Give the right file with --key"):
        KeyFile(path)
    connection = sqlite3.connect(tmp_path / "b.key")
    connection.execute("CREATE TABLE secret (value)")
    connection.close()
    (tmp_path / "b.key").chmod(0o600)
    with pytest.raises(KeyFileError, match="another kind of file"):
        KeyFile(tmp_path / "b.key")


@pytest.mark.parametrize("place", ["key", "deep/er/key", "../workspace/key"])
def test_a_key_inside_the_workspace_is_refused(tmp_path, place):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "link").symlink_to(workspace)
    for path in (workspace / place, tmp_path / "link" / "key"):
        with pytest.raises(KeyFileError, match="inside the workspace"):
            find_key(workspace, path)
        assert not path.exists()


def test_a_wrong_key_is_told_and_a_lost_one_is_not_made_anew(tmp_path):
    workspace = tmp_path / "workspace"
    with find_key(workspace, tmp_path / "right.key") as key:
        mark_workspace(workspace, key)
        right = key.key_id
    with KeyFile.create(tmp_path / "wrong.key") as wrong, pytest.raises(WrongKeyError) as error:
        find_key(workspace, wrong.path)
    assert (error.value.expected, error.value.found) == (right, wrong.key_id)
    assert right.encode() in (workspace / "mirror" / "deidentification.json").read_bytes()
    with pytest.raises(KeyFileError, match=f"found no file. Give the key {right}"):
        find_key(workspace, tmp_path / "lost.key")
    assert not (tmp_path / "lost.key").exists()


def test_the_default_place_is_found_again_after_the_workspace_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    workspace = tmp_path / "workspace"
    with find_key(workspace) as key:
        mark_workspace(workspace, key)
        made = key
    assert made.path.parent == tmp_path / "config" / "lesiongraph" / "keys"
    (tmp_path / "elsewhere").mkdir()
    moved = workspace.rename(tmp_path / "elsewhere" / "workspace")
    with find_key(moved) as found:
        assert found.path == made.path
    with find_key(tmp_path / "workspace") as other:
        assert other.key_id == made.key_id  # the old place is not marked: a new workspace, the file is there


def _open(path: str) -> str:
    with open_or_create(Path(path)) as key:
        key.remember([(f"{os.getpid()}", "x")])
        return key.key_id


def test_two_processes_that_make_a_key_at_once_share_one(tmp_path):
    with get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(_open, [str(tmp_path / "a.key")] * 6))) == 1
    assert [path.name for path in tmp_path.glob(".a.key.*")] == []


_WRITER = """
import sys
from pathlib import Path
from lesiongraph.mining import Deidentifier, KeyFile
with KeyFile(Path(sys.argv[1])) as key:
    door = Deidentifier(key)
    for number in range(10**6):
        print(door.uid(f"1.2.{number}"), flush=True)
"""


def test_what_was_given_out_before_a_kill_is_in_the_file(tmp_path):
    KeyFile.create(tmp_path / "a.key").close()
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "a.key")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        given = [process.stdout.readline().strip() for _ in range(200)]
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        given += process.stdout.read().splitlines()[:-1]  # the last line may be cut
    assert len(given) >= 200
    with KeyFile(tmp_path / "a.key") as key:
        originals = Originals(key)
        assert [originals.uid(uid) for uid in given] == [f"1.2.{n}" for n in range(len(given))]
