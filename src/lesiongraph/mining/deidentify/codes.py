"""Coded entries (PS3.3 Table 8.8-1): public codes stay, what a site made up becomes a token."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from pydicom import Dataset
from pydicom.sr._concepts_dict import concepts  # PS3.16's codes, as pydicom itself carries them

from lesiongraph.mining.deidentify import wording
from lesiongraph.mining.deidentify.pseudonyms import Pseudonyms
from lesiongraph.mining.deidentify.vocabulary import SCHEMES, TOOL_SCHEMES, UNITS

VALUE_KEYWORDS = ("CodeValue", "LongCodeValue", "URNCodeValue")


class CodeCleaner:
    """Cleans the entries of code sequences.

    A code of a public scheme keeps its value, if that looks as the scheme's values do. A private code becomes
    a token, the same for the same code, so that equal codes stay equal. The meaning is free text in practice:
    it stays where its words are harmless, and is otherwise the standard's own.
    """

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms

    def clean(self, entry: Dataset, names: Collection[str]) -> tuple[str, str, str]:
        """Return (value, scheme, meaning) as they may stay."""
        value, scheme, meaning = (
            next((str(entry[key].value) for key in VALUE_KEYWORDS if key in entry), "").strip(),
            _text(entry, "CodingSchemeDesignator"),
            _text(entry, "CodeMeaning"),
        )
        clean_value, clean_scheme = self._code(value, scheme, names)
        if not meaning:
            return clean_value, clean_scheme, ""
        if clean_scheme == "UCUM":
            return clean_value, clean_scheme, wording.sentence(meaning, names) or clean_value
        own = _meanings().get((clean_scheme, clean_value))
        # a descriptor of a code nobody knows may lose words that turn its sense: all or nothing
        kept = wording.sentence(meaning, names)
        return clean_value, clean_scheme, kept or own or f"code {clean_value}"

    def _code(self, value: str, scheme: str, names: Collection[str]) -> tuple[str, str]:
        if scheme == "UCUM":
            return (value, scheme) if value in UNITS else ("{unit}", scheme)
        pattern = SCHEMES.get(scheme)
        if pattern is not None and (pattern.fullmatch(value) or (scheme, value) in _meanings()):
            return value, scheme
        if scheme in TOOL_SCHEMES and wording.sentence(value, names):
            return value, scheme
        private = f"{scheme}\x1f{value}"
        return self._pseudonyms.token("code", private, 12), "99" + self._pseudonyms.token("scheme", scheme, 8)


def _text(entry: Dataset, keyword: str) -> str:
    return str(entry[keyword].value or "").strip() if keyword in entry else ""


@cache
def _meanings() -> dict[tuple[str, str], str]:
    """Return the shortest meaning of each code that PS3.16 uses, by (scheme, value)."""
    known: dict[tuple[str, str], str] = {}
    tables: Any = concepts  # pydicom types the inner tables as objects
    for scheme, keywords in tables.items():
        for codes in keywords.values():
            for value, (meaning, *_) in codes.items():
                if meaning.isascii() and len(meaning) < len(known.get((scheme, value), meaning + "x")):
                    known[scheme, value] = meaning
    return known
