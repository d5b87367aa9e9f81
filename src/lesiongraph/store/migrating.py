"""Bring a database to the tables of today: every step missing, in one transaction, or none."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from lesiongraph.errors import StoreVersionError

VERSION_TABLE = "lesiongraph_version"
_SCRIPTS = Path(__file__).parent / "migrations"


def alembic_config() -> Config:
    """Return the settings with which alembic finds the steps inside the package."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def scripts() -> ScriptDirectory:
    """Return the steps."""
    return ScriptDirectory.from_config(alembic_config())


def newest_revision() -> str:
    """Return the name of the last step that this lesiongraph knows."""
    return str(scripts().get_current_head())


def revision_of(connection: Connection) -> str:
    """Return the step that a database stands at, "" for an empty one."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision() or ""


def check_revision(connection: Connection, where: str) -> bool:
    """Return whether a database stands at the newest step.

    Raises
    ------
    StoreVersionError
        If it stands at a step that this lesiongraph does not know.
    """
    found, known = revision_of(connection), scripts()
    if found and found not in {script.revision for script in known.walk_revisions()}:
        raise StoreVersionError(where, found, str(known.get_current_head()))
    return found == known.get_current_head()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Take the steps up to one, within the caller's transaction.

    Parameters
    ----------
    connection : Connection
        In a writing transaction, so that two processes do not upgrade at once.
    to : str
        The name of a step; the newest by default.
    """
    known = scripts()
    with EnvironmentContext(
        alembic_config(),
        known,
        fn=lambda revision, _context: known._upgrade_revs(to, revision),
        destination_rev=to,
    ) as environment:
        # the transaction is the caller's: alembic must neither begin nor commit one
        environment.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=False)
        environment.run_migrations()
