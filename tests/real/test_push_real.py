"""Reports on real studies: headers with the quirks of real archives, marks from SEG."""

import shutil
import subprocess
from pathlib import Path

import highdicom as hd
import pytest

from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.push import push_to_pacs
from lesiongraph.workspace import Workspace


@pytest.mark.real
@pytest.mark.slow
def test_a_report_on_a_real_study_is_valid(real_data: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    mine(workspace, [real_data / "dicom" / "LIDC-IDRI-0001"])
    locate(workspace, workers=1)
    embed(workspace)
    match(workspace)
    report = push_to_pacs(workspace, None, dry_run=tmp_path / "out")
    assert (report.counts["reports stored"], report.counts["failures"]) == (1, 0)
    (path,) = (tmp_path / "out").iterdir()
    groups = hd.sr.srread(path).content.get_image_measurement_groups()
    assert len(groups) == report.counts["lesions of the catalogue"] > 0
    assert len({str(group.tracking_uid) for group in groups}) == report.counts["lesion groups"]
    if shutil.which("dciodvfy") is None:
        pytest.skip("the rest needs dciodvfy (apt-get install dicom3tools)")
    ran = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    assert not [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")]
