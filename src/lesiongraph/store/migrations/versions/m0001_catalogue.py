"""The catalogue's tables, who found what, who decided what.

The columns are written out as they were: `lesion.schema` goes on changing, this step does not.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT, _NUMBER, _WHOLE, _FLAG = sa.Text, sa.Double, sa.BigInteger, sa.Boolean
_LESIONS = [
    (_TEXT, "lesion_id patient_id study_instance_uid study_date series_instance_uid sop_instance_uid"),
    (_WHOLE, "slice_index"),
    (_TEXT, "source source_path source_item image status reason flags"),
    (
        _NUMBER,
        "long_x0 long_y0 long_x1 long_y1 short_x0 short_y0 short_x1 short_y1 x0 y0 x1 y1 long_px "
        "short_px long_mm short_mm",
    ),
    (_WHOLE, "columns rows"),
    (_NUMBER, "spacing_x_mm spacing_y_mm x_stated y_stated z_stated"),
    (_TEXT, "type"),
    (_FLAG, "possibly_noisy"),
    (_TEXT, "split finding finding_site tracking_uid patient_sex"),
    (_NUMBER, "patient_age"),
]
_SERIES = [
    (_TEXT, "series_instance_uid study_instance_uid patient_id study_date kind description kernel"),
    (_WHOLE, "columns rows"),
    (_NUMBER, "spacing_x_mm spacing_y_mm slice_interval_mm slice_thickness_mm"),
    (_WHOLE, "slices"),
    (_TEXT, "body_part_examined"),
    (_FLAG, "flip_x flip_y"),
    (_TEXT, "flags"),
]
_SLICES = [
    (_TEXT, "series_instance_uid"),
    (_WHOLE, "slice_index"),
    (_NUMBER, "position_mm"),
    (_TEXT, "sop_instance_uid path"),
    (_WHOLE, "frame"),
]
_LANDMARKS = [
    (_TEXT, "series_instance_uid name"),
    (_NUMBER, "top_index bottom_index centre_index"),
    (_TEXT, "source_path"),
]


def upgrade() -> None:
    """Make the tables."""
    _catalogue("lesions", _LESIONS, ["lesion_id"])
    _catalogue("series", _SERIES, ["series_instance_uid"])
    _catalogue("slices", _SLICES, ["series_instance_uid", "slice_index"])
    _catalogue("landmarks", [*_LANDMARKS, (_WHOLE, "number")], ["series_instance_uid", "number"])
    about = op.create_table("about", _text("name", key=True), _text("value"))
    op.bulk_insert(
        about, [{"name": "store_id", "value": uuid.uuid4().hex}, {"name": "revision", "value": "0"}]
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        *map(_text, ("verb", "started_at", "version", "workspace", "sources", "rows_written")),
    )
    op.create_table(
        "seen",
        *(_text(name, key=True) for name in ("kind", "name")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("first_run", "last_run")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True),
        *map(_text, ("lesion_id", "other_lesion_id", "kind", "value", "decided_by", "decided_at", "note")),
        sqlite_autoincrement=True,
    )


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=False)


def _catalogue(name: str, kinds: list[tuple[type, str]], key: list[str]) -> None:
    columns = [
        sa.Column(column, kind(), primary_key=column in key, nullable=column not in key, autoincrement=False)
        for kind, names in kinds
        for column in names.split()
    ]
    op.create_table(
        name, *columns, sa.Column("changed_run", sa.Integer, nullable=False), sqlite_with_rowid=False
    )
