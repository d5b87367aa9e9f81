"""Takes the data folder, gives what the ssbr benchmarks measure: volumes, models, figures of merit."""

import sys
from pathlib import Path

# Neither `benchmarks` nor `tools` is installed.
_TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path[:0] = [str(_TOOLS)]
