"""Where a catalogue's database lies: a URL, told without its password."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from lesiongraph.errors import UsageError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True)
class StoreAddress:
    """A database of SQLite (a file) or PostgreSQL (a server).

    `str` gives the URL without any password; nothing else of it is ever printed or kept.
    """

    url: URL

    @staticmethod
    def parse(text: str) -> StoreAddress:
        """Read a URL: `sqlite:///FILE`, `postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE`.

        Raises
        ------
        UsageError
            If it is none, or of another kind of database.
        """
        expected = "expected sqlite:///FILE or postgresql+psycopg://USER@HOST:PORT/DATABASE"
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):  # the text may hold a password: it is not repeated
            raise UsageError(f"--store: not the address of a database; {expected}.") from None
        if url.get_backend_name() not in (SQLITE, POSTGRESQL) or not url.database:
            raise UsageError(f"--store {_told(url)}: {expected}.")
        if url.get_backend_name() == POSTGRESQL:
            return StoreAddress(url.set(drivername="postgresql+psycopg"))
        return StoreAddress.of_file(Path(url.database))

    @staticmethod
    def of_file(path: Path) -> StoreAddress:
        """Return the address of a SQLite file."""
        return StoreAddress(URL.create("sqlite+pysqlite", database=str(path.absolute())))

    @property
    def file(self) -> Path | None:
        """The SQLite file, None for a server."""
        return Path(str(self.url.database)) if self.url.get_backend_name() == SQLITE else None

    def same_place(self, other: StoreAddress) -> bool:
        """Whether both name one database, whatever the password."""
        return str(self) == str(other)

    def __str__(self) -> str:
        return _told(self.url)


def _told(url: URL) -> str:
    plain = url._replace(password=None).difference_update_query(_SECRETS)  # `set` takes None for unchanged
    return plain.render_as_string(hide_password=False)
