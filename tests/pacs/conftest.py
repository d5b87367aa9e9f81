"""A small hospital in a real Orthanc."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filled_orthanc import orthanc_with
from small_hospital import write_hospital

sys.path.insert(0, str(Path(__file__).parent))

from orthanc import Orthanc

PATIENTS = ("SMALL-1", "SMALL-5")  # one study, and two


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hospital's DICOM in a folder (read-only)."""
    return write_hospital(tmp_path_factory.mktemp("hospital"), PATIENTS)


@pytest.fixture
def pacs(hospital: Path, tmp_path: Path) -> Iterator[Orthanc]:
    """An Orthanc that holds the hospital, for one test to change."""
    with orthanc_with(hospital, tmp_path / "orthanc") as server:
        yield server
