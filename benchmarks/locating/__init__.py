"""Takes the data folder, gives what the ssbr benchmarks measure: volumes, models, figures of merit."""

import sys
from pathlib import Path

# Neither `benchmarks` nor `tools` is installed.
_REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_REPOSITORY)]
