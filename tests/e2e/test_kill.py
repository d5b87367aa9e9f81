"""Killed with SIGKILL in any stage and run again, a stage ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from process import start
from small_hospital import tree
from stages import TRAINING
from test_bad_input import NEEDS, stages_run, workspace_before

pytestmark = pytest.mark.slow

PHANTOM = ("phantom", "--patients", "3", "--seed", "5", "--rows", "64", "--workers", "2")
MOMENTS = (0.35, 0.65, 0.9)  # of the time an uninterrupted run takes
LONGEST_S = 120


def finish(*arguments: object) -> tuple[dict, float]:
    """Run to the end; return the run report and the seconds it took."""
    began = time.monotonic()
    process = start(*arguments, "--json")
    out, err = process.communicate(timeout=LONGEST_S)
    assert process.returncode == 0, err
    return json.loads(out), time.monotonic() - began


def kill_after(seconds: float, *arguments: object) -> bool:
    """Kill a run after some seconds; return whether it was still under way."""
    process = start(*arguments)
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=LONGEST_S)
    return process.returncode == -signal.SIGKILL


def kill_at_part(folder: Path, *arguments: object) -> bool:
    """Kill a run as soon as it has begun to write a result; return whether that was met."""
    process = start(*arguments)
    deadline = time.monotonic() + LONGEST_S
    met = False
    while process.poll() is None and time.monotonic() < deadline and not met:
        met = any(folder.rglob("*.part"))
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=LONGEST_S)
    return met


def results(workspace: Path) -> dict[str, object]:
    """Return every table and array of a workspace by name, whatever its folder is called."""
    found: dict[str, object] = {}
    for path in sorted(workspace.rglob("*")):
        name = f"{path.parent.name.split('-')[0]}/{path.name}"
        if path.suffix == ".parquet":
            found[name] = pd.read_parquet(path).to_csv(index=False)
        elif path.suffix == ".npy":
            found[name] = np.load(path).tobytes()
        elif path.suffix in (".safetensors", ".graphml") or path.name == "patches":
            found[name] = path.read_bytes()
    return found


def leftovers(workspace: Path) -> list[str]:
    """Return what belongs to no result: neither named by the pointer nor kept beside the stages."""
    stages = json.loads((workspace / "workspace.json").read_text())["stages"]
    known = {entry["folder"] for entry in stages.values()}
    known |= {"workspace.json", ".lock", "runs", "scratch", "report", "table1"}
    known |= {"catalogue.sqlite", "store.json"}
    return [path.name for path in workspace.iterdir() if path.name not in known]


@pytest.mark.parametrize("verb", list(NEEDS))
def test_a_stage_killed_at_any_moment(small_hospital, worked_workspace, tmp_path, verb):
    command = stages_run(small_hospital)[verb]
    clean = workspace_before(verb, worked_workspace, tmp_path / "clean")
    report, seconds = finish(*command, "-w", clean)
    wanted = results(clean)
    assert report["already_done"] is False

    killed = workspace_before(verb, worked_workspace, tmp_path / "killed")
    before = results(killed)
    moments = [lambda s=s: kill_after(s * seconds, *command, "-w", killed) for s in MOMENTS]
    hits = 0
    for kill in (*moments, lambda: kill_at_part(killed, *command, "-w", killed)):
        hits += kill()
        now = results_of_pointer(killed)
        assert {name: now[name] for name in before} == before, "a kill takes nothing away"
    assert hits, "no kill met the stage under way"
    finish(*command, "-w", killed)
    assert results(killed) == wanted
    assert not leftovers(killed)
    lesions = pd.read_parquet(next(killed.glob("catalogue-*/lesions.parquet")))
    assert lesions.lesion_id.is_unique


def results_of_pointer(workspace: Path) -> dict[str, object]:
    """Return the results that the pointer names: what another stage would read now."""
    pointer = workspace / "workspace.json"
    stages = json.loads(pointer.read_text())["stages"] if pointer.exists() else {}
    found: dict[str, object] = {}
    for entry in stages.values():
        found |= results(workspace / entry["folder"])
    return found


def test_a_training_killed_late_is_taken_up(worked_workspace, tmp_path, small_hospital):
    command = stages_run(small_hospital)["train"]
    clean = workspace_before("train", worked_workspace, tmp_path / "clean")
    finish(*command, "-w", clean)
    killed = workspace_before("train", worked_workspace, tmp_path / "killed")
    process = start(*command, "-w", killed)
    deadline = time.monotonic() + LONGEST_S
    while process.poll() is None and time.monotonic() < deadline:
        if any(killed.glob("scratch/training-*/*")):
            break
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=LONGEST_S)
    finish(*command, "-w", killed)
    assert results(killed) == results(clean)
    assert not list((killed / "scratch").iterdir())


def test_a_reproduction_killed_is_completed(worked_workspace, tmp_path):
    command = ("reproduce", "--rows", "imagenet,type,conv5", "--seeds", "2", *TRAINING)
    clean = Path(shutil.copytree(worked_workspace, tmp_path / "clean"))
    _, seconds = finish(*command, "-w", clean)
    killed = Path(shutil.copytree(worked_workspace, tmp_path / "killed"))
    moments = [lambda s=s: kill_after(s * seconds, *command, "-w", killed) for s in MOMENTS]
    hits = [kill() for kill in (*moments, lambda: kill_at_part(killed, *command, "-w", killed))]
    assert any(hits), "no kill met it under way"
    finish(*command, "-w", killed)
    assert results(killed) == results(clean)
    assert not leftovers(killed)
    assert not list((killed / "scratch").iterdir())
    names = ("table1.md", "table1.csv", "table1.json")
    found, wanted = ([_without_seconds(path / "table1" / name) for name in names] for path in (killed, clean))
    assert found == wanted


def _without_seconds(path: Path) -> str:
    """Return a file's text but for how long each training took."""
    if path.suffix != ".json":
        return path.read_text()
    table = json.loads(path.read_text())
    assert len(table["stated"].pop("seconds_of_trainings")) == 4
    return json.dumps({**table, "stated": table["stated"]})


def test_workers_leave_with_the_process_that_was_killed(worked_workspace, tmp_path):
    workspace = workspace_before("locate", worked_workspace, tmp_path / "w")
    process = start("locate", "--workers", "2", "-w", workspace)
    deadline = time.monotonic() + LONGEST_S
    while len(group(process.pid)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    met = len(group(process.pid))
    process.kill()
    process.wait(LONGEST_S)
    while group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = group(process.pid)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert met >= 3
    assert not left
    process.communicate(timeout=LONGEST_S)


def group(leader: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone while we looked
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_a_report_killed_is_written_again(worked_workspace, tmp_path):
    workspace = Path(shutil.copytree(worked_workspace, tmp_path / "w"))
    before = results(workspace)
    _, seconds = finish("report", "-w", workspace)
    page = workspace / "report" / "report.html"
    page.unlink()
    for moment in (0.5, 0.9):
        kill_after(moment * seconds, "report", "-w", workspace)
        assert not page.exists() or page.read_text().rstrip().endswith("</html>")
    finish("report", "-w", workspace)
    assert page.read_text().rstrip().endswith("</html>")
    assert results(workspace) == before
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_a_phantom_hospital_killed_is_completed(tmp_path):
    _, seconds = finish(*PHANTOM, "--out", tmp_path / "clean")
    killed = tmp_path / "killed"
    hits = [kill_after(s * seconds, *PHANTOM, "--out", killed) for s in MOMENTS]
    assert any(hits)
    deadline = time.monotonic() + LONGEST_S  # workers leave with their parent, not at the same instant
    while time.monotonic() < deadline:
        process = start(*PHANTOM, "--out", killed)
        _, err = process.communicate(timeout=LONGEST_S)
        if process.returncode == 0:
            break
        time.sleep(0.2)
    assert process.returncode == 0, err
    assert tree(killed) == tree(tmp_path / "clean")
