"""A table of true lesion identities → the identity of each mark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lesiongraph.errors import TableSchemaError

TRACKING_UID = "tracking_uid"
LESION_ID = "lesion_id"  # stands for the tracking UID where marks carry none


def read_instances(truth: Path) -> pd.Series:
    """Return the true lesion identity of each mark, by tracking UID or, in its place, by lesion id.

    Raises
    ------
    TableSchemaError
        If the file cannot be read or lacks a column.
    """
    return _read(truth, "lesion")


def read_true_types(truth: Path) -> pd.Series:
    """Return the true type of each mark, by tracking UID or, in its place, by lesion id.

    Raises
    ------
    TableSchemaError
        If the file cannot be read or lacks a column.
    """
    return _read(truth, "type")


def true_lesions(lesions: pd.DataFrame, instances: pd.Series) -> pd.Series:
    """Return the identity of each lesion by its tracking UID, else by its id; "" where it is unknown."""
    found = lesions.tracking_uid.map(instances)
    return found.where(found.notna(), lesions.lesion_id.map(instances)).fillna("")


def _read(truth: Path, column: str) -> pd.Series:
    wanted = (TRACKING_UID, column)
    try:
        table = pd.read_csv(truth, dtype=str).fillna("")
    except (OSError, ValueError) as error:
        raise TableSchemaError(truth, f"a CSV with columns {', '.join(wanted)}", str(error)) from error
    if TRACKING_UID not in table and LESION_ID in table:
        table = table.rename(columns={LESION_ID: TRACKING_UID})
    missing = [name for name in wanted if name not in table]
    if missing:
        raise TableSchemaError(truth, f"columns {', '.join(wanted)}", f"no {', '.join(missing)}")
    table = table[table.tracking_uid != ""].drop_duplicates(TRACKING_UID)
    return table.set_index(TRACKING_UID)[column]
