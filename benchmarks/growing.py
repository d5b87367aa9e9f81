"""One study more in an archive: what each stage costs then, against doing all of it again.

    python benchmarks/growing.py [--patients 40] [--work DIR]

The last patient of a phantom hospital arrives after the others. Printed: CPU seconds of each stage over the
whole archive, over what is new, and their ratio. The floor is the share of marks that is new.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.phantom import write_phantom
from lesiongraph.workspace import Workspace
from provenance import print_header

SEED = 5


def stages(workspace: Path, folders: list[Path]) -> dict[str, float]:
    """CPU seconds of each stage, all in this process: other work on the machine does not count."""
    seconds = {}
    for name, run in (
        ("mine", lambda: mine(Workspace(workspace), folders)),
        ("locate", lambda: locate(Workspace(workspace))),
        ("embed", lambda: embed(Workspace(workspace))),
        ("match", lambda: match(Workspace(workspace))),
    ):
        started = time.process_time()
        run()
        seconds[name] = time.process_time() - started
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="growing-"))
    hospital = work / "hospital"
    if not hospital.exists():
        write_phantom(hospital, options.patients, SEED)
    *former, last = sorted((hospital / "dicom").iterdir())
    for name in ("whole", "grown"):
        shutil.rmtree(work / name, ignore_errors=True)
    whole = stages(work / "whole", [*former, last])
    stages(work / "grown", former)
    new = stages(work / "grown", [*former, last])
    print_header()
    print(f"{options.patients} patients (seed {SEED}); the last one arrives after the others")
    print("stage    whole (CPU s)  new (CPU s)   ratio")
    for name in whole:
        print(f"{name:8} {whole[name]:13.1f} {new[name]:12.1f} {new[name] / whole[name]:7.2f}")
    total = sum(whole.values()), sum(new.values())
    print(f"{'all':8} {total[0]:13.1f} {total[1]:12.1f} {total[1] / total[0]:7.2f}")


if __name__ == "__main__":
    main()
