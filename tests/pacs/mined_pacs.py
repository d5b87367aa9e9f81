"""A PACS mined into a workspace, and two workspaces compared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lesiongraph.mining.pacs import PacsSettings
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import PacsOptions
from lesiongraph.workspace import RunReport, Workspace

FAST = PacsSettings(retries=1, backoff_s=0.01, timeout_s=10)
OPTIONS = PacsOptions(FAST, step_mm=60.0)
PATHS = ["source_path", "image"]


def pull(workspace: Path, address: str, options: PacsOptions = OPTIONS) -> RunReport:
    """Mine a PACS."""
    return mine(Workspace(workspace), [address], pacs=options)


def same_rows(one: Path, other: Path) -> None:
    """Check that two workspaces hold the same catalogue, but for where its objects lie."""
    a, b = read_catalogue(Workspace(one)), read_catalogue(Workspace(other))
    pd.testing.assert_frame_equal(a.lesions.drop(columns=PATHS), b.lesions.drop(columns=PATHS))
    pd.testing.assert_frame_equal(a.series, b.series)
    slices = [one.slices.whole().drop(columns="path") for one in (a, b)]
    pd.testing.assert_frame_equal(*slices)
    pd.testing.assert_frame_equal(
        a.landmarks.drop(columns="source_path"), b.landmarks.drop(columns="source_path")
    )
