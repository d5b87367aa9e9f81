"""What needs no network loads none: PyTorch costs memory, and seconds of every call."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("stage", ["mine", "decide", "catalogue", "push", "move_store"])
def test_no_network_is_loaded(stage: str) -> None:
    code = f"import sys, lesiongraph.pipeline.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
