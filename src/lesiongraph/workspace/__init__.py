"""Takes stage results, keeps them in one folder, gives them back whole or not at all (no paper part)."""

from lesiongraph.workspace.report import RunReport
from lesiongraph.workspace.store import (
    LAYOUT_VERSION,
    DamagedResultError,
    StageFolder,
    Workspace,
    fingerprint,
    is_disk_full,
)

__all__ = [
    "LAYOUT_VERSION",
    "DamagedResultError",
    "RunReport",
    "StageFolder",
    "Workspace",
    "fingerprint",
    "is_disk_full",
]
