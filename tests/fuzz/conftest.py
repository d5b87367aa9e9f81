"""Where the fuzz tests find their parts, and how much memory they may take."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

MORE_KB = 400_000  # what a test of broken files may add to the peak of the process


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Fail a test in which the process's peak memory grew by more than that."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MORE_KB
