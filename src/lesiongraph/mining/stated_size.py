"""Sizes that a text or a number states beside a drawing → mm, and whether they agree with what is drawn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

STATED_DIFFERS = "stated size differs"  # flag of a mark
# ours, the larger of both: texts are rounded to whole mm, and handles move a pixel after the text was made
STATED_TOLERANCE_MM = 1.0
STATED_TOLERANCE = 0.05
_LONGEST_MM = 1000.0  # ours: a larger number is no size in a body

_NUMBER = r"(\d{1,4}(?:[.,]\d{1,4})?)"
_UNIT = r"(mm|cm)"
_NO_POWER = r"(?![\w²³^/])"  # mm², mm3, mm/s are no lengths
_BEFORE = r"(?<![\w.,-])"
_PRODUCT = re.compile(
    rf"{_BEFORE}{_NUMBER}\s*{_UNIT}?\s*[x×*]\s*{_NUMBER}\s*{_UNIT}?(?:\s*[x×*]\s*{_NUMBER}\s*{_UNIT}?)?{_NO_POWER}",
    re.IGNORECASE,
)
_SINGLE = re.compile(rf"{_BEFORE}{_NUMBER}\s*{_UNIT}{_NO_POWER}", re.IGNORECASE)
# What follows speaks of an earlier study: "24 mm, prior 30 mm"
_EARLIER = re.compile(r"\b(prior|previously|previous|prev|was|vorher|zuvor|formerly|avant)\b.*", re.I | re.S)


def sizes_in(text: str) -> tuple[float, ...]:
    """Return the lengths in mm that a text states, in its order; empty where it states none.

    Read are "24 x 16 mm", "24x16" (mm where no unit stands), "2.4 × 1.6 cm", "24,3 mm", "Länge 24,3 mm",
    "L 24 mm W 16 mm"; not areas, volumes, bare numbers, nor what follows "prior".

    Examples
    --------
    >>> sizes_in("24 x 16 mm")
    (24.0, 16.0)
    >>> sizes_in("Länge 24,3 mm")
    (24.3,)
    >>> sizes_in("12 mm² in slice 7")
    ()
    """
    text = _EARLIER.sub("", text)
    found: list[float] = []
    product = _PRODUCT.search(text)
    if product is not None:
        units = [unit for unit in product.groups()[1::2] if unit]
        factor = 10.0 if units and units[-1].lower() == "cm" else 1.0
        found = [factor * _value(number) for number in product.groups()[0::2] if number]
    else:
        for number, unit in _SINGLE.findall(text):
            found.append(_value(number) * (10.0 if unit.lower() == "cm" else 1.0))
    return tuple(round(size, 4) for size in found) if all(0 < s <= _LONGEST_MM for s in found) else ()


def agrees(stated_mm: float, drawn_mm: float) -> bool:
    """Whether a stated length is the drawn one within the tolerance."""
    return abs(stated_mm - drawn_mm) <= max(STATED_TOLERANCE_MM, STATED_TOLERANCE * drawn_mm)


def fits(stated_mm: Sequence[float], drawn_mm: Sequence[float]) -> bool:
    """Whether stated lengths are those drawn, in any order, as many as both have.

    "24 mm" fits a mark with one axis of 24 mm; "24 x 16 x 30 mm" one with two axes among the three.
    """
    count = min(len(stated_mm), len(drawn_mm))
    return any(
        all(agrees(s, d) for s, d in zip(chosen, drawn, strict=True))
        for chosen in itertools.permutations(stated_mm[:6], count)
        for drawn in itertools.combinations(drawn_mm, count)
    )


def _value(number: str) -> float:
    return float(number.replace(",", "."))
