"""Coded finding site → lesion type (the paper's eight)."""

from __future__ import annotations

from pydicom.sr.coding import Code

from lesiongraph.lesion import LESION_TYPES

# SNOMED CT codes that the phantom and OHIF-like viewers write; `Code` maps old SRT codes onto them.
_TYPE_OF_SITE = {
    "272673000": "bone",  # Bone structure
    "818983003": "abdomen",
    "113345001": "abdomen",  # the code that SRT T-D4000 maps to
    "72410000": "mediastinum",
    "10200004": "liver",
    "39607008": "lung",
    "64033007": "kidney",
    "87784001": "soft tissue",
    "12921003": "pelvis",
}
# A part of an organ has a code of its own ("Right kidney", "Eighth rib"); its meaning names the organ.
_TYPE_OF_WORD = (
    ("mediastin", "mediastinum"),
    ("hilar lymph", "mediastinum"),
    ("lung", "lung"),
    ("liver", "liver"),
    ("hepatic", "liver"),
    ("kidney", "kidney"),
    ("vertebra", "bone"),
    ("rib ", "bone"),
    ("bone", "bone"),
    ("sternum", "bone"),
    ("femur", "bone"),
    ("pelvic", "pelvis"),
    ("pelvis", "pelvis"),
    ("spleen", "abdomen"),
    ("pancrea", "abdomen"),
    ("adrenal", "abdomen"),
    ("mesenter", "abdomen"),
    ("periton", "abdomen"),
    ("subcutaneous", "soft tissue"),
    ("muscle", "soft tissue"),
    ("breast", "soft tissue"),
)
# Meanings that hold such a word and name something else.
_NO_TYPE_WORDS = ("renal pelvis", "hepatic vein", "hepatic artery", "portal", "bone marrow", "vessel")
_SITES = [(Code(value, "SCT", name), name) for value, name in _TYPE_OF_SITE.items()]


def type_of_site(site: Code) -> str:
    """Return the lesion type of a coded finding site, "" where it is none of the eight."""
    for known, name in _SITES:
        if site == known:
            return name
    return type_of_text(site.meaning) or _type_of_words(site.meaning)


def _type_of_words(meaning: str) -> str:
    """Return the type whose word stands in a coded site's meaning, as in "Upper lobe of right lung"."""
    words = meaning.lower()
    if any(word in words for word in _NO_TYPE_WORDS):
        return ""
    return next((name for word, name in _TYPE_OF_WORD if word in words), "")


def type_of_text(text: str) -> str:
    """Return the lesion type that a text names, "" where it is not exactly one of the eight."""
    wanted = " ".join(text.replace("_", " ").lower().split())
    return wanted if wanted in LESION_TYPES else ""
