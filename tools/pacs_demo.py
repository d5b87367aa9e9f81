"""From a PACS to a lesion graph and back, against a real Orthanc: `make pacs-demo`.

    python tools/pacs_demo.py OUT [--data ../shared/data] [--patients 8]

Starts an Orthanc of its own on free loopback ports, stores a phantom hospital and the real DICOM below
--data, then runs what an engineer would: mine, locate, embed, match, push, push again (nothing to send);
then a study arrives, and all of it once more; report. The Orthanc is stopped at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from lesiongraph.pipeline.phantom import write_phantom
from orthanc import Orthanc, missing

SEED = 7


def run(*words: object) -> None:
    """Call the command line as a user would, and stop where it fails."""
    print("== lesiongraph", *words, flush=True)
    subprocess.run([str(Path(sys.executable).parent / "lesiongraph"), *map(str, words)], check=True)


def main() -> None:
    """Load, mine, push, follow up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, help="folder with dicom/ and dicom_sr/ of real objects")
    parser.add_argument("--patients", type=int, default=8)
    options = parser.parse_args()
    if missing():
        raise SystemExit(f"{missing()}; `make servers` installs it on Debian")
    hospital, workspace, key = options.out / "hospital", options.out / "workspace", options.out / "key.sqlite"
    write_phantom(hospital, options.patients, SEED)
    studies = sorted(path for path in (hospital / "dicom").glob("*/*") if path.is_dir())
    with Orthanc(options.out / "orthanc") as server:
        stored = sum(server.upload_folder(study) for study in studies[:-1])
        print(f"Orthanc at {server.rest}: {stored} objects of {len(studies) - 1} phantom studies", flush=True)
        for name in ("dicom", "dicom_sr"):
            folder = options.data / name if options.data else None
            if folder is not None and folder.is_dir():
                print(f"and {server.upload_folder(folder)} objects of {name}", flush=True)
        mine = ("mine", server.dicomweb, "-w", workspace, "--key", key)
        run(*mine)
        run("locate", "-w", workspace)
        run("embed", "-w", workspace)
        run("match", "-w", workspace, "--csv", options.out / "matches.csv")
        run("push", "-w", workspace, "--to", server.dicomweb, "--key", key)
        run("push", "-w", workspace, "--to", server.dicomweb, "--key", key)
        server.upload_folder(studies[-1])
        run(*mine)
        for verb in ("locate", "embed"):
            run(verb, "-w", workspace)
        run("match", "-w", workspace, "--csv", options.out / "matches.csv")
        run("push", "-w", workspace, "--to", server.dicomweb, "--key", key)
        run("report", "-w", workspace)


if __name__ == "__main__":
    main()
