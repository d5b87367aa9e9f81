"""A key and a door of their own for each test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lesiongraph.mining import Deidentifier, KeyFile

for room in ("mining", "e2e"):  # dicom_files, small_hospital
    sys.path.insert(0, str(Path(__file__).parents[1] / room))


@pytest.fixture
def key(tmp_path):
    with KeyFile.create(tmp_path / "apart" / "test.key") as opened:
        yield opened


@pytest.fixture
def door(key) -> Deidentifier:
    return Deidentifier(key)
