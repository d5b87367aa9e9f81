"""Single DICOM values read leniently: real archives break the rules of the standard."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pydicom.config
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

_PLAIN_VRS = frozenset(("AS", "CS", "DA", "DS", "IS", "LO", "SH", "UI"))
PATIENT_ID_MAX = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # in a table, a log or on a terminal they do harm
_TAG_OF: dict[str, BaseTag] = {}  # keyword -> tag, filled as they are met


@contextlib.contextmanager
def lenient_reading() -> Iterator[None]:
    """Read without pydicom's validation warnings: odd values are checked where they are used."""
    settings = pydicom.config.settings
    before = settings.reading_validation_mode
    settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode = before


def text(dataset: Dataset, keyword: str) -> str:
    """Return a value as stripped text, "" where it is absent or unreadable."""
    plain = _plain(dataset, keyword)
    if plain is not None:
        return plain
    try:
        value = dataset.get(keyword)
    except Exception:  # a damaged value of one tag must not lose the object
        return ""
    if value is None:
        return ""
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return "\\".join(str(part) for part in value).strip()
    return str(value).strip(" \0")


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Return exactly `count` numbers, all NaN where the value is absent, short or no number."""
    try:
        plain = _plain(dataset, keyword)
        value: Any = dataset.get(keyword) if plain is None else plain
        if value is None or value == "":
            return (math.nan,) * count
        if isinstance(value, str):
            value = value.split("\\")
        parts = list(value) if isinstance(value, Iterable) else [value]
        found = tuple(float(part) for part in parts)
    except Exception:  # pydicom raises many kinds for one damaged value
        return (math.nan,) * count
    return found if len(found) == count else (math.nan,) * count


def _plain(dataset: Dataset, keyword: str) -> str | None:
    """Return the text of a value that is not decoded yet; None where that takes pydicom.

    Decoding takes most of the time of a scan, and nearly all values that a scan needs are plain ASCII.
    """
    tag = _TAG_OF.get(keyword)
    if tag is None:
        tag = _TAG_OF[keyword] = BaseTag(tag_for_keyword(keyword) or 0)
    raw: object = dataset.get_item(tag) if tag in dataset else None
    if not isinstance(raw, RawDataElement) or raw.VR not in _PLAIN_VRS or not raw.value:
        return None
    return raw.value.decode("ascii").strip(" \0") if raw.value.isascii() else None


def number(dataset: Dataset, keyword: str) -> float:
    """Return one number, NaN where it is absent or no number."""
    return numbers(dataset, keyword, 1)[0]


def whole(dataset: Dataset, keyword: str, unknown: int = -1) -> int:
    """Return one integer, `unknown` where it is absent or no number."""
    value = number(dataset, keyword)
    return int(value) if math.isfinite(value) else unknown


def iso_date(dataset: Dataset, *keywords: str) -> str:
    """Return the first readable date of these attributes as YYYY-MM-DD, "" where there is none."""
    for keyword in keywords:
        match = re.fullmatch(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2}).*", text(dataset, keyword))
        if match and 1 <= int(match[2]) <= 12 and 1 <= int(match[3]) <= 31:
            return f"{match[1]}-{match[2]}-{match[3]}"
    return ""


def age_years(dataset: Dataset) -> float:
    """Return the patient's age in years, NaN where it is missing; age 0 stands for missing (facts.md)."""
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", text(dataset, "PatientAge"))
    if match is None or int(match[1]) == 0:
        return math.nan
    return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}[match[2]]


def patient_id_of(dataset: Dataset) -> tuple[str, bool]:
    """Return the patient id and whether it was made up because the file has none.

    Two studies of one unnamed patient stay two patients: nothing in the file could tell.
    """
    stated = _CONTROL.sub(" ", text(dataset, "PatientID"))
    if len(stated) > PATIENT_ID_MAX:  # the standard allows 64
        stated = f"{stated[:64]}… ({len(stated)} characters, {short_hash(stated)})"
    if stated.strip():
        return stated, False
    return "unknown-" + short_hash(text(dataset, "StudyInstanceUID"), length=8), True


def short_hash(*parts: str, length: int = 10) -> str:
    """Return a short hexadecimal digest of these texts, the same on every machine and day."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:length]
