import numpy as np
import pytest

from lesiongraph.bodypart import body_box, shows_body, slice_input, window_to_8bit
from lesiongraph.mining import hu_from_8bit


def ellipse(shape, centre, radii):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 <= 1


def body(shape=(512, 512), centre=(250, 240), radii=(100, 150)):
    hu = np.full(shape, -1000, np.int16)
    hu[ellipse(shape, centre, radii)] = 40
    hu[ellipse(shape, centre, (radii[0] * 0.6, radii[1] * 0.3))] = -850  # lung
    return hu


def test_window_ends_map_to_0_and_255_and_nan_is_air():
    hu = np.array([[-2000.0, -175, 50, 275, 3000, np.nan]])
    assert window_to_8bit(hu, -175, 275).tolist() == [[0, 0, 128, 255, 255, 0]]


def test_an_8_bit_picture_gives_the_same_input_as_its_hu():
    hu = body()
    hu[300:320, 200:260] = 120
    picture = window_to_8bit(hu, -175, 275)
    again = slice_input(hu_from_8bit(picture, -175, 275))
    assert np.abs(again.astype(int) - slice_input(hu).astype(int)).max() <= 1


def test_the_box_holds_the_body_and_little_more():
    row0, column0, row1, column1 = body_box(window_to_8bit(body(), -175, 275))
    assert row0 == pytest.approx(150, abs=14)
    assert row1 == pytest.approx(351, abs=14)
    assert column0 == pytest.approx(90, abs=14)
    assert column1 == pytest.approx(391, abs=14)
    assert row0 <= 150
    assert column1 >= 391


def test_field_of_view_table_and_place_do_not_matter():
    plain = slice_input(body()).astype(int)
    table = body()
    table[375:381, 60:450] = 100  # a thin shell below the patient
    moved = body(centre=(300, 290))
    wide = body((700, 700), (320, 330), (100, 150))
    for other in (table, moved, wide):
        assert np.abs(slice_input(other).astype(int) - plain).mean() < 6


def test_two_legs_are_both_kept():
    hu = np.full((256, 256), -1000, np.int16)
    hu[ellipse(hu.shape, (128, 70), (40, 40))] = 40
    hu[ellipse(hu.shape, (128, 186), (40, 40))] = 40
    row0, column0, _, column1 = body_box(window_to_8bit(hu, -175, 275))
    assert column0 <= 31
    assert column1 >= 226
    assert row0 <= 89


def test_the_body_keeps_its_proportions_whatever_the_pixel_shape():
    tall = slice_input(np.repeat(body(), 2, axis=0), (0.4, 0.8)).astype(int)
    assert np.abs(tall - slice_input(body()).astype(int)).mean() < 6


def test_spacing_that_makes_no_sense_counts_as_square():
    expected = slice_input(body())
    for spacing in ((0.0, 0.0), (np.nan, 1.0), (-1.0, 1.0)):
        assert (slice_input(body(), spacing) == expected).all()


def test_air_has_no_box_but_still_an_input():
    air = np.full((64, 64), -1000, np.int16)
    assert body_box(window_to_8bit(air, -175, 275)) is None
    picture = slice_input(air)
    assert picture.shape == (128, 128)
    assert shows_body(np.stack([picture, slice_input(body())])).tolist() == [False, True]


def test_the_frame_mode_resizes_the_whole_slice():
    assert slice_input(body(), mode="frame")[64, 125] == 0
    assert slice_input(body((128, 128), (64, 64), (30, 40)), mode="frame").shape == (128, 128)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (2, 3, 4)])
def test_a_slice_must_be_a_picture(shape):
    with pytest.raises(ValueError, match="rows, columns"):
        slice_input(np.zeros(shape, np.int16))


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (40, 20)])
def test_odd_sizes_are_taken(shape):
    assert slice_input(np.full(shape, 40, np.int16)).shape == (128, 128)
