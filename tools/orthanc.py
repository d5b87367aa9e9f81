"""Start a real Orthanc with DICOMweb and DIMSE on free loopback ports, with a storage folder of its own.

    python tools/orthanc.py --storage FOLDER     # prints its addresses, runs until Ctrl-C

Tests and other tools use `Orthanc` as a context manager. It needs Debian's packages orthanc and
orthanc-dicomweb (orthanc-gdcm is taken where it is there).
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

PROGRAM = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin") or ""
PLUGIN_FOLDERS = (Path("/usr/share/orthanc/plugins"), Path("/usr/lib/orthanc"))
START_S = 30.0


def missing() -> str:
    """Say what an Orthanc with DICOMweb lacks on this machine, "" where nothing."""
    if not PROGRAM:
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    if _plugin("OrthancDicomWeb") is None:
        return "Orthanc's DICOMweb plugin is not installed (apt-get install orthanc-dicomweb)"
    return ""


class Orthanc:
    """An Orthanc of one's own.

    Parameters
    ----------
    storage : Path, optional
        Its database and files; a temporary folder, removed at the end, where none is given.
    ae_title : str
    users : mapping, optional
        Name → password: then basic authentication is asked for.
    peers : mapping, optional
        AE title → port on this machine: where C-MOVE may send to.
    http_port, dicom_port : int, optional
        Kept over a restart; free ones are found where none are given.
    changes : mapping, optional
        Further lines of its configuration.
    """

    def __init__(
        self,
        storage: Path | None = None,
        *,
        ae_title: str = "ORTHANC",
        users: Mapping[str, str] | None = None,
        peers: Mapping[str, int] | None = None,
        http_port: int = 0,
        dicom_port: int = 0,
        changes: Mapping[str, object] | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="orthanc-") if storage is None else None
        self.storage = Path(self._temporary.name) if self._temporary else Path(storage)  # type: ignore[arg-type]
        self.storage.mkdir(parents=True, exist_ok=True)
        self.ae_title = ae_title
        self.users = dict(users or {})
        self._peers = dict(peers or {})
        self.http_port = http_port or _free_port()
        self.dicom_port = dicom_port or _free_port()
        self._changes = dict(changes or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def rest(self) -> str:
        """Root of its REST API."""
        return f"http://localhost:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        """Its address as a source: dicomweb+http://…"""
        return f"dicomweb+{self.rest}/dicom-web"

    @property
    def dimse(self) -> str:
        """Its address as a source: dimse://…"""
        return f"dimse://{self.ae_title}@localhost:{self.dicom_port}"

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.storage / "orthanc.log"

    def start(self) -> Orthanc:
        """Start it and wait until it answers.

        Raises
        ------
        RuntimeError
            If it is not installed, ends, or does not answer in time.
        """
        if missing():
            raise RuntimeError(missing())
        config = self.storage / "orthanc.json"
        config.write_text(json.dumps(self._configuration(), indent=2))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, str(config)], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"Orthanc ended ({self._process.returncode}):\n{self.log.read_text()[-2000:]}"
                )
            try:
                self.get("/system")
                return self
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"Orthanc did not answer within {START_S:g} s:\n{self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it, by its own process; the storage stays unless it is temporary."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def __enter__(self) -> Orthanc:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def get(self, path: str) -> object:
        """Return JSON of its REST API."""
        with self._open(urllib.request.Request(self.rest + path)) as answer:
            return json.load(answer)

    def upload(self, file: Path | bytes) -> None:
        """Store one DICOM file."""
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        with self._open(urllib.request.Request(self.rest + "/instances", data=data, method="POST")):
            pass

    def upload_folder(self, folder: Path) -> int:
        """Store all DICOM files below a folder; return how many."""
        count = 0
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            try:
                self.upload(path)
                count += 1
            except urllib.error.HTTPError as error:
                if error.code != 400:  # 400: not a DICOM file
                    raise
        return count

    def download(self, instance: str) -> bytes:
        """Return the file of an instance, by its Orthanc id."""
        with self._open(urllib.request.Request(f"{self.rest}/instances/{instance}/file")) as answer:
            data: bytes = answer.read()
            return data

    def delete(self, path: str) -> None:
        """Delete a resource of its REST API, as /studies/ID."""
        with self._open(urllib.request.Request(self.rest + path, method="DELETE")):
            pass

    def find(self, level: str, **match: str) -> list[str]:
        """Return the Orthanc ids of the resources (Study, Series, Instance) that match."""
        body = json.dumps({"Level": level, "Query": match}).encode()
        with self._open(
            urllib.request.Request(self.rest + "/tools/find", data=body, method="POST")
        ) as answer:
            found: list[str] = json.load(answer)
            return found

    def _open(self, request: urllib.request.Request):  # type: ignore[no-untyped-def]
        for name, password in list(self.users.items())[:1]:
            secret = base64.b64encode(f"{name}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {secret}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(request, timeout=60)

    def _configuration(self) -> dict[str, object]:
        plugins = [_plugin("OrthancDicomWeb"), _plugin("OrthancGdcm")]
        return {
            "Name": "lesiongraph",
            "StorageDirectory": str(self.storage / "db"),
            "IndexDirectory": str(self.storage / "db"),
            "Plugins": [str(path) for path in plugins if path is not None],
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "DicomAet": self.ae_title,
            # It binds all interfaces whatever this says, and answers local peers alone.
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(self.users),
            "RegisteredUsers": self.users,
            "DicomCheckCalledAet": False,
            **{f"DicomAlwaysAllow{what}": True for what in ("Echo", "Store", "Find", "Get", "Move")},
            "DicomModalities": {ae: [ae, "127.0.0.1", port] for ae, port in self._peers.items()},
            "StableAge": 1,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **self._changes,
        }


def _plugin(name: str) -> Path | None:
    for folder in PLUGIN_FOLDERS:
        for path in sorted(folder.glob(f"lib{name}.so*")):
            return path
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> None:
    """Run one until it is interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True, help="its database and files")
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--dicom-port", type=int, default=0)
    parser.add_argument("--load", type=Path, nargs="*", default=[], help="folders of DICOM to store first")
    options = parser.parse_args()
    with Orthanc(options.storage, http_port=options.http_port, dicom_port=options.dicom_port) as server:
        for folder in options.load:
            print(f"{folder}: {server.upload_folder(folder)} objects stored", flush=True)
        print(server.dicomweb, server.dimse, server.rest, sep="\n", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
