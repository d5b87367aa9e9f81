"""Text drawn into a slice is suspected; what lies beside a patient on a scanner's table is not."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lesiongraph.imaging import suspect_text

Y, X = np.mgrid[:256, :256]
PATIENT = ((X - 128) / 90) ** 2 + ((Y - 128) / 60) ** 2 < 1


def slice_with(text: str = "", *, at=(4, 4), size_px: int = 12, smooth: bool = False, hu: int = 3071):
    image = np.where(PATIENT, 40, -1000) + np.random.default_rng(0).normal(0, 15, PATIENT.shape)
    image[210:216, 40:216] = -200  # the table
    layer = Image.new("L" if smooth else "1", (256, 256))
    ImageDraw.Draw(layer).text(at, text, fill=255 if smooth else 1, font=ImageFont.load_default(size_px))
    share = np.asarray(layer, float) / (255 if smooth else 1)
    return np.rint(image + share * (hu - image)).astype(np.int16)


@pytest.mark.parametrize("at", [(4, 4), (150, 4), (4, 235)])
@pytest.mark.parametrize(
    ("size_px", "smooth"), [(10, False), (16, False), (16, True)]
)  # see the docs for 10, True
def test_drawn_text_is_suspected(smooth, at, size_px):
    assert suspect_text(slice_with("DOE JOHN", at=at, size_px=size_px, smooth=smooth), PATIENT)


def test_a_plain_slice_is_not():
    assert not suspect_text(slice_with(), PATIENT)


def test_wires_and_screws_are_not():
    hu = slice_with()
    for x in range(20, 240, 12):
        hu[20:22, x : x + 9] = 2500  # a wire seen in pieces
    hu[230:240, 30:40] = hu[230:240, 60:70] = hu[230:240, 90:100] = 3071  # three blocks of metal
    assert not suspect_text(hu, PATIENT)


def test_text_over_the_body_is_missed_as_documented():
    assert not suspect_text(slice_with("DOE JOHN", at=(90, 120)), PATIENT)
