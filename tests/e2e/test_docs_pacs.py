"""The commands of docs/pacs.md, run as they are written, against a real Orthanc.

What the page cannot know is put in: the ports, the workspace's folder, and lesions to decide about.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lesiongraph.lesion import KEPT
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.phantom import write_phantom
from lesiongraph.workspace import Workspace
from orthanc import Orthanc

PAGE = Path(__file__).parents[2] / "docs" / "pacs.md"
VERBS = {"mine", "locate", "embed", "match", "report", "decide", "push"}
RUNS_FOR_EVER = "--follow"


def commands() -> list[str]:
    """Return each `lesiongraph …` of the page's blocks of code, in order."""
    blocks = re.findall(r"^    (lesiongraph .*)$", PAGE.read_text(), flags=re.MULTILINE)
    return [part.strip() for line in blocks for part in line.split("&&")]


@pytest.fixture(scope="module")
def pacs(orthanc: Orthanc, tmp_path_factory) -> Orthanc:
    """An Orthanc that holds a phantom hospital."""
    hospital = tmp_path_factory.mktemp("hospital")
    write_phantom(hospital, 3, 7, rows=128)
    orthanc.upload_folder(hospital / "dicom")
    return orthanc


def test_the_page_walks_through_every_step() -> None:
    assert {command.split()[1] for command in commands()} == VERBS
    assert not any(RUNS_FOR_EVER in command for command in commands())


def test_the_commands_of_the_page_work_as_written(pacs: Orthanc, tmp_path: Path) -> None:
    reports = len(pacs.find("Series", Modality="SR"))
    for command in commands():
        done = run(shlex.split(filled_in(command, pacs, tmp_path)), tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    lesions = lesions_of(tmp_path / "W")
    assert len(lesions_of(tmp_path / "W-dimse")) == len(lesions)
    assert len(pacs.find("Series", Modality="SR")) > reports
    assert list((tmp_path / "W").rglob("*.html"))


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / words[0]
    return subprocess.run([str(program), *words[1:]], cwd=folder, capture_output=True, text=True)


def filled_in(command: str, pacs: Orthanc, folder: Path) -> str:
    """Return the command with this machine's ports and this hospital's lesions."""
    filled = command.replace("localhost:8042", f"localhost:{pacs.http_port}")
    filled = filled.replace("localhost:4242", f"localhost:{pacs.dicom_port}")
    if "dimse://" in command:  # the page says "or": the same PACS into a workspace of its own
        return filled.replace("-w W", "-w W-dimse")
    return with_lesions(filled, folder) if " decide " in command else filled


def with_lesions(command: str, folder: Path) -> str:
    """Put a rejected mark where one is to be accepted, else kept ones."""
    lesions = lesions_of(folder / "W")
    known = lesions[(lesions.status != KEPT) == (" accept " in command)].lesion_id
    for placeholder, lesion in zip(re.findall(r"L-[0-9a-f]{10}", command), known, strict=False):
        command = command.replace(placeholder, lesion)
    return command


def lesions_of(workspace: Path) -> pd.DataFrame:
    return read_catalogue(Workspace(workspace)).lesions
