"""DICOMweb against a real Orthanc, and against an answer-breaking proxy in front of it."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dicom_files import ct_slice, uid
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

Breaker = Callable[[int, int, dict[str, str], bytes], tuple[int, dict[str, str], bytes, int]]


@pytest.fixture
def broken(orthanc: Orthanc) -> Iterator[Callable[..., str]]:
    """Put a proxy before Orthanc that passes every answer through `breaker(number, status, headers, body)`.

    It returns status, headers, body and how many bytes of it are sent before the connection is cut.
    """
    servers: list[ThreadingHTTPServer] = []

    def start(breaker: Breaker, tls: ssl.SSLContext | None = None) -> str:
        count = iter(range(10**6))

        class Proxy(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                upstream = http.client.HTTPConnection("localhost", orthanc.http_port)
                upstream.request("GET", self.path, headers={"Accept": self.headers["Accept"]})
                answer = upstream.getresponse()
                kind = {"Content-Type": answer.getheader("Content-Type", "")}
                status, headers, body, sent = breaker(next(count), answer.status, kind, answer.read())
                upstream.close()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:sent])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        if tls is not None:
            # the handshake comes in the thread of its request: a client that gives up must not end the server
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        scheme = "http" if tls is None else "https"
        return f"dicomweb+{scheme}://localhost:{server.server_port}/dicom-web"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def server_error(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes, int]:
    return 500, {}, b"", 0


def too_many(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes, int]:
    return 429, {"Retry-After": "0"}, b"", 0


def cut_connection(
    status: int, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes, int]:
    return status, headers, body, len(body) // 2


def cut_multipart(
    status: int, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes, int]:
    return status, headers, body[: len(body) // 2], len(body)


def no_dicom_inside(
    status: int, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes, int]:
    return status, headers, body.replace(b"DICM", b"XXXX"), len(body)


def cut_value(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes, int]:
    """The multipart is whole, the object in it is not: the end of its pixels is missing."""
    end = body.rindex(b"\r\n--")
    return status, headers, body[: end - 500] + body[end:], len(body)


DAMAGES = [server_error, too_many, cut_connection, cut_multipart, no_dicom_inside, cut_value]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_answer_is_asked_for_again(broken, slices: list[Dataset], damage) -> None:
    address = broken(lambda n, *answer: damage(*answer) if n == 0 else (*answer, len(answer[2])))
    with DicomwebConnection(PacsAddress.parse(address), FAST) as pacs:
        whole = pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)
        assert whole is not None
        assert whole.PixelData == slices[0].PixelData
        assert (pacs.traffic.requests, pacs.traffic.retries) == (2, 1)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_answer_that_stays_damaged_is_an_error(broken, slices: list[Dataset], damage) -> None:
    address = broken(lambda _n, *answer: damage(*answer))
    with DicomwebConnection(PacsAddress.parse(address), FAST) as pacs, pytest.raises(PacsUnreachableError):
        pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)


def test_another_object_than_asked_for_is_not_taken(broken, slices: list[Dataset]) -> None:
    wanted, other = str(slices[0].SOPInstanceUID), str(slices[1].SOPInstanceUID)
    same_length = other[: len(wanted)].ljust(len(wanted), "0").encode()
    address = broken(lambda _n, s, h, body: (s, h, body.replace(wanted.encode(), same_length), len(body)))
    with DicomwebConnection(PacsAddress.parse(address), FAST) as pacs, pytest.raises(PacsUnreachableError):
        pacs.retrieve_instance(STUDY, SERIES, wanted)


def test_tls_by_a_certificate_of_ones_own(broken, slices: list[Dataset], tmp_path) -> None:
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
    address = PacsAddress.parse(broken(lambda _n, *answer: (*answer, len(answer[2])), context))
    assert address.secure
    with DicomwebConnection(address, PacsSettings(ca=certificate)) as pacs:
        whole = pacs.retrieve_instance(STUDY, SERIES, slices[0].SOPInstanceUID)
        assert whole is not None
        assert whole.PixelData == slices[0].PixelData
    with DicomwebConnection(address, FAST) as pacs, pytest.raises(PacsUnreachableError, match="--ca"):
        list(pacs.search_studies())
    assert pacs.traffic.retries == 0


def test_a_slow_answer_times_out(broken, slices: list[Dataset]) -> None:
    import time

    def slow(number: int, *answer):
        time.sleep(2.0 if number == 0 else 0.0)
        return (*answer, len(answer[2]))

    settings = PacsSettings(retries=1, backoff_s=0.01, timeout_s=0.5)
    with DicomwebConnection(PacsAddress.parse(broken(slow)), settings) as pacs:
        assert len(list(pacs.search_series(STUDY))) == 1
        assert pacs.traffic.retries == 1


def test_the_rate_is_kept(orthanc: Orthanc, slices: list[Dataset]) -> None:
    import time

    with connect(orthanc, PacsSettings(rate=20)) as pacs:
        started = time.monotonic()
        for _ in range(6):
            list(pacs.search_series(STUDY))
        assert time.monotonic() - started >= 5 / 20
