"""DICOMweb against a real Orthanc, and against an answer-breaking proxy in front of it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dicom_files import ct_slice, uid
from faulty_proxy import DAMAGES, FaultyProxy, faulty_proxy, slow
from pydicom import Dataset

from lesiongraph.mining.pacs.address import DateWindow, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.pacs.errors import PacsRefusedError, PacsUnreachableError
from orthanc import Orthanc, missing

STUDY, SERIES = uid("study"), uid("series")
FAST = PacsSettings(retries=2, backoff_s=0.01, timeout_s=3, page_size=2)


@pytest.fixture(scope="module")
def slices(orthanc: Orthanc) -> list[Dataset]:
    """Five slices, stored by STOW."""
    images = [ct_slice(-5.0 * n, number=n + 1) for n in range(5)]
    with connect(orthanc) as pacs:
        answer = pacs.store(images)
    assert answer.stored == [str(image.SOPInstanceUID) for image in images]
    assert answer.failed == {}
    return images


def connect(server: Orthanc, settings: PacsSettings = FAST) -> DicomwebConnection:
    return DicomwebConnection(PacsAddress.parse(server.dicomweb), settings)


def test_searches_page_by_page(orthanc: Orthanc, slices: list[Dataset]) -> None:
    with connect(orthanc) as pacs:
        (study,) = pacs.search_studies(modality="CT")
        assert study.StudyInstanceUID == STUDY
        (series,) = pacs.search_series(STUDY)
        assert series.Modality == "CT"
        before = pacs.traffic.requests
        found = list(pacs.search_instances(STUDY, SERIES, fields=["ImagePositionPatient"]))
        assert pacs.traffic.requests - before == 3  # 2 + 2 + 1
        assert {i.SOPInstanceUID for i in found} == {i.SOPInstanceUID for i in slices}
        assert pacs.traffic.bytes_received > 0


@pytest.mark.parametrize("count", [6, 7])
def test_no_study_is_lost_beyond_the_first_page(tmp_path, count: int) -> None:
    """Orthanc answers a search by modality with nothing where the offset is as large as the limit."""
    if missing():
        pytest.skip(missing())
    images = [ct_slice(0.0, series=f"series {n}", StudyInstanceUID=uid(f"study {n}")) for n in range(count)]
    with Orthanc(tmp_path / "orthanc") as server, connect(server) as pacs:
        for image in images:
            pacs.store([image])
        window = DateWindow(date(2020, 1, 1), date(2020, 1, 31))
        for modality in ("CT", ""):
            found = [str(study.StudyInstanceUID) for study in pacs.search_studies(window, modality=modality)]
            assert sorted(found) == sorted(str(image.StudyInstanceUID) for image in images)


def test_a_date_window(orthanc: Orthanc, slices: list[Dataset]) -> None:
    with connect(orthanc) as pacs:
        assert len(list(pacs.search_studies(DateWindow(date(2020, 1, 1), date(2020, 1, 31))))) == 1
        assert not list(pacs.search_studies(DateWindow(date(2020, 2, 1))))


def test_metadata_and_whole_instances(orthanc: Orthanc, slices: list[Dataset]) -> None:
    with connect(orthanc) as pacs:
        headers = pacs.series_metadata(STUDY, SERIES)
        assert {float(h.ImagePositionPatient[2]) for h in headers} == {0.0, -5.0, -10.0, -15.0, -20.0}
        whole = pacs.retrieve_instance(STUDY, SERIES, slices[2].SOPInstanceUID)
        assert whole is not None
        assert whole.PixelData == slices[2].PixelData
        assert pacs.retrieve_instance(STUDY, SERIES, "1.2.3") is None
        assert pacs.series_metadata(STUDY, "1.2.3") == []


def test_a_wrong_path_and_a_missing_password_are_refused_at_once(orthanc: Orthanc, tmp_path) -> None:
    wrong = PacsAddress.parse(orthanc.dicomweb.replace("/dicom-web", "/nothing"))
    with DicomwebConnection(wrong, FAST) as pacs:
        with pytest.raises(PacsRefusedError, match="/dicom-web"):
            list(pacs.search_studies())
        assert pacs.traffic.retries == 0
    with Orthanc(tmp_path, users={"ann": "s3cret"}) as locked:
        with connect(locked) as pacs, pytest.raises(PacsRefusedError, match="--user"):
            list(pacs.search_studies())
        with connect(locked, PacsSettings(user="ann", password="s3cret")) as pacs:
            assert list(pacs.search_studies()) == []


def test_a_token_is_sent_and_never_shown(orthanc: Orthanc) -> None:
    seen: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = PacsAddress.parse(f"dicomweb+http://127.0.0.1:{server.server_port}/rs")
        settings = PacsSettings(token="s3cret")
        with (
            DicomwebConnection(address, settings) as pacs,
            pytest.raises(PacsRefusedError, match="403") as refused,
        ):
            list(pacs.search_studies())
        server.shutdown()
    assert seen == ["Bearer s3cret"]
    assert "s3cret" not in str(refused.value)


def test_a_pacs_that_is_not_there() -> None:
    with DicomwebConnection(PacsAddress.parse("dicomweb+http://localhost:9/dicom-web"), FAST) as pacs:
        with pytest.raises(PacsUnreachableError, match="after 3 attempts"):
            list(pacs.search_studies())
        assert (pacs.traffic.requests, pacs.traffic.retries) == (3, 2)


# --- answers that go wrong ----------------------------------------------------------------------------


@pytest.fixture
def proxy(orthanc: Orthanc) -> Iterator[FaultyProxy]:
    with faulty_proxy(f"http://localhost:{orthanc.http_port}") as before:
        yield before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_answer_is_asked_for_again(proxy: FaultyProxy, slices: list[Dataset], damage) -> None:
    proxy.fail("/instances/", damage, times=1)
    with DicomwebConnection(PacsAddress.parse(proxy.dicomweb), FAST) as pacs:
        whole = pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)
        assert whole is not None
        assert whole.PixelData == slices[0].PixelData
        assert (pacs.traffic.requests, pacs.traffic.retries) == (2, 1)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_answer_that_stays_damaged_is_an_error(proxy: FaultyProxy, slices: list[Dataset], damage) -> None:
    proxy.fail("/instances/", damage)
    with (
        DicomwebConnection(PacsAddress.parse(proxy.dicomweb), FAST) as pacs,
        pytest.raises(PacsUnreachableError),
    ):
        pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)


def test_another_object_than_asked_for_is_not_taken(proxy: FaultyProxy, slices: list[Dataset]) -> None:
    wanted, other = str(slices[0].SOPInstanceUID), str(slices[1].SOPInstanceUID)
    same_length = other[: len(wanted)].ljust(len(wanted), "0").encode()
    proxy.fail("/instances/", lambda a: a._replace(body=a.body.replace(wanted.encode(), same_length)))
    with (
        DicomwebConnection(PacsAddress.parse(proxy.dicomweb), FAST) as pacs,
        pytest.raises(PacsUnreachableError),
    ):
        pacs.retrieve_instance(STUDY, SERIES, wanted)


def test_tls_by_a_certificate_of_ones_own(orthanc: Orthanc, slices: list[Dataset], tmp_path) -> None:
    """TLS ends in a proxy, as it does in most hospitals (Debian's Orthanc 1.10 crashes on its own TLS)."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with faulty_proxy(f"http://localhost:{orthanc.http_port}", context) as proxy:
        address = PacsAddress.parse(proxy.dicomweb)
        assert address.secure
        with DicomwebConnection(address, PacsSettings(ca=certificate)) as pacs:
            whole = pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)
            assert whole is not None
            assert whole.PixelData == slices[0].PixelData
        with DicomwebConnection(address, FAST) as pacs, pytest.raises(PacsUnreachableError, match="--ca"):
            list(pacs.search_studies())
        assert pacs.traffic.retries == 0


def test_a_slow_answer_times_out(proxy: FaultyProxy, slices: list[Dataset]) -> None:
    proxy.fail("/series", slow(2.0), times=1)
    settings = PacsSettings(retries=1, backoff_s=0.01, timeout_s=0.5)
    with DicomwebConnection(PacsAddress.parse(proxy.dicomweb), settings) as pacs:
        assert len(list(pacs.search_series(STUDY))) == 1
        assert pacs.traffic.retries == 1


def test_the_rate_is_kept(orthanc: Orthanc, slices: list[Dataset]) -> None:
    import time

    with connect(orthanc, PacsSettings(rate=20)) as pacs:
        started = time.monotonic()
        for _ in range(6):
            list(pacs.search_series(STUDY))
        assert time.monotonic() - started >= 5 / 20
