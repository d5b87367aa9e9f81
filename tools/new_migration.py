"""Draft the next step of the catalogue's database: `python tools/new_migration.py "what changes"`.

Compares the tables that the steps make with those of today (`lesion/schema.py`, `store/tables.py`). Read what
it writes before you commit it: a renamed column looks like one gone and one new.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from lesiongraph.store.address import StoreAddress
from lesiongraph.store.connecting import make_engine, writing
from lesiongraph.store.migrating import VERSION_TABLE, newest_revision, upgrade
from lesiongraph.store.tables import METADATA

_STEPS = Path(__file__).parents[1] / "src" / "lesiongraph" / "store" / "migrations" / "versions"
_TEMPLATE = '''"""{message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{former}"


def upgrade() -> None:
    """{message}."""
    {body}
'''


def main() -> None:
    """Write the step, or say that none is due."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    message, former = sys.argv[1].rstrip("."), newest_revision()
    with tempfile.TemporaryDirectory() as folder:
        address = StoreAddress.of_file(Path(folder) / "empty.sqlite")
        with writing(make_engine(address), address) as connection:
            upgrade(connection)
            options = {"version_table": VERSION_TABLE, "compare_type": True}
            steps = produce_migrations(MigrationContext.configure(connection, opts=options), METADATA)
    if steps.upgrade_ops is None or steps.upgrade_ops.is_empty():
        sys.exit("The steps lead to the tables of today: nothing to write.")
    revision = f"{int(former) + 1:04d}"
    body = render_python_code(steps.upgrade_ops, render_as_batch=False)
    words = "_".join("".join(c if c.isalnum() else " " for c in message.lower()).split()[:4])
    path = _STEPS / f"m{revision}_{words}.py"
    path.write_text(_TEMPLATE.format(message=message, revision=revision, former=former, body=body.strip()))
    print(path)


if __name__ == "__main__":
    main()
