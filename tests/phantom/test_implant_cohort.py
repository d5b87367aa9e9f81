"""A small cohort of grafted lesions: what mining reads is what the truth says, and the seed decides all."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from graft_backgrounds import NAMES, write_backgrounds

from lesiongraph.errors import NotEnoughDataError, UsageError
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.phantom.grafting import (
    CohortOptions,
    background_of,
    generate_cohort,
    read_grafted_truth,
)

PATIENTS, SEED = 4, 11


@pytest.fixture(scope="session")
def bodies(tmp_path_factory):
    return write_backgrounds(tmp_path_factory.mktemp("backgrounds"))


@pytest.fixture(scope="session")
def cohort(bodies, tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort") / "H"
    counts = generate_cohort(out, PATIENTS, _options(bodies))
    return out, counts


def _options(bodies: Path, **more: object) -> CohortOptions:
    return CohortOptions((bodies,), SEED, smallest_matrix=96, **more)


def _truth(out: Path) -> pd.DataFrame:
    return read_grafted_truth(out / "truth" / "truth.csv")


def _digests(out: Path) -> dict[str, str]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_mining_reads_every_mark_as_the_truth_has_it(cohort):
    out, counts = cohort
    truth = _truth(out)
    mined = mine_sources([out / "dicom"]).lesions
    right = truth[truth["marked"] & (truth["wrong_on_purpose"] == "")].set_index("tracking_uid")
    kept = mined[mined["status"] == "kept"].set_index("tracking_uid")
    assert len(right) == counts["marks"] > 10
    assert set(right.index) == set(kept.index) & set(right.index)
    both = kept.loc[right.index]
    for name in ("long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y1"):
        np.testing.assert_allclose(both[name], right[name], atol=0.01)
    assert (both["slice_index"] == right["slice_index"]).all()
    assert (both["type"] == right["type"].where(right["labelled"], "")).all()
    assert (np.abs(both["long_mm"] - right["long_mm"]) < 0.35 * right["long_mm"] + 4).all()


def test_the_truth_names_the_real_patient_as_text(cohort):
    out, _ = cohort
    assert set(background_of(_truth(out)).values()) == set(NAMES)


def test_lesions_lie_in_their_tissue(cohort, bodies):
    """The background's own pixels at the lesion's centre: air in lungs, and no air elsewhere."""
    out, _ = cohort
    real = mine_sources([bodies])
    truth = _truth(out).drop_duplicates("lesion")
    truth = truth[truth["lesion"] != ""]
    assert truth["type"].nunique() >= 5
    for row in truth.to_dict("records"):
        slices = real.slices[real.slices["series_instance_uid"] == row["background_series"]]
        slices = slices.sort_values("slice_index")
        series = real.series.set_index("series_instance_uid", drop=False).loc[row["background_series"]]
        hu = open_series(series.to_dict(), slices).read(
            [int(np.argmin(abs(slices.position_mm - row["z_mm"])))]
        )[0]
        hu = hu[::-1] if series["flip_y"] else hu
        y, x = round(row["y_mm"] / series["spacing_y_mm"]), round(row["x_mm"] / series["spacing_x_mm"])
        near = float(np.median(hu[y - 1 : y + 2, x - 1 : x + 2]))
        if row["type"] == "lung":
            assert near < -400
        elif (
            row["type"] == "bone"
        ):  # a centre may lie in dark marrow: the zone asks for bone on a smoothed image
            assert hu[y - 3 : y + 4, x - 3 : x + 4].mean() > 105
        else:
            assert near > -160, row["type"]


def test_lesions_of_a_patient_keep_apart(cohort):
    out, _ = cohort
    first = _truth(out).drop_duplicates("lesion")
    for _, own in first[first["lesion"] != ""].groupby("patient_id"):
        points, sizes = own[["x_mm", "y_mm", "z_mm"]].to_numpy(), own["long_mm"].fillna(0).to_numpy()
        for i in range(len(own)):
            for j in range(i):
                assert np.linalg.norm(points[i] - points[j]) > (sizes[i] + sizes[j]) / 2 * 0.8


def test_the_images_show_the_lesion(cohort):
    """A solid lesion of the lung is dense where the mark lies."""
    out, _ = cohort
    mined = mine_sources([out / "dicom"])
    truth = _truth(out)
    rows = truth[truth["marked"] & (truth["type"] == "lung") & truth["look"].isin(["solid", "spiculated"])]
    assert len(rows)
    for row in rows.to_dict("records"):
        series = mined.series.set_index("series_instance_uid", drop=False).loc[row["series_instance_uid"]]
        slices = mined.slices[mined.slices["series_instance_uid"] == row["series_instance_uid"]]
        hu = open_series(series.to_dict(), slices.sort_values("slice_index")).read([row["slice_index"]])[0]
        y, x = round(row["y_px"]), round(row["x_px"])
        assert hu[y, x] > -700  # healthy lung is about −850


def test_sites_tell_what_cannot_be_scored(cohort):
    out, counts = cohort
    sites = pd.read_csv(out / "truth" / "sites.csv", dtype={"background": str})
    for kind in LESION_TYPES:
        own = sites[sites["type"] == kind]
        assert own["background"].nunique() == counts[f"backgrounds with {kind}"]
        assert (own["scored"] == "yes").all() == (own["background"].nunique() != 1 or own.empty)
    assert counts["backgrounds with lung"] == 2
    assert counts["backgrounds with liver"] == 0  # nobody set a voxel in these bodies
    assert counts["unplaced"] == len(pd.read_csv(out / "truth" / "unplaced.csv"))


def test_the_same_seed_gives_the_same_bytes_after_a_kill_and_when_enlarged(cohort, bodies, tmp_path):
    out, _ = cohort
    again = tmp_path / "H"
    generate_cohort(again, PATIENTS - 1, _options(bodies))
    shutil.rmtree(again / "dicom" / "IMPLANT-0001")  # a kill leaves a patient out and a part behind
    (again / "unfinished.part" / "IMPLANT-0001").mkdir(parents=True)
    generate_cohort(again, PATIENTS, _options(bodies))
    assert _digests(again) == _digests(out)


def test_another_cohort_or_fewer_patients_are_refused(cohort, bodies):
    out, _ = cohort
    before = _digests(out)
    with pytest.raises(UsageError, match="rng_seed differ"):
        generate_cohort(out, PATIENTS, CohortOptions((bodies,), SEED + 1, smallest_matrix=96))
    with pytest.raises(UsageError, match="holds 4 patients already"):
        generate_cohort(out, PATIENTS - 1, _options(bodies))
    assert _digests(out) == before


def test_what_is_left_out_is_told(bodies, tmp_path):
    with pytest.raises(UsageError, match="BACK-3"):
        generate_cohort(tmp_path / "A", 1, _options(bodies, leave_out=("BACK-3",)))
    with pytest.raises(NotEnoughDataError, match="trunk"):
        generate_cohort(tmp_path / "B", 1, _options(bodies, open_licence_only=True))
    counts = generate_cohort(tmp_path / "C", 1, _options(bodies, leave_out=("BACK-2",)))
    rows = pd.read_csv(tmp_path / "C" / "truth" / "backgrounds.csv", dtype=str).set_index("background")
    assert rows.loc["BACK-2", "reason"] == "left out on request"
    assert counts["backgrounds"] == 1
    assert set(_truth(tmp_path / "C")["background"]) == {"0017"}


def test_other_files_are_never_touched(bodies, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="other files"):
        generate_cohort(tmp_path, 1, _options(bodies))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
