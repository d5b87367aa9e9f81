"""Where the hostile tests find their parts, and a healthy study beside which each is mined."""

import sys
from pathlib import Path

for part in ("hostile", "fuzz", "mining", "e2e"):
    sys.path.insert(0, str(Path(__file__).parents[1] / part))
