"""How soon a study that arrives in a PACS is mined, located, embedded and matched.

    python benchmarks/pacs_follow.py FOLDER [--patients N]

FOLDER holds DICOM with marks, a folder a patient (`lesiongraph phantom`). A real Orthanc is started and all
but the last study of the last patient is stored; `follow` takes them on. Then the last study is stored while
it watches. Printed: seconds of each stage, for all the studies and for the one that arrived. The issue's
limit is a minute; what mining moves and costs as a PACS grows is `pacs_mining.py`'s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from lesiongraph.pipeline.follow import Round, follow
from lesiongraph.pipeline.pacs_source import PacsOptions
from lesiongraph.workspace import Workspace
from orthanc import Orthanc
from provenance import print_header

LIMIT_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, help="the first so many folders")
    options = parser.parse_args()
    patients = sorted(p for p in options.folder.iterdir() if p.is_dir())[: options.patients]
    *studies, last = (study for patient in patients for study in sorted(patient.iterdir()))
    print_header(source="Orthanc on loopback")
    with tempfile.TemporaryDirectory() as scratch, Orthanc(Path(scratch) / "orthanc") as server:
        for study in studies:
            server.upload_folder(study)
        looks = follow(
            Workspace(Path(scratch) / "workspace"),
            [server.dicomweb],
            options=PacsOptions(),
            every_s=0,
            rounds=2,
            sleep=lambda _seconds: server.upload_folder(last),
        )
        for name, look in zip((f"{len(studies)} studies", "one study more"), looks, strict=True):
            print(f"{name:16} {stages(look)}", flush=True)
    print(f"one study more: {look.seconds / LIMIT_S:.2f} of the limit of {LIMIT_S:.0f} s")


def stages(look: Round) -> str:
    """Seconds of each stage of a round."""
    parts = {report.verb: report.seconds for report in (look.mined, *look.stages)}
    return "   ".join(f"{verb} {seconds:.1f} s" for verb, seconds in (parts | {"all": look.seconds}).items())


if __name__ == "__main__":
    main()
