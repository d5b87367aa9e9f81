"""A phantom hospital on disk goes through the command line, and what is mined is what was marked."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


def test_from_phantom_to_report(cli, tmp_path):
    hospital, work = tmp_path / "hospital", tmp_path / "work"
    made = json.loads(
        cli("phantom", "--patients", 4, "--seed", 69, "--rows", 96, "--out", hospital, "--json").out
    )["counts"]
    mined = json.loads(cli("mine", hospital / "dicom", "-w", work, "--json").out)
    assert mined["counts"]["marks kept"] + mined["counts"]["marks rejected"] >= made["marks"]
    assert mined["counts"]["marks rejected"] <= made["wrong_on_purpose"] + 4 * made["gsps"]
    assert not [reason for reason in mined["rejected"] if "body" in reason or "unreadable" in reason]

    located = json.loads(cli("locate", "-w", work, "--json").out)
    assert located["counts"]["lesions located"] == mined["counts"]["marks kept"]
    assert cli("embed", "-w", work).code == 0
    assert cli("catalogue", "-w", work, "--csv", tmp_path / "c.csv").code == 0
    catalogue = pd.read_csv(tmp_path / "c.csv").query("status == 'kept'")
    truth = pd.read_csv(hospital / "truth" / "truth.csv").set_index("tracking_uid")
    known = catalogue[catalogue.tracking_uid.isin(truth.index.dropna())]
    assert len(known) >= made["marks"] / 2
    true = truth.loc[known.tracking_uid]
    for end in ("long_x0", "long_y0", "long_x1", "long_y1"):  # as the radiologist drew them, wobble and all
        np.testing.assert_allclose(known[end], true[end], atol=0.02)
    assert (true.type.to_numpy() == known.type.to_numpy())[known.type.notna().to_numpy()].all()

    lesion = known.lesion_id.iloc[0]
    hits = json.loads(cli("search", lesion, "-w", work, "--feature", "initial", "--json").out)["hits"]
    assert len(hits) == 9
    assert cli("match", "-w", work, "--feature", "initial").code == 0
    ran = cli("report", "-w", work, "--truth", hospital / "truth" / "truth.csv")
    assert Path(ran.out.splitlines()[-1]).stat().st_size > 100_000
