"""Coded concepts read leniently: any way to store a value, old names of SNOMED, a standard code beside.

Source: DICOM PS3.3 8.8 (code sequences), PS3.16 8 (coding schemes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sr.coding import Code

from lesiongraph.mining import dicom_values as values

NO_CODE = Code("", "", "")
_STANDARD = ("SCT", "SRT", "DCM", "UCUM")
# `Code` compares SRT with SCT; these are other names of the two (PS3.16 8-1: SNM3 and 99SDM are retired).
_SAME_SCHEME = {"SNM3": "SRT", "99SDM": "SRT", "SNOMED-RT": "SRT", "SNOMED-CT": "SCT", "SNOMEDCT": "SCT"}
# "http://snomed.info/id/103339001", "http://snomed.info/sct/…/id/103339001",
# "urn:oid:2.16.840.1.113883.6.96:103339001"
_SNOMED_URN = re.compile(
    r"(?:https?://snomed\.info/.*?|urn:oid:2\.16\.840\.1\.113883\.6\.96[:.#/])(\d{6,18})/?$", re.IGNORECASE
)
_DICOM_URN = re.compile(r"urn:oid:1\.2\.840\.10008\.2\.16\.4[:.#/](\d{6})$", re.IGNORECASE)


def code_of(dataset: Dataset, keyword: str) -> Code:
    """Return the first code of a code sequence; an empty code where there is none.

    Where it is private and an equivalent standard code is given beside it, that one is returned.
    """
    sequence = dataset.get(keyword)
    if not sequence:
        return NO_CODE
    codes = list(_codes(sequence[0]))
    return next((code for code in codes if code.scheme_designator in _STANDARD), codes[0])


def _codes(entry: Dataset) -> Iterator[Code]:
    yield _code(entry)
    for equivalent in entry.get("EquivalentCodeSequence") or []:
        yield _code(equivalent)


def _code(entry: Dataset) -> Code:
    scheme = values.text(entry, "CodingSchemeDesignator")
    scheme = _SAME_SCHEME.get(scheme.upper(), scheme)
    meaning = values.text(entry, "CodeMeaning")
    value = values.text(entry, "CodeValue") or values.text(entry, "LongCodeValue")
    if value:
        return Code(value, scheme, meaning)
    urn = values.text(entry, "URNCodeValue")
    for pattern, named in ((_SNOMED_URN, "SCT"), (_DICOM_URN, "DCM")):
        if found := pattern.match(urn):
            return Code(found[1], named, meaning)
    return Code(urn, scheme, meaning)
