"""Free text: what mining needs of it stays, everything else does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesiongraph.mining.deidentify import wording

MEASUREMENTS = ["24 x 16 mm", "24.1x16.0 mm", "L: 24 mm, W: 16 mm", "1.2 cm", "liver", "soft tissue", "45 HU"]
TOOLS = ["cornerstoneTools@^4.0.0:Bidirectional", "Cornerstone3DTools@^0.1.0:Length", "Measurement group 001"]
SECRETS = [
    "Anna Zqvort",
    "24 x 16 mm, Mr Zqvort",
    "MRN 1234567",
    "12.03.2024",
    "12/03/24",
    "2024-03-12",
    "040 123 45 67",
    "Z q v o r t",
    "M-E-I-E-R",
    "4711-0815",
    "Müller",
    "x" * 5000,
]


@pytest.mark.parametrize("text", MEASUREMENTS + TOOLS)
def test_measurements_and_names_of_tools_stay(text):
    assert wording.sentence(text) == text


def test_signs_beyond_ascii_are_written_plainly():
    assert wording.sentence("24 × 16 mm") == "24 x 16 mm"


@pytest.mark.parametrize("text", SECRETS)
def test_a_text_with_anything_unknown_does_not_stay(text):
    assert wording.sentence(text) == ""


@pytest.mark.parametrize(
    ("label", "kept"),
    [
        ("Thorax 5.0 B70f", "Thorax 5.0 B70f"),
        ("CT Abdomen Zqvort 12.03.2024", "CT Abdomen"),
        ("LungMass_2", "LungMass_2"),
        ("livertumor1", "livertumor1"),
        ("Spinal-Cord", "Spinal-Cord"),
        ("Zqvort GTV-1", "GTV-"),
        ("bed 12 Zqvort", ""),
        ("Zqvort", ""),
    ],
)
def test_known_words_of_a_label_stay(label, kept):
    assert wording.descriptor(label) == kept


def test_a_known_word_that_is_the_patients_name_does_not_stay():
    assert wording.descriptor("chest long") == "chest long"
    assert wording.descriptor("chest long", {"long"}) == "chest"
    assert wording.sentence("LongAxis 3 mm", {"long"}) == ""
    assert wording.words_of("Long^Anna B") == {"long", "anna"}


@pytest.mark.parametrize(
    "name", ["B30f", "Br40d\\3", "STANDARD", "FC08", "L", "YA", "BONEPLUS", "B31f", "I41s"]
)
def test_kernels_stay(name):
    assert wording.kernel(name) == name


def test_what_is_no_kernel_does_not_stay():
    assert wording.kernel("ZQVORT") == wording.kernel("B30f ZQVORT") == wording.kernel("12345") == ""


@given(st.text(max_size=60))
def test_what_stays_was_there(text):
    kept = wording.descriptor(text)
    assert set(kept) - set(" x-23") <= set(text)
    assert kept.isascii()
    assert wording.descriptor(kept) in (kept, "") or len(wording.descriptor(kept)) < len(kept)


@given(st.from_regex(r"[0-9][0-9 ./-]{4,12}[0-9]", fullmatch=True))
def test_no_run_of_five_digits_stays(text):
    digits = "".join(c for c in wording.descriptor(text) if c.isdigit())
    assert (len(digits) <= 8 and not digits.isdigit()) or len(digits) < 7
