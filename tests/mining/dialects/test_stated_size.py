"""Sizes written in words → mm, and whether they fit what is drawn."""

import pytest

from lesiongraph.mining.stated_size import agrees, fits, sizes_in


@pytest.mark.parametrize(
    ("text", "sizes_mm"),
    [
        ("24 x 16 mm", (24, 16)),
        ("24x16", (24, 16)),
        ("24×16mm", (24, 16)),
        ("24.3 mm x 16,1 mm", (24.3, 16.1)),
        ("2.4 X 1.6 cm", (24, 16)),
        ("24 x 16 x 30 mm", (24, 16, 30)),
        ("Länge 24,3 mm", (24.3,)),
        ("24.3mm", (24.3,)),
        ("1.2 cm", (12,)),
        ("L: 24.3 mm\r\nW: 16.1 mm", (24.3, 16.1)),
        ("Ø 24 mm, prior 30 mm", (24,)),
        ("24 mm (previously 30 x 20 mm)", (24,)),
        ("240 mm²", ()),
        ("240 mm2", ()),
        ("1.3 cm3", ()),
        ("-24 mm", ()),
        ("5 mm/s", ()),
        ("24", ()),
        ("lesion 3", ()),
        ("40 HU", ()),
        ("0 mm", ()),
        ("9000 mm", ()),
        ("", ()),
    ],
)
def test_sizes_in_words(text: str, sizes_mm: tuple[float, ...]) -> None:
    assert sizes_in(text) == pytest.approx(sizes_mm)


@pytest.mark.parametrize(
    ("stated", "drawn", "result"),
    [
        ((24, 16), (24.4, 15.6), True),
        ((16, 24), (24.4, 15.6), True),
        ((24, 16), (24.4, 12.0), False),
        ((24,), (24.4, 12.0), True),
        ((12,), (24.4, 12.0), True),
        ((18,), (24.4, 12.0), False),
        ((24, 16, 30), (30.2, 16.3), True),
        ((24, 16), (24.4,), True),
        ((24, 24), (24.4, 16.0), False),  # one number cannot be said of both
        ((24, 16), (float("nan"), 16.0), False),
    ],
)
def test_what_fits(stated, drawn, result: bool) -> None:
    assert fits(stated, drawn) is result


def test_the_tolerance_is_one_mm_or_a_twentieth() -> None:
    assert agrees(11.0, 10.0)
    assert not agrees(11.1, 10.0)
    assert agrees(105.0, 100.0)
    assert not agrees(105.1, 100.0)
