"""A hospital that grows, its workspace, and its reports as files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filled_orthanc import orthanc_with
from small_hospital import write_study

sys.path.insert(0, str(Path(__file__).parent))

from growing_hospital import FIRST, SECOND, work
from made_once import made_once

from lesiongraph.pipeline.phantom import write_phantom
from lesiongraph.workspace import Workspace
from orthanc import Orthanc


@pytest.fixture(scope="session")
def two_visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital of two patients: the one with coded sites came once, the other twice (read-only)."""

    def make(part: Path) -> None:
        write_study(part / "SMALL-1" / FIRST, "SMALL-1", FIRST)
        for number, date in enumerate((FIRST, SECOND)):
            write_study(part / "SMALL-5" / date, "SMALL-5", date, shift=number)

    return made_once(tmp_path_factory, "two-visits", make)


@pytest.fixture(scope="session")
def matched(tmp_path_factory: pytest.TempPathFactory, two_visits: Path) -> Path:
    """Its workspace, matched (read-only)."""
    return made_once(tmp_path_factory, "matched", lambda part: work(part, two_visits))


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients in six studies, marked as SR and GSPS, and their matched workspace."""

    def make(part: Path) -> None:
        write_phantom(part / "hospital", patients=3, rows=64, rng_seed=5, workers=1)
        work(part / "w", part / "hospital" / "dicom", wide=False)

    return made_once(tmp_path_factory, "phantom-push", make)


@pytest.fixture
def workspace(matched: Path, tmp_path: Path) -> Workspace:
    """A copy of that workspace that a test may change."""
    return Workspace(Path(shutil.copytree(matched, tmp_path / "w")))


@pytest.fixture
def dry(workspace: Workspace, tmp_path: Path) -> list[Path]:
    """Its reports as files."""
    from lesiongraph.pipeline.push import push_to_pacs

    push_to_pacs(workspace, None, dry_run=tmp_path / "reports")
    return sorted((tmp_path / "reports").iterdir())


@pytest.fixture
def pacs(tmp_path: Path, two_visits: Path) -> Iterator[Orthanc]:
    """An Orthanc that holds the hospital."""
    with orthanc_with(two_visits, tmp_path / "orthanc") as server:
        yield server
