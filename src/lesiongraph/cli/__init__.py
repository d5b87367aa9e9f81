"""Takes a command line, calls one pipeline function, prints what came of it (no science here)."""

import os

# numpy's BLAS threads spin while torch's threads work, and the other way round: on two cores training
# took ten times as long. BLAS has little to do here, so it gets one thread unless the user says otherwise.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lesiongraph.cli.app import main

__all__ = ["main"]
