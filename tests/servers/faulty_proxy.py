"""An HTTP proxy on loopback before a real PACS, that damages answers as told and notes what passes.

Damages are what hospitals' networks do: a server error, a slow answer, a connection cut in the middle, a
multipart body without its end, an object that is not whole, a server that is gone for a while.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

# of a connection, not of what is asked; and damages are done to what is not compressed
NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding"}
FOR_EVER = 10**9


class Answer(NamedTuple):
    """An answer on its way to the client; the connection is cut after `sent` bytes of the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int = FOR_EVER


Damage = Callable[[Answer], Answer]


def status(code: int) -> Damage:
    """An error of the server's own, which asks to come back at once."""
    return lambda _: Answer(code, {"Retry-After": "0"}, b"the proxy was told to fail")


def slow(seconds: float) -> Damage:
    """An answer that takes its time."""

    def wait(answer: Answer) -> Answer:
        time.sleep(seconds)
        return answer

    return wait


def cut_connection(answer: Answer) -> Answer:
    """Half of the body, then the end of the connection."""
    return answer._replace(sent=len(answer.body) // 2)


def no_answer(answer: Answer) -> Answer:
    """The connection is cut before the first byte of the body."""
    return answer._replace(sent=0)


def cut_multipart(answer: Answer) -> Answer:
    """Half of the body, as if that were all."""
    return answer._replace(body=answer.body[: len(answer.body) // 2])


def no_dicom_inside(answer: Answer) -> Answer:
    """A whole multipart whose part is no DICOM."""
    return answer._replace(body=answer.body.replace(b"DICM", b"XXXX"))


def cut_value(answer: Answer) -> Answer:
    """A whole multipart around an object that lacks the end of its last value; no length is stated."""
    body = re.sub(rb"(?i)content-length: *\d+\r\n", b"", answer.body)
    end = body.rindex(b"\r\n--")
    return answer._replace(body=body[: end - 500] + body[end:])


def cut_middle(answer: Answer) -> Answer:
    """A whole multipart around an object that lacks some of its middle."""
    middle = len(answer.body) // 2
    return answer._replace(body=answer.body[: middle - 50] + answer.body[middle + 50 :])


DAMAGES: list[Damage] = [
    status(500),
    status(429),
    cut_connection,
    no_answer,
    cut_multipart,
    no_dicom_inside,
    cut_value,
    cut_middle,
]


@dataclass
class Fault:
    """Which requests ("GET /path?query") meet a damage: `times` of them, after `after` good ones."""

    pattern: str
    damage: Damage
    times: int = FOR_EVER
    after: int = 0
    met: int = 0
    done: int = 0

    def strikes(self, request: str) -> bool:
        """Whether this request is to be damaged; counts it."""
        if self.done >= self.times or not re.search(self.pattern, request):
            return False
        self.met += 1
        if self.met <= self.after:
            return False
        self.done += 1
        return True


@dataclass
class FaultyProxy:
    """The proxy: `url` replaces the PACS's own address.

    Attributes
    ----------
    faults : list of Fault
        Taken away, the PACS is well again.
    requests : list of str
        What passed, in the order of the answers.
    """

    url: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def dicomweb(self) -> str:
        """The address of Orthanc's DICOMweb behind it."""
        return f"dicomweb+{self.url}/dicom-web"

    def fail(self, pattern: str, damage: Damage, **how: int) -> Fault:
        """Add a fault and return it: `done` says how often it struck."""
        fault = Fault(pattern, damage, **how)
        self.faults.append(fault)
        return fault

    def fault_for(self, request: str) -> Fault | None:
        """Return the first fault that strikes this request."""
        with self.lock:
            return next((fault for fault in self.faults if fault.strikes(request)), None)


@contextmanager
def faulty_proxy(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[FaultyProxy]:
    """Serve before `upstream` (http://host:port) as long as the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        # the handshake comes in the thread of its request: a client that gives up must not end the server
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    proxy = FaultyProxy(f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}")
    server.owner, server.upstream = proxy, urlsplit(upstream)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: pytest's output is not the place."""

    def do_GET(self) -> None:
        """Pass a request on, and its answer back, damaged as told."""
        request = f"{self.command} {self.path}"
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        fault = self.server.owner.fault_for(request)  # type: ignore[attr-defined]
        answer = self._upstream(body)
        if fault is not None:
            answer = fault.damage(answer)
        with suppress(OSError):  # a client may have gone away first
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: answer.sent])
            self.wfile.flush()
        if answer.sent < len(answer.body):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        with self.server.owner.lock:  # type: ignore[attr-defined]
            self.server.owner.requests.append(request)  # type: ignore[attr-defined]

    do_POST = do_GET  # noqa: N815  a name that http.server asks for

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _upstream(self, body: bytes) -> Answer:
        target = self.server.upstream  # type: ignore[attr-defined]
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        try:
            connection.request(self.command, self.path, body or None, kept)
            answer = connection.getresponse()
            headers = {
                name: value for name, value in answer.getheaders() if name.lower() not in NOT_PASSED_ON
            }
            return Answer(answer.status, headers, answer.read())
        except OSError:
            return Answer(502, {}, b"the PACS behind the proxy does not answer")
        finally:
            connection.close()
