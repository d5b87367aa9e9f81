"""What mining a PACS costs: bytes a mark against whole studies and against the floor, re-runs, new studies.

    python benchmarks/pacs.py FOLDER [--patients N] [--out results.json]

FOLDER holds DICOM with marks, a folder a patient (`lesiongraph phantom`). A real Orthanc is started, all but
the last study of the last patient is stored, and `mine` runs in a fresh workspace. Then `mine` runs again on
the unchanged PACS; then the last study is stored while `follow` watches.

- whole: bytes of all objects of the studies mined, as files;
- floor: bytes of the objects truly needed, as files: reports, and slices with pixels;
- moved: bytes received over HTTP, with all searches and headers. Orthanc compresses its answers (gzip), so
  that moved may be below the floor;
- decoded: the same after that compression is undone: what a PACS without it would move.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from lesiongraph.pipeline.follow import follow
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import PacsOptions
from lesiongraph.workspace import Workspace
from orthanc import Orthanc


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, help="the first so many folders")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    patients = sorted(p for p in options.folder.iterdir() if p.is_dir())[: options.patients]
    with tempfile.TemporaryDirectory() as scratch, Orthanc(Path(scratch) / "orthanc") as server:
        results = measure(patients, server, Path(scratch) / "workspace")
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


def measure(patients: list[Path], server: Orthanc, path: Path) -> dict[str, object]:
    """Return the figures."""
    *studies, last = (study for patient in patients for study in sorted(patient.iterdir()))
    stored = sum(server.upload_folder(study) for study in studies)
    whole = sum(f.stat().st_size for study in studies for f in study.rglob("*") if f.is_file())
    workspace, options = Workspace(path), PacsOptions()
    started = time.perf_counter()
    first = mine(workspace, [server.dicomweb], pacs=options)
    first_s = time.perf_counter() - started
    mining_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    floor = sum(f.stat().st_size for f in path.rglob("mirror/**/*.dcm"))
    headers = sum(f.stat().st_size for f in path.rglob("mirror/**/*.gz"))
    again = mine(workspace, [server.dicomweb], pacs=options)
    marks = first.counts["marks kept"]
    moved = first.counts["PACS: bytes received"]

    stored_at: list[float] = []

    def arrive(_seconds: float) -> None:
        if not stored_at:
            server.upload_folder(last)
            stored_at.append(time.perf_counter())

    looks = list(follow(workspace, [server.dicomweb], options=options, every_s=15, rounds=2, sleep=arrive))
    return {
        "studies": len(studies),
        "objects stored": stored,
        "marks kept": marks,
        "first run": dict(first.counts),
        "first run, seconds": round(first_s, 1),
        "seconds a study": round(first_s / len(studies), 2),
        "marks a second": round(marks / first_s, 2),
        "bytes: whole studies": whole,
        "bytes: floor": floor,
        "bytes: moved": moved,
        "bytes: headers kept": headers,
        "bytes: decoded": first.counts["PACS: bytes decoded"],
        "decoded / floor": round(first.counts["PACS: bytes decoded"] / floor, 3),
        "moved / floor": round(moved / floor, 3),
        "moved / whole": round(moved / whole, 3),
        "bytes moved a mark": round(moved / max(1, marks)),
        "requests a study": round(first.counts["PACS: requests"] / len(studies), 1),
        "run again: requests, bytes, seconds": [
            again.counts["PACS: requests"],
            again.counts["PACS: bytes received"],
            again.seconds,
        ],
        "follow, first round: seconds by stage": _seconds(looks[0]),
        "follow, one new study: seconds by stage": _seconds(looks[1]),
        "peak memory of mining, MiB": round(mining_mib),
        "peak memory, with the networks, MiB": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ),
    }


def _seconds(look: object) -> dict[str, float]:
    reports = [look.mined, *look.stages]  # type: ignore[attr-defined]
    return {**{r.verb: r.seconds for r in reports}, "all": look.seconds}  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
