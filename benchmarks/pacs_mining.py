"""Mine a PACS of growing size: bytes and time a mark, beside whole studies and beside the floor.

    python benchmarks/pacs_mining.py [--studies 25 50 100] [--hospital DIR] [--copies] [--protocol dicomweb]

A phantom hospital is written (or taken from --hospital) and its studies are stored in a real Orthanc, the
first N, then more. For each N: `lesiongraph mine` in a process of its own, then again on the unchanged PACS.
With --copies, where N is more than the hospital has, its studies are stored again as other patients' (other
UIDs, other patient ids, the same pictures): mining looks at each anew, so that it costs as many studies.

Printed: marks a second; bytes received against (a) downloading the studies whole and (b) the floor, the
bytes of the objects and slices that are needed and that the mirror keeps; the same with the compression of
the answers undone (Orthanc's gzip: a PACS without it would move as much); peak memory; what the second run
asked for.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pydicom import DataElement, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from lesiongraph.pipeline.phantom import write_phantom
from orthanc import Orthanc
from provenance import print_header

SEED = 11
PATIENTS_PER_STUDY = 0.62  # of the phantom: a patient has 1.6 studies
HEADER = (
    "studies   marks  seconds    CPU s  marks/s  MB moved of whole of floor  decoded"
    "  peak MB  again s   asked     kB"
)


@dataclass
class Run:
    """One `lesiongraph mine`: its counts, seconds, seconds of a core and peak memory."""

    counts: dict[str, int]
    seconds: float
    cpu_s: float
    peak_mb: float


def mine(source: str, workspace: Path) -> Run:
    program = Path(sys.executable).parent / "lesiongraph"
    words = [str(program), "mine", source, "-w", str(workspace), "--json"]
    started, cpu_s = time.monotonic(), _children_cpu_s()
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
    seconds, cpu_s = time.monotonic() - started, _children_cpu_s() - cpu_s
    return Run(json.loads(out)["counts"], seconds, cpu_s, peak[0])


def _children_cpu_s() -> float:
    """Seconds of a core that ended child processes took; the PACS is not among them, it goes on."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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


def store(server: Orthanc, study: Path, copy: int) -> int:
    """Store a study, as it is or as its n-th copy; return its bytes."""
    files = sorted(path for path in study.rglob("*") if path.is_file())
    objects = [as_another(path, copy) if copy else path.read_bytes() for path in files]
    for content in objects:
        server.upload(content)
    return sum(map(len, objects))


def as_another(path: Path, copy: int) -> bytes:
    """Return the file as another patient's: its UIDs, and those it refers to, become others."""
    dataset = dcmread(path)
    dataset.walk(lambda _, element: _rename(element, copy))
    dataset.PatientID = f"{dataset.PatientID}-{copy}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


def _rename(element: DataElement, copy: int) -> None:
    if element.VR == "UI" and element.value:
        several = isinstance(element.value, MultiValue)
        uids = [_other(uid, copy) for uid in (element.value if several else [element.value])]
        element.value = uids if several else uids[0]


def _other(uid: str, copy: int) -> str:
    if uid.startswith("1.2.840.10008."):  # DICOM's own: classes, transfer syntaxes
        return uid
    return str(generate_uid(entropy_srcs=[uid, str(copy)]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--hospital", type=Path)
    parser.add_argument("--copies", action="store_true", help="go on beyond the hospital's own studies")
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
    most = max(options.studies) if options.copies else len(studies)
    with Orthanc(work / "orthanc") as server:
        for count in sorted(options.studies):
            count = min(count, most)
            for i in range(stored, count):
                whole += store(server, studies[i % len(studies)], i // len(studies))
            stored = count
            workspace = Path(tempfile.mkdtemp(prefix=f"workspace-{count}-", dir=work))
            first = mine(getattr(server, options.protocol), workspace)
            again = mine(getattr(server, options.protocol), workspace)
            floor = size_of(workspace / "mirror", "objects", "images")
            if first.counts["PACS: studies seen"] != stored:
                raise SystemExit(f"{stored} studies stored, {first.counts['PACS: studies seen']} mined")
            report(stored, (first, again), whole, floor)
            shutil.rmtree(workspace)


def report(studies: int, runs: tuple[Run, Run], whole: int, floor: int) -> None:
    first, again = runs
    marks, moved = first.counts["marks kept"], first.counts["PACS: bytes received"]
    decoded = first.counts["PACS: bytes decoded"]
    asked, answered = again.counts["PACS: requests"], again.counts["PACS: bytes received"]
    print(
        f"{studies:7} {marks:7} {first.seconds:8.1f} {first.cpu_s:8.1f} {marks / first.seconds:8.1f} "
        f"{moved / 1e6:9.1f} {moved / whole:8.3f} {moved / floor:8.2f} {decoded / floor:8.2f} "
        f"{first.peak_mb:8.0f} {again.seconds:8.1f} {asked:7} {answered / 1e3:6.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
