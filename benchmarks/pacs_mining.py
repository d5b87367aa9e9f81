"""Mine a PACS of growing size: bytes and time a mark, beside whole studies and beside the floor.

    python benchmarks/pacs_mining.py [--studies 25 50 100] [--hospital DIR] [--protocol dicomweb]

A phantom hospital is written (or taken from --hospital) and its studies are stored in a real Orthanc, the
first N, then more. For each N: `lesiongraph mine` in a process of its own, then again on the unchanged PACS.

Printed: marks a second; bytes received against (a) downloading the studies whole and (b) the floor, the
bytes of the objects and slices that are needed and that the mirror keeps; peak memory; what the second run
asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from lesiongraph.pipeline.phantom import write_phantom
from orthanc import Orthanc
from provenance import print_header

SEED = 11
PATIENTS_PER_STUDY = 0.62  # of the phantom: a patient has 1.6 studies
HEADER = (
    "studies   marks  seconds  marks/s  MB moved  of whole  of floor  peak MB   again: s  requests     kB"
)


@dataclass
class Run:
    """One `lesiongraph mine`: its counts, seconds and peak memory."""

    counts: dict[str, int]
    seconds: float
    peak_mb: float


def mine(source: str, workspace: Path) -> Run:
    program = Path(sys.executable).parent / "lesiongraph"
    words = [str(program), "mine", source, "-w", str(workspace), "--json"]
    started = time.monotonic()
    process = subprocess.Popen(
        [*words, "--keep-identifiers"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"mine failed ({process.returncode}): {err.decode()[-2000:]}")
    return Run(json.loads(out)["counts"], time.monotonic() - started, peak[0])


def _watch(pid: int, peak: list[float]) -> None:
    """Keep the process's high-water mark of resident memory, as the kernel tells it."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        except (OSError, StopIteration):
            return
        peak[0] = max(peak[0], int(line.split()[1]) / 1024)
        time.sleep(0.2)


def size_of(folder: Path, *names: str) -> int:
    return sum(p.stat().st_size for name in names for p in folder.glob(f"**/{name}/*.dcm"))


def studies_of(hospital: Path) -> list[Path]:
    return sorted(path for path in (hospital / "dicom").glob("*/*") if path.is_dir())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--hospital", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--protocol", choices=("dicomweb", "dimse"), default="dicomweb")
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="pacs-mining-"))
    hospital = options.hospital
    if hospital is None:
        hospital = work / "hospital"
        write_phantom(hospital, max(3, round(PATIENTS_PER_STUDY * max(options.studies)) + 2), SEED)
    studies = studies_of(hospital)
    print_header(protocol=options.protocol, source="Orthanc on loopback")
    print(HEADER)
    stored = 0
    whole = 0
    with Orthanc(work / "orthanc") as server:
        for count in sorted(options.studies):
            for study in studies[stored:count]:
                server.upload_folder(study)
                whole += sum(path.stat().st_size for path in study.rglob("*") if path.is_file())
            stored = min(count, len(studies))
            workspace = work / f"workspace-{count}"
            shutil.rmtree(workspace, ignore_errors=True)
            first = mine(getattr(server, options.protocol), workspace)
            again = mine(getattr(server, options.protocol), workspace)
            floor = size_of(workspace / "mirror", "objects", "images")
            report(stored, (first, again), whole, floor)


def report(studies: int, runs: tuple[Run, Run], whole: int, floor: int) -> None:
    first, again = runs
    marks, moved = first.counts["marks kept"], first.counts["PACS: bytes received"]
    print(
        f"{studies:7} {marks:7} {first.seconds:8.1f} {marks / first.seconds:8.1f} {moved / 1e6:9.1f} "
        f"{moved / whole:9.3f} {moved / floor:9.2f} {first.peak_mb:8.0f} {again.seconds:10.1f} "
        f"{again.counts['PACS: requests']:9} {again.counts['PACS: bytes received'] / 1e3:6.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
