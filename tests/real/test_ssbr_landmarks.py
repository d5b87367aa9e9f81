"""The landmarks read in the real volumes: in order, and where structures and the other series have them."""

import importlib.util
import itertools
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
TOOL = Path(__file__).resolve().parents[2] / "tools" / "ssbr_landmarks.py"
SLICES_APART = 1.0  # a drawn organ often begins a slice before the reader sees it; 6 mm in both RTSTRUCTs
TWICE_MM = 10.0  # two readings of one reader


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("ssbr_landmarks", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def positions_mm(tool, real_data):
    return tool.slice_positions_mm(real_data)


@pytest.fixture(scope="module")
def rows(tool, positions_mm):
    return tool.with_positions(tool.read_landmarks(), positions_mm)


def test_every_definition_has_one_place_in_the_order(tool):
    assert sorted(itertools.chain(*tool.GROUPS)) == sorted(tool.LANDMARKS)


def test_every_row_lies_in_its_volume(rows, positions_mm):
    for row in rows.itertuples():
        assert 0 <= row.slice_index <= len(positions_mm[row.volume]) - 1, row


def test_landmarks_come_from_head_to_foot(tool, rows):
    pairs = 0
    for volume, inside in rows.groupby("volume"):
        groups = [inside.slice_index[inside.landmark.isin(group)] for group in tool.GROUPS]
        for above, below in itertools.pairwise(group for group in groups if len(group)):
            assert above.max() <= below.min(), f"{volume}: {above.max()} below {below.min()}"
            pairs += 1
    assert pairs > 60


def test_readings_by_eye_are_means_of_two_near_ones(tool, rows):
    eye = rows[rows.source == tool.BY_EYE]
    assert eye.apart_mm.abs().max() <= TWICE_MM
    assert ((eye.first_reading + eye.second_reading) / 2 == eye.slice_index).all()
    others = rows[rows.source != tool.BY_EYE]
    assert others[tool.READINGS].isna().all(axis=None)


def test_structures_agree_with_the_table_and_the_eye(tool, rows, real_data):
    found = tool.landmarks_from_structures(real_data)
    claimed = rows[rows.source != tool.BY_EYE]
    key = ["volume", "landmark", "slice_index", "source"]
    assert sorted(claimed[key].values.tolist()) == sorted(found[key].values.tolist())
    both = found.merge(rows[rows.source == tool.BY_EYE], on=["volume", "landmark"], suffixes=("", "_eye"))
    assert len(both) == len(found) == 4
    assert (both.slice_index_eye - both.slice_index).abs().max() <= SLICES_APART


def test_two_series_of_one_study_agree(rows):
    """The kernels s2 and s3 show the same bodies at the same positions: a slice of 5 mm apart at most."""
    wide = rows.pivot_table(index="landmark", columns="volume", values="position_mm")
    both = wide[["Lung_Dx-A0001_s2", "Lung_Dx-A0001_s3"]].dropna()
    assert len(both) == 2
    assert (both.iloc[:, 0] - both.iloc[:, 1]).abs().max() <= 5.0


def test_a_wrong_table_is_refused(tool, tmp_path):
    lines = TOOL.with_suffix(".csv").read_text().splitlines()
    wrong = {
        "unknown landmarks": [*lines, "a,elbow,3,by eye,3,,3,3"],
        "certainty": [*lines, "a,carina,3,by eye,4,,3,3"],
        "more than one row": [*lines, lines[1]],
        "expected the columns": [lines[0] + ",x", *lines[1:]],
    }
    for message, text in wrong.items():
        (tmp_path / "t.csv").write_text("\n".join(text))
        with pytest.raises(ValueError, match=message):
            tool.read_landmarks(tmp_path / "t.csv")
