import numpy as np
import pytest

from lesiongraph.bodypart import ZMap, locate_series, theil_sen_slope


class Ruler:
    """Scores a slice by its brightness: 100 grey levels are one unit of score, 100 mm."""

    score_per_mm = 0.01
    z_map = ZMap(0.5, 0.0)

    def score(self, slices):
        return slices.mean(axis=(1, 2)) / 100

    def to_z(self, scores):
        return self.z_map(scores)

    def in_trained_range(self, scores):
        u = self.z_map.slope * np.asarray(scores)
        return (u >= 0.05) & (u <= 0.95)


def slices_scoring(scores):
    return np.stack([np.full((8, 8), round(100 * s), np.uint8) for s in scores])


def test_a_clean_series_keeps_its_scores_and_is_trusted():
    position = np.arange(0, 140, 5.0)
    found = locate_series(Ruler(), slices_scoring(0.5 + position / 100), position)
    assert found.z == pytest.approx(0.5 * (0.5 + position / 100), abs=1e-3)
    assert found.r == pytest.approx(1, abs=1e-6)
    assert found.slope == pytest.approx(0.01)
    assert (found.confidence > 0.99).all()
    assert set(found.flag) == {""}


def test_one_wrong_slice_is_put_right_and_not_trusted():
    position = np.arange(0, 140, 5.0)
    scores = 0.5 + position / 100
    scores[10] = 2.4
    found = locate_series(Ruler(), slices_scoring(scores), position)
    assert found.score[10] == pytest.approx(2.4)
    assert found.z[10] == pytest.approx(0.5 * (0.5 + position[10] / 100), abs=0.01)
    assert found.confidence[10] < 0.3 < 0.6 < found.confidence[11]


def test_an_upside_down_series_is_flagged_not_smoothed():
    position = np.arange(0, 140, 5.0)
    scores = 1.9 - position / 100
    found = locate_series(Ruler(), slices_scoring(scores), position)
    assert set(found.flag) == {"upside down"}
    assert found.slope == pytest.approx(-0.01)
    assert (found.confidence <= 0.1).all()
    assert found.z == pytest.approx(0.5 * scores, abs=0.01)


def test_scores_without_order_are_flagged():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.3, 1.7, 40)
    found = locate_series(Ruler(), slices_scoring(scores), np.arange(40) * 5.0)
    assert all("low correlation" in flag or "upside down" in flag for flag in found.flag)
    assert (found.confidence < 0.5).all()


@pytest.mark.parametrize("factor", [3.0, 0.25])
def test_a_wrong_spacing_shows_in_the_slope(factor):
    position = np.arange(0, 140, 5.0)
    found = locate_series(Ruler(), slices_scoring(0.5 + position / 100), position * factor)
    expected = "slope implausible" if factor > 1 else "too short"
    assert set(found.flag) == {expected}


def test_a_short_series_takes_its_level_from_all_slices_and_its_slope_from_the_model():
    position = np.array([0.0, 5, 10, 15, 20, 25])
    scores = 1.0 + position / 100 + np.array([0.2, -0.2, 0.1, 0, -0.1, 0])
    found = locate_series(Ruler(), slices_scoring(scores), position)
    assert set(found.flag) == {"too short"}
    assert np.diff(found.z) == pytest.approx(0.5 * 0.05)
    assert (found.confidence <= 0.6).all()


def test_single_slices_and_unknown_spacing_stand_alone():
    one = locate_series(Ruler(), slices_scoring([1.0]), [0.0])
    assert one.flag.tolist() == ["single slice"]
    assert one.confidence.tolist() == [0.4]
    assert np.isnan(one.r)
    scores = [1.0, 1.2, 1.1]
    for position in (None, [np.nan, 0, 5], [3.0, 3.0, 3.0]):
        found = locate_series(Ruler(), slices_scoring(scores), position)
        assert set(found.flag) == {"spacing unknown"}
        assert found.z == pytest.approx(0.5 * np.array(scores))


def test_air_has_no_confidence_and_does_not_bend_the_fit():
    position = np.arange(0, 140, 5.0)
    scores = 0.5 + position / 100
    scores[:4] = 0
    found = locate_series(Ruler(), slices_scoring(scores), position)
    assert found.flag[:4].tolist() == ["no body"] * 4
    assert (found.confidence[:4] == 0).all()
    assert found.slope == pytest.approx(0.01)


def test_beyond_the_trained_range_confidence_halves():
    position = np.arange(0, 200, 5.0)
    found = locate_series(Ruler(), slices_scoring(0.4 + position / 100), position)
    assert found.flag[-1] == "outside trained range"
    assert found.confidence[-1] == pytest.approx(0.5, abs=0.01)


def test_no_slices_give_empty_columns_and_wrong_positions_are_refused():
    empty = locate_series(Ruler(), np.empty((0, 8, 8), np.uint8), [])
    assert empty.z.shape == empty.flag.shape == (0,)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        locate_series(Ruler(), slices_scoring([1, 2]), [0.0])


def test_theil_sen_equals_a_loop_over_pairs_and_ignores_outliers():
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 10, 30), rng.normal(size=30)
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(30) for j in range(i + 1, 30)]
    assert theil_sen_slope(x, y) == pytest.approx(np.median(slopes))
    line = 3 * np.arange(400.0)
    line[::5] = 1e6
    assert theil_sen_slope(np.arange(400.0), line) == pytest.approx(3)
