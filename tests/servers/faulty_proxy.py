"""An HTTP proxy on loopback before a real PACS, that misbehaves on request and counts what passes.

Faults are what hospitals' networks do: a server error, a slow answer, a connection cut in the middle, a
multipart body that is damaged, a server that is gone for a while, a login that is asked for.
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
from pathlib import Path
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass
class Fault:
    """What happens to the requests whose method and path match, `times` times after `after` good ones."""

    pattern: str  # of "GET /path?query"
    kind: str  # status | slow | cut | corrupt | refuse
    times: int = 1
    after: int = 0
    status: int = 500
    seconds: float = 0.0
    met: int = 0
    done: int = 0

    def strikes(self, request: str) -> bool:
        """Whether this request is to fail; counts it."""
        if self.done >= self.times or not re.search(self.pattern, request):
            return False
        self.met += 1
        if self.met <= self.after:
            return False
        self.done += 1
        return True


@dataclass
class ProxyLog:
    """What passed: one entry a request, in the order of the answers."""

    requests: list[tuple[str, int, int]] = field(default_factory=list)  # "GET /path", status, bytes of body

    @property
    def bytes_sent(self) -> int:
        """Bytes of the answers' bodies, as the client received them."""
        return sum(size for _, _, size in self.requests)

    def matching(self, pattern: str) -> list[tuple[str, int, int]]:
        """Return the entries whose request matches."""
        return [entry for entry in self.requests if re.search(pattern, entry[0])]


class FaultyProxy:
    """The proxy; `url` replaces the PACS's own address."""

    def __init__(
        self, upstream: str, *, token: str = "", basic: str = "", certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.upstream = urlsplit(upstream)
        self.faults: list[Fault] = []
        self.log = ProxyLog()
        self.on_request: Callable[[str], None] = lambda request: None
        self._expected = {f"Bearer {token}"} if token else {f"Basic {basic}"} if basic else set()
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def fail(self, pattern: str, kind: str, **how: float) -> Fault:
        """Add a fault and return it: `done` says how often it struck."""
        fault = Fault(pattern, kind, **how)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def allowed(self, header: str) -> bool:
        """Whether the Authorization header is the one asked for."""
        return not self._expected or header in self._expected

    def fault_for(self, request: str) -> Fault | None:
        """Return the first fault that strikes this request."""
        with self._lock:
            return next((fault for fault in self.faults if fault.strikes(request)), None)

    def record(self, request: str, status: int, size: int) -> None:
        """Note one answer."""
        with self._lock:
            self.log.requests.append((request, status, size))


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: pytest's output is not the place."""

    def do_GET(self) -> None:
        """Pass the request on, or fail as told."""
        request = f"{self.command} {self.path}"
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        self.owner.on_request(request)
        if not self.owner.allowed(self.headers.get("Authorization", "")):
            self._answer(request, 401, {}, b"")
            return
        fault = self.owner.fault_for(request)
        if fault is not None and fault.kind == "status":
            self._answer(request, fault.status, {"Retry-After": "0"}, b"the proxy was told to fail")
            return
        if fault is not None and fault.kind == "refuse":
            self._cut()
            return
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.seconds)
        status, headers, answer = self._upstream(body)
        if fault is not None and fault.kind == "corrupt":
            answer = answer[: len(answer) // 3] + bytes(64) + answer[2 * len(answer) // 3 :]
        if fault is not None and fault.kind == "cut":
            self._answer(request, status, headers, answer, sent=len(answer) // 2)
            self._cut()
            return
        self._answer(request, status, headers, answer)

    do_POST = do_GET  # noqa: N815  names that http.server asks for
    do_PUT = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def _chunks(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _upstream(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        target = self.owner.upstream
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
        kept = {k: v for k, v in self.headers.items() if k.lower() not in {*HOP_BY_HOP, "authorization"}}
        try:
            connection.request(self.command, self.path, body or None, kept)
            answer = connection.getresponse()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP}
            return answer.status, headers, answer.read()
        except OSError:
            return 502, {}, b"the PACS behind the proxy does not answer"
        finally:
            connection.close()

    def _answer(
        self, request: str, status: int, headers: dict[str, str], body: bytes, sent: int | None = None
    ) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:sent])
            self.wfile.flush()
        except OSError:  # the client went away first
            self.close_connection = True
        self.owner.record(request, status, len(body[:sent]))

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty_proxy(
    upstream: str, *, token: str = "", basic: str = "", certificate: tuple[Path, Path] | None = None
) -> Iterator[FaultyProxy]:
    """Serve before `upstream` as long as the block runs."""
    proxy = FaultyProxy(upstream, token=token, basic=basic, certificate=certificate)
    try:
        yield proxy
    finally:
        proxy.close()
