"""Real data: `LESIONGRAPH_REAL_DATA`, or `../shared/data` beside the checkout; skipped where absent."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(os.environ.get("LESIONGRAPH_REAL_DATA", default))
    if not root.is_dir():
        pytest.skip(f"real data not found at {root}; set LESIONGRAPH_REAL_DATA")
    return root
