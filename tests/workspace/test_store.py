"""A stage's result is there whole, or not at all."""

import errno
import json
import multiprocessing

import numpy as np
import pandas as pd
import pytest

from lesiongraph.errors import (
    DiskFullError,
    NotAWorkspaceError,
    StageMissingError,
    WorkspaceBusyError,
    WorkspaceVersionError,
)
from lesiongraph.lesion import LOCATIONS
from lesiongraph.workspace import Workspace, fingerprint


def write(workspace: Workspace, value: float, key: str = "k") -> None:
    with workspace.lock(), workspace.write("stage", key) as folder:
        folder.write_array("numbers", np.full(3, value))


def test_a_written_stage_is_read_back_by_another_process_object(tmp_path):
    write(Workspace(tmp_path), 7.0)
    again = Workspace(tmp_path)
    assert again.is_current("stage", "k")
    assert again.open("stage", "x").read_array("numbers").tolist() == [7.0, 7.0, 7.0]


def test_a_failure_in_the_middle_keeps_the_former_result(tmp_path):
    workspace = Workspace(tmp_path)
    write(workspace, 1.0)

    def fail() -> None:
        with workspace.lock(), workspace.write("stage", "other") as folder:
            folder.write_array("numbers", np.zeros(3))
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert Workspace(tmp_path).open("stage", "x").read_array("numbers")[0] == 1.0
    assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_is_named_and_leaves_the_workspace_as_it_was(tmp_path):
    workspace = Workspace(tmp_path)
    write(workspace, 1.0)

    def fill() -> None:
        with workspace.lock(), workspace.write("stage", "other"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match="as it was before"):
        fill()
    assert Workspace(tmp_path).key("stage") == "k"


def test_what_a_killed_run_left_is_swept(tmp_path):
    workspace = Workspace(tmp_path)
    write(workspace, 1.0)
    (tmp_path / "stage.part").mkdir()
    (tmp_path / "stage-dead-0123ab").mkdir()
    (tmp_path / "holiday-pictures").mkdir()
    (tmp_path / "report").mkdir()
    with workspace.lock():
        pass
    folders = sorted(p.name.split("-")[0] for p in tmp_path.iterdir() if p.is_dir())
    assert folders == ["holiday", "report", "stage"]


def _hold(path, ready, done):
    with Workspace(path).lock():
        ready.set()
        done.wait(20)


def test_two_writers_are_told_apart(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(20)
    with pytest.raises(WorkspaceBusyError, match=str(holder.pid)), Workspace(tmp_path).lock():
        pass
    done.set()
    holder.join(20)
    with Workspace(tmp_path).lock():
        pass


@pytest.mark.parametrize("content", ['{"layout": 99, "stages": {}}', "not json", "[]"])
def test_another_layout_is_refused(tmp_path, content):
    (tmp_path / "workspace.json").write_text(content)
    with pytest.raises(WorkspaceVersionError, match="expects 1"):
        Workspace(tmp_path)


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(NotAWorkspaceError):
        Workspace(tmp_path)


def test_a_missing_stage_names_the_verb_to_run(tmp_path):
    with pytest.raises(StageMissingError, match="lesiongraph mine"):
        Workspace(tmp_path).open("catalogue", "mine")


def test_tables_come_back_with_plain_strings_and_schema_order(tmp_path):
    frame = pd.DataFrame({"lesion_id": ["a", None], "x": [0.5, None]})
    workspace = Workspace(tmp_path)
    with workspace.lock(), workspace.write("locations", "k") as folder:
        folder.write_table("locations", frame, LOCATIONS)
    back = workspace.open("locations", "locate").read_table("locations")
    assert list(back.columns) == list(LOCATIONS)
    assert back.lesion_id.tolist() == ["a", ""]
    assert np.isnan(back.x[1])


def test_fingerprint_depends_on_values_not_on_dict_order():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint(json.loads('{"b": 2, "a": 1}'))
    assert fingerprint(1) != fingerprint(2)
