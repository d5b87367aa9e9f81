"""The key file: the secret of the pseudonyms, and which original each of them stands for.

An SQLite file with mode 0600. Rows are only ever added. What one data set adds is one transaction, written
before the data set goes on, so a killed run leaves no object whose original is unknown.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

from lesiongraph.errors import LesionGraphError

_APPLICATION_ID = 0x4C47_4B59  # "LGKY" in the header of the SQLite file
_SECRET_BYTES = 32
_REMEMBERED = 500_000  # pseudonyms known to be in the file already
_SCHEMA = """
CREATE TABLE secret (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value BLOB NOT NULL);
CREATE TABLE uids (pseudonym TEXT PRIMARY KEY, original TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE patients (pseudonym TEXT PRIMARY KEY, original TEXT NOT NULL) WITHOUT ROWID;
"""
_ADDED_TO_ONLY = """
CREATE TRIGGER {table}_stays_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'a key file is only added to'); END;
"""


class KeyFileError(LesionGraphError):
    """A key file is absent, open to others, in the wrong place or no key file."""

    def __init__(self, path: Path, found: str, next_step: str) -> None:
        self.path = path
        self.found = found
        super().__init__(f"{path}: expected a lesiongraph key file, found {found}. {next_step}")


class WrongKeyError(LesionGraphError):
    """The key file is not the one that the workspace was de-identified with."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(
            f"{path}: expected the key {expected}, with which this workspace was de-identified; this file "
            f"holds the key {found}. Give the right file with --key, or use another workspace."
        )


class KeyFile:
    """An open key file; use it as a context manager, or close it.

    Raises
    ------
    KeyFileError
        If the file is absent, no key file, or readable by others.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_file(path)
        self._lock = threading.Lock()
        self._known: set[str] = set()
        try:
            self._connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
            self.secret = self._read_secret()
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing
        except sqlite3.DatabaseError as error:
            raise KeyFileError(path, str(error), "Give the right file with --key.") from error

    @classmethod
    def create(cls, path: Path, secret: bytes | None = None) -> KeyFile:
        """Make a new key file, with a new secret, and open it; of two processes one makes it.

        Raises
        ------
        FileExistsError
            If there is a file already.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with contextlib.closing(sqlite3.connect(part)) as connection:
                connection.executescript(_SCHEMA + f"PRAGMA application_id = {_APPLICATION_ID};")
                for table in ("secret", "uids", "patients"):
                    for verb in ("UPDATE", "DELETE"):
                        connection.executescript(_ADDED_TO_ONLY.format(table=table, verb=verb))
                value = secret or secrets.token_bytes(_SECRET_BYTES)
                connection.execute("INSERT INTO secret VALUES (1, ?)", (value,))
                connection.commit()
            os.link(part, path)  # unlike a rename, this never replaces a key that someone else just made
        finally:
            part.unlink(missing_ok=True)
        return cls(path)

    @property
    def key_id(self) -> str:
        """A name for the secret that tells nothing about it, kept in the workspaces it was used for."""
        return key_id_of(self.secret)

    def remember(self, uids: Iterable[tuple[str, str]], patients: Iterable[tuple[str, str]] = ()) -> None:
        """Add (pseudonym, original) pairs in one transaction; pairs that are there already cost nothing."""
        with self._lock:
            new_uids = [pair for pair in uids if pair[0] not in self._known]
            new_patients = [pair for pair in patients if pair[0] not in self._known]
            if not new_uids and not new_patients:
                return
            with self._connection:
                self._connection.executemany("INSERT OR IGNORE INTO uids VALUES (?, ?)", new_uids)
                self._connection.executemany("INSERT OR IGNORE INTO patients VALUES (?, ?)", new_patients)
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known.update(pseudonym for pseudonym, _ in (*new_uids, *new_patients))

    def original(self, table: str, pseudonym: str) -> str | None:
        """Return the original of a pseudonym in `uids` or `patients`, None where it is unknown."""
        question = {
            "uids": "SELECT original FROM uids WHERE pseudonym = ?",
            "patients": "SELECT original FROM patients WHERE pseudonym = ?",
        }[table]
        with self._lock:
            row = self._connection.execute(question, (pseudonym,)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Close the file; the last one to close it folds the journal into it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> KeyFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_secret(self) -> bytes:
        if self._connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise KeyFileError(self.path, "another kind of file", "Give the right file with --key.")
        return bytes(self._connection.execute("SELECT value FROM secret").fetchone()[0])


def key_id_of(secret: bytes) -> str:
    """Return the public name of a secret."""
    return hmac.digest(secret, b"lesiongraph key id", "sha256").hex()[:12]


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise KeyFileError(path, "no file", "Give the right file with --key.")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(path, f"mode {mode:04o}, open to others", f"Run chmod 600 {path}.")


def open_or_create(path: Path) -> KeyFile:
    """Open a key file, made first where there is none."""
    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another process was quicker: its key is used
            return KeyFile.create(path)
    return KeyFile(path)
