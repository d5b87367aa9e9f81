"""Fixtures shared by all tests: a small hospital, a worked workspace, the command line, real servers."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from made_once import made_once
from postgres import PASSWORD, create_database, server, why_not
from stages import STAGES

from orthanc import Orthanc, missing

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several test processes share two cores


class Ran(NamedTuple):
    """What a run of the command line left."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
_databases = itertools.count()


@pytest.fixture
def cli(capsys, monkeypatch) -> Cli:
    """Run `lesiongraph` in this process: `cli("mine", source, "-w", w)`."""

    def run(*arguments: object) -> Ran:
        from lesiongraph.cli import main

        monkeypatch.setattr(sys, "argv", ["lesiongraph", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return Ran(int(left.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory) -> Iterator[Orthanc]:
    """An empty Orthanc (DICOMweb and DIMSE) for the tests of one module."""
    if missing():
        pytest.skip(missing())
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
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
    return create_database(request.getfixturevalue("postgres_server"), f"catalogue_{next(_databases)}")


@pytest.fixture(autouse=True)
def keys_elsewhere(tmp_path_factory, monkeypatch) -> None:
    """No test writes key files into the home of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture(scope="session")
def small_hospital(tmp_path_factory) -> Path:
    """A folder of DICOM: eight patients with marks as SR (read-only by agreement)."""
    from small_hospital import write_hospital

    return made_once(tmp_path_factory, "small-hospital", write_hospital)


@pytest.fixture(scope="session")
def worked_workspace(tmp_path_factory, small_hospital) -> Path:
    """A workspace of that hospital, from mined to matched (read-only by agreement)."""

    def work(path: Path) -> None:
        from lesiongraph.cli.app import app

        for verb, *options in (("mine", str(small_hospital)), *STAGES):
            app([verb, *options, "-w", str(path)], standalone_mode=False)

    return made_once(tmp_path_factory, "worked-workspace", work)


@pytest.fixture
def workspace(worked_workspace, tmp_path) -> Path:
    """A copy of that workspace that a test may change."""
    return Path(shutil.copytree(worked_workspace, tmp_path / "workspace"))
