"""Both databases: every test of the store runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools

import pytest
from postgres import PASSWORD, create_database, server, why_not

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server():
    """The URL of a PostgreSQL server, without a database."""
    if why_not():
        pytest.skip(why_not())
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path, monkeypatch) -> str:
    """The URL of an empty database; its password is in the environment, as for any program of PostgreSQL."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.sqlite'}"
    return create_database(request.getfixturevalue("postgres_server"), f"catalogue_{next(_numbers)}")
