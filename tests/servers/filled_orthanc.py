"""A real Orthanc that holds what lies in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orthanc import Orthanc, missing


@contextmanager
def orthanc_with(folder: Path, storage: Path) -> Iterator[Orthanc]:
    """Serve the DICOM below `folder` as long as the block runs; skip the test where there is no Orthanc."""
    if missing():
        pytest.skip(missing())
    with Orthanc(storage) as server:
        server.upload_folder(folder)
        yield server
