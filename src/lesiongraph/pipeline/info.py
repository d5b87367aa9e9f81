"""What is installed and what a workspace holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lesiongraph.bodypart import SsbrModel
from lesiongraph.embedding import packaged_trunk_info
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.workspace import RunReport, Workspace


def describe(path: Path) -> dict[str, dict[str, Any]]:
    """Return versions, packaged weights, and the stages and counts of the workspace at `path`."""
    ssbr = SsbrModel.load()
    facts: dict[str, dict[str, Any]] = {
        "versions": RunReport("info").as_dict()["versions"],
        "packaged weights": {ssbr.name: ssbr.sha256, **packaged_trunk_info()},
    }
    workspace = Workspace(path)
    names = workspace.stage_names()
    stages = {stage: f"done, key {workspace.key(stage)}" for stage in names if not _of_a_run(stage)}
    if runs := sum(map(_of_a_run, names)):
        stages["saved runs and scores of reproduce"] = str(runs)
    facts["workspace"] = {"path": str(path), **(stages or {"stages": "none yet: start with `mine`"})}
    if workspace.has("catalogue"):
        catalogue = read_catalogue(workspace)
        lesions = catalogue.lesions
        facts["catalogue"] = {
            "lesions": len(lesions),
            **{f"status {k}": int(v) for k, v in lesions.status.value_counts().items()},
            **{f"source {k}": int(v) for k, v in lesions.source.value_counts().items()},
            "patients": int(lesions.patient_id.nunique()),
            "series": len(catalogue.series),
        }
    return facts


def _of_a_run(stage: str) -> bool:
    return stage.startswith(("run_", "scores_"))
