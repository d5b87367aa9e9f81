"""Serve the OHIF viewer on a free loopback port, beside an Orthanc: `make ohif`.

    python tools/ohif.py OUT [--patients 3]           # phantom hospital, push; both servers until Ctrl-C
    python tools/ohif.py OUT --picture PICTURE.png    # a picture of one of our reports in it instead

The viewer is OHIF's own built web app, from its npm package (`tools/ohif_app/install.sh`). Orthanc's DICOMweb
lies behind the same address, so that the browser asks one origin alone.
"""

from __future__ import annotations

import argparse
import http.client
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.phantom import write_phantom
from lesiongraph.workspace import Workspace
from ohif_page import browser, open_study
from orthanc import Orthanc
from orthanc import missing as orthanc_missing
from pacs_demo import SEED, run

FOLDER = Path(__file__).parent / "ohif_app"
APP = FOLDER / "node_modules" / "@ohif" / "app" / "dist"
CONFIG = FOLDER / "app-config.js"
DICOMWEB = "/dicom-web"
PASSED_ON = ("Accept", "Content-Type", "Content-Length")
# cornerstone3D shares memory between its workers; a browser allows that to isolated pages alone
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


def missing() -> str:
    """Say what the viewer lacks on this machine, "" where nothing."""
    return "" if (APP / "index.html").is_file() else "OHIF is not installed (bash tools/ohif_app/install.sh)"


class Viewer:
    """OHIF on a free port, until the end of a `with` block.

    Parameters
    ----------
    rest : str
        Root address of the Orthanc, as `Orthanc.rest`.
    """

    def __init__(self, rest: str) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.pacs = urlsplit(rest).netloc  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Its list of studies."""
        return f"http://localhost:{self._server.server_port}/"

    def study(self, study_instance_uid: str) -> str:
        """Return the address of one study, in the mode that measures."""
        return f"{self.address}viewer?StudyInstanceUIDs={study_instance_uid}"

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *words: object) -> None:
        super().__init__(*words, directory=str(APP))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path.startswith(DICOMWEB):
            self._pass_on()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self._pass_on()

    def translate_path(self, path: str) -> str:
        """Return the file of a path: ours for the configuration, index.html for the app's own routes."""
        if urlsplit(path).path == "/app-config.js":
            return str(CONFIG)
        file = super().translate_path(path)
        return file if Path(file).is_file() else str(APP / "index.html")

    def end_headers(self) -> None:
        for name, value in ISOLATED.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: a study is hundreds of requests."""

    def _pass_on(self) -> None:
        """Ask Orthanc the same, and hand on what it answers."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        asked["Host"] = self.headers["Host"]  # Orthanc names its own address by it in what it answers
        connection = http.client.HTTPConnection(self.server.pacs, timeout=60)  # type: ignore[attr-defined]
        try:
            connection.request(self.command, self.path, body, asked)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Push for a phantom hospital, then show it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="write a picture of the first labelled study, and end")
    options = parser.parse_args()
    if lacking := orthanc_missing() or missing():
        raise SystemExit(f"{lacking}; `make servers` installs it on Debian")
    hospital, workspace = options.out / "hospital", options.out / "workspace"
    write_phantom(hospital, options.patients, SEED)
    with Orthanc() as server, Viewer(server.rest) as viewer:
        server.upload_folder(hospital / "dicom")
        run("mine", server.dicomweb, "-w", workspace, "--keep-identifiers")
        for verb in ("locate", "embed", "match"):
            run(verb, "-w", workspace)
        run("push", "-w", workspace, "--to", server.dicomweb, "--again")
        if options.picture:
            draw(viewer, first_study(workspace), options.picture)
        else:
            wait(viewer)


def wait(viewer: Viewer) -> None:
    """Say where the viewer is, until Ctrl-C."""
    print(f"OHIF at {viewer.address}: open a study, double-click “Lesions over time”, answer Yes", flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass


def first_study(workspace: Path) -> str:
    """Return the first study of a patient whose lesions have stated types."""
    lesions = read_catalogue(Workspace(workspace)).lesions
    typed = lesions[lesions.type != ""].sort_values(["patient_id", "study_date"])
    return str(typed.study_instance_uid.iloc[0])


def draw(viewer: Viewer, study: str, picture: Path) -> None:
    """Write what a reader sees of our report of a study."""
    with browser() as chromium:
        page = open_study(chromium, viewer, study)
        page.open_report()
        page.go_on()
        page.picture(picture)


if __name__ == "__main__":
    main()
