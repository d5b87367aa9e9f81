"""Patients left out tell nothing to the scale that they are judged on."""

import sys
from pathlib import Path

import numpy as np
import pytest

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "benchmarks")]

import ssbr  # noqa: E402
from build_atlas import _scores_at  # noqa: E402
from lesiongraph.bodypart import SsbrModel, ZMap  # noqa: E402
from locating.candidates import Candidate  # noqa: E402
from locating.folds import fold_of  # noqa: E402
from locating.prepared import Prepared  # noqa: E402
from ssbr_left_out import line_through, mean_z, on_scale_of, score_at  # noqa: E402
from train_ssbr import drawn_phantom, read_mix, weighted  # noqa: E402


class Scorer:
    """Scores a slice by its first pixel."""

    slice_mode, score_per_mm, name = "body", 0.01, "scorer"

    def __init__(self, z_map=None):
        self.z_map, self.network = z_map or ZMap(0.001, 0.1), None

    def score(self, slices):
        return slices[:, 0, 0].astype(float)

    def to_z(self, scores):
        return self.z_map(scores)


def volume(patient, level):
    """Eleven slices ten levels apart; a landmark at the second and one at the ninth."""
    slices = (np.arange(11) * 10 + level).astype(np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    return Prepared(patient, patient, {"body": slices}, np.arange(11.0), {"carina": 2.0, "iliac crest": 9.0})


def calibrated(monkeypatch, far_level):
    monkeypatch.setattr(ssbr, "with_z_map", _recorded := Recorder())
    ours = Candidate("ours", {"": Scorer()})
    folds = Candidate(
        "folds", {"0": Scorer(), "1": Scorer()}, left_out=dict(zip("abcd", "0101", strict=True))
    )
    real = [volume("a", 0), volume("b", far_level), volume("c", 5), volume("d", 7)]
    ssbr.calibrate(ours, [folds], real, [volume("phantom", 3), volume("another", 4)])
    return _recorded.calls


class Recorder:
    def __init__(self):
        self.calls = []

    def __call__(self, model, volumes, reference):
        self.calls.append(([v.patient for v in volumes], reference))
        return model


def test_the_scale_of_a_fold_knows_nothing_of_its_patients(monkeypatch):
    near, far = calibrated(monkeypatch, 1), calibrated(monkeypatch, 90)
    assert near[1] == far[1]  # fold 1 left "b" out: wherever he lies
    assert near[0] != far[0]  # fold 0 was trained on him
    assert near[1][0] == ["phantom", "another", "a", "c"]


def test_a_patient_counts_once_and_lines_are_found_again():
    marked = [("a", [("carina", 0.2)]), ("a", [("carina", 0.4)]), ("b", [("carina", 0.6)])]
    assert mean_z(marked) == {"carina": pytest.approx(0.45)}
    assert line_through([(x, 0.3 * x + 0.1) for x in (0.0, 1.0, 2.0)]) == pytest.approx((0.3, 0.1))
    slope, offset = line_through([(0.0, 1.0), (1.0, 0.0)])
    assert slope > 0
    assert offset == pytest.approx(0.5)
    packaged = Scorer(ZMap(0.1, 0.5))
    score = on_scale_of(packaged, np.array([0.0, 2.0]), (0.3, 0.2))
    assert packaged.z_map(score) == pytest.approx([0.2, 0.8])


def test_folds_share_no_patient():
    folds = fold_of(list("abcdefg"))
    assert set(folds.values()) == {0, 1, 2, 3, 4}
    assert folds == fold_of(list("gfedcba"))


def test_scoring_only_the_slices_beside_landmarks_gives_what_scoring_all_gives():
    model = SsbrModel.load()
    slices = np.random.default_rng(4).integers(0, 255, (9, 128, 128), dtype=np.uint8)
    at, whole = [-1.0, 0.0, 2.25, 6.0, 7.5, 9.4], model.score(slices)
    wanted = [score_at(whole, index) for index in at]
    assert _scores_at(model, slices, at) == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(wanted) > 1e-3


def test_a_mix_is_read_from_the_command_line():
    assert read_mix(["base=3", "neck=1"]) == (("base", 3), ("neck", 1))
    with pytest.raises(SystemExit, match="belly"):
        read_mix(["bellies=3"])


def test_phantoms_of_any_number_weigh_their_share():
    drawn = [drawn_phantom("low", 0)]
    (one,) = weighted(drawn, 0.4)
    assert one.name == "low 0"
    assert one.weight == pytest.approx(18 * 0.4 / 0.6)
    assert sum(v.weight for v in weighted(drawn * 6, 0.4)) == pytest.approx(one.weight)
