import numpy as np
import pytest
from rulers import Ruler, ruler_atlas, slices_scoring

from lesiongraph.bodypart import ZMap, locate_series, shows_patient, theil_sen_slope


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
    assert [i for i, flag in enumerate(found.flag) if "off its series' line" in flag] == [10]


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
    assert all("low correlation" in flag for flag in found.flag)
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


def test_a_gap_and_slices_at_one_place_are_named_and_harm_nothing():
    position = np.concatenate([np.arange(0, 60, 5.0), np.arange(120, 180, 5.0)])
    found = locate_series(Ruler(), slices_scoring(0.3 + position / 120), position)
    assert found.flags == ("gap in series",)
    assert found.r > 0.99
    assert (found.confidence > 0.9).all()
    twice = np.repeat(np.arange(0, 140, 5.0), 2)
    assert locate_series(Ruler(), slices_scoring(0.3 + twice / 100), twice).flags == ("duplicate positions",)
    thinned = np.array([0, 8, 16, 18, 24, 40, 48, 56, 64, 72, 80.0])  # every 8 mm, and key slices
    assert locate_series(Ruler(), slices_scoring(0.3 + thinned / 100), thinned).flags == ()


@pytest.mark.parametrize(
    "position",
    [None, [0.0] * 5, [0.0, 1e-9, 2e-9, 3e-9, 4e-9], [np.nan] * 5, [0.0, np.inf, 1, 2, 3]],
    ids=["none", "zero", "rounding", "nan", "inf"],
)
def test_no_usable_spacing_keeps_each_slices_own_z(position):
    scores = [0.6, 0.9, 0.7, 1.1, 1.0]
    found = locate_series(Ruler(), slices_scoring(scores), position, ruler_atlas())
    assert found.score == pytest.approx(scores)
    assert found.z == pytest.approx(0.5 * np.array(scores))
    assert set(found.flag) == {"spacing unknown"}
    assert found.z_sd == pytest.approx(np.hypot(0.02, 0.04))


def test_the_expected_error_shrinks_with_the_series_length_and_grows_with_its_scatter():
    atlas, rng = ruler_atlas(), np.random.default_rng(0)
    alone = locate_series(Ruler(), slices_scoring([1.0]), [0.0], atlas).z_sd[0]
    sd = {}
    for span, noise in ((50, 0.02), (140, 0.02), (140, 0.1)):
        position = np.arange(0, span + 1, 5.0)
        scores = 0.4 + position / 100 + rng.normal(0, noise, len(position))
        found = locate_series(Ruler(), slices_scoring(scores), position, atlas)
        assert np.ptp(found.z_sd) == 0
        assert found.residual_mm == pytest.approx(100 * noise, rel=0.6)
        sd[span, noise] = found.z_sd[0]
    assert sd[140, 0.02] < sd[50, 0.02] < alone
    assert sd[140, 0.02] < sd[140, 0.1]


def test_beyond_what_the_atlas_knows_there_is_no_expected_error():
    atlas = ruler_atlas(borders=(0.0, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0))
    position = np.arange(0, 140, 5.0)  # z 0.15 to 0.85; the head ends at 0.25
    found = locate_series(Ruler(), slices_scoring(0.3 + position / 100), position, atlas)
    head = found.z < 0.25
    assert head.any()
    assert not head.all()
    assert (np.isnan(found.z_sd) == head).all()
    assert all(
        (flag == "outside trained range") == beyond for flag, beyond in zip(found.flag, head, strict=True)
    )
    assert found.confidence[head].max() < found.confidence[~head].min()


def test_an_even_grey_and_air_are_no_body():
    grey = np.full((1, 16, 16), 90, np.uint8)
    found = locate_series(Ruler(), grey, [0.0], ruler_atlas())
    assert found.flag.tolist() == ["single slice;no body"]
    assert (found.confidence[0], np.isnan(found.z_sd[0])) == (0, True)
    assert found.z == pytest.approx(0.45)
    assert shows_patient(np.concatenate([grey, 0 * grey, slices_scoring([1.0])])).tolist() == [
        False, False, True,
    ]  # fmt: skip


def test_a_series_of_air_is_no_single_slice():
    air = np.zeros((6, 16, 16), np.uint8)
    found = locate_series(Ruler(), air, np.arange(6) * 5.0, ruler_atlas())
    assert found.flags == ()
    assert set(found.flag) == {"no body"}
    one_shown = np.concatenate([air, slices_scoring([1.0])])
    assert locate_series(Ruler(), one_shown, np.arange(7) * 5.0).flags == ("single slice",)


def test_z_rises_strictly_with_the_score_and_has_no_plateau():
    scores = np.linspace(-3, 6, 4000)
    z = ZMap(0.5, 0.0)(scores)
    assert (np.diff(z) > 0).all()
    inside = (scores > 0.1) & (scores < 1.9)
    assert np.diff(z[inside]) == pytest.approx(0.5 * (scores[1] - scores[0]))
