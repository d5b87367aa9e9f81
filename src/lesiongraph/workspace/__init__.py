"""Takes stage results, keeps them in one folder, gives them back whole or not at all (no paper part)."""

from lesiongraph.workspace.damaged import DamagedResultError
from lesiongraph.workspace.report import RunReport
from lesiongraph.workspace.sorted_table import SortedTable, write_sorted
from lesiongraph.workspace.store import (
    LAYOUT_VERSION,
    StageFolder,
    Workspace,
    fingerprint,
    is_disk_full,
)

__all__ = [
    "LAYOUT_VERSION",
    "DamagedResultError",
    "RunReport",
    "SortedTable",
    "StageFolder",
    "Workspace",
    "fingerprint",
    "is_disk_full",
    "write_sorted",
]
