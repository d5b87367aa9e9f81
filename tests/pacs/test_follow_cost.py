"""A new study does not cost the others: what `locate` and `embed` found of unchanged series is taken over."""

from pathlib import Path

import numpy as np
import pandas as pd
from small_hospital import write_hospital, write_study

from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import RunReport, Workspace


def take(workspace: Path, *sources: Path) -> tuple[RunReport, RunReport]:
    opened = Workspace(workspace)
    mine(opened, sources)
    return locate(opened), embed(opened)


def test_one_more_study_costs_one_series(tmp_path: Path) -> None:
    write_hospital(tmp_path / "old", ("SMALL-1", "SMALL-5"))
    write_study(tmp_path / "new", "SMALL-1", "20210301", shift=1)
    take(tmp_path / "grown", tmp_path / "old")
    located, embedded = take(tmp_path / "grown", tmp_path / "new")
    assert located.counts["series as located before"] == 3
    assert located.counts["series located"] == 4
    assert embedded.counts["patches taken over"] == 12
    take(tmp_path / "whole", tmp_path / "old", tmp_path / "new")
    grown, whole = Workspace(tmp_path / "grown"), Workspace(tmp_path / "whole")
    for name, key in (("locations", "lesion_id"), ("series_locations", "series_instance_uid")):
        a, b = (w.open("locations", "locate").read_table(name) for w in (grown, whole))
        pd.testing.assert_frame_equal(
            a.sort_values(key).reset_index(drop=True), b.sort_values(key).reset_index(drop=True)
        )
    a, b = (w.open("embedding", "embed") for w in (grown, whole))
    assert list(a.read_table("ids").lesion_id) == list(b.read_table("ids").lesion_id)
    np.testing.assert_allclose(a.read_array("vectors"), b.read_array("vectors"), atol=1e-6)


def test_a_series_that_changed_is_located_anew(tmp_path: Path) -> None:
    write_hospital(tmp_path / "old", ("SMALL-1", "SMALL-5"))
    missing = sorted((tmp_path / "old" / "SMALL-1" / "20200110").glob("ct-*"))[5]
    held = missing.read_bytes()
    missing.unlink()
    take(tmp_path / "w", tmp_path / "old")
    missing.write_bytes(held)
    located, embedded = take(tmp_path / "w", tmp_path / "old")
    assert located.counts["series as located before"] == 2
    assert embedded.counts["patches taken over"] == 8
