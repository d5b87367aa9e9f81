"""A PostgreSQL server of our own: Debian's programs, a free port of the loopback, a temporary folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PASSWORD = "tell-nobody-17"
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
_START_S = 30


def why_not() -> str:
    """Return why no server can be started here, "" where one can."""
    if not _PROGRAMS:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    if os.geteuid() == 0 and not _users():
        return "PostgreSQL does not run as root, and there is no user postgres or nobody"
    return ""


def _users() -> list[str]:
    known = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
    return [name for name in ("postgres", "nobody") if name in known]


@contextlib.contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Run a server; give `postgresql+psycopg://user:password@host:port`. It is stopped by its own pid.

    A `durable` one flushes to the disk as a hospital's does; tests do without.
    """
    root = Path(tempfile.mkdtemp(prefix="lesiongraph-postgres-"))  # pytest's folders are root's alone
    apart = {"user": _users()[0]} if os.geteuid() == 0 else {}
    if apart:
        shutil.chown(root, apart["user"])
    data, secret, log = root / "data", root / "secret", root / "log"
    secret.write_text(PASSWORD + "\n")
    programs = _PROGRAMS[-1].parent
    init = ["-D", data, "-U", "lesiongraph", "-A", "scram-sha-256", f"--pwfile={secret}"]
    try:
        subprocess.run(
            [programs / "initdb", *init, "-N", "--no-locale", "-E", "UTF8"],
            check=True, capture_output=True, cwd=root, **apart,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1",
            "fsync": "on" if durable else "off",
            "unix_socket_directories": str(root),
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with log.open("wb") as written:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), *words],
                stdout=written, stderr=written, cwd=root, **apart,
            )  # fmt: skip
        try:
            _wait(process, port, log)
            yield f"postgresql+psycopg://lesiongraph:{PASSWORD}@127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nobody needs its data any more
            process.wait(_START_S)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _wait(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()}")


def create_database(url: str, name: str) -> str:
    """Create a database on the server; return its URL."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "") + "/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url}/{name}"
