"""Takes stage results, keeps them in one folder, gives them back whole or not at all (no paper part)."""

from lesiongraph.workspace.report import RunReport
from lesiongraph.workspace.store import LAYOUT_VERSION, StageFolder, Workspace, fingerprint

__all__ = ["LAYOUT_VERSION", "RunReport", "StageFolder", "Workspace", "fingerprint"]
