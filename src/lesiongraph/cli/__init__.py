"""Takes a command line, calls one pipeline function, prints what came of it (no science here)."""

import os

# Threads that wait must not spin. numpy's BLAS threads and torch's OpenMP threads otherwise burn each
# other's cores, and those of other programs: training took five to ten times as long on two cores.
# Both are read when numpy and torch load; what the user has set stays.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from lesiongraph.cli.app import main

__all__ = ["main"]
