"""Regions of the body ↔ DICOM's terms for Body Part Examined (0018,0015).

Source: PS3.16 Annex L, table of defined terms; the abbreviations are the standard's (16 characters at most).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

REGIONS = ("head", "neck", "chest", "abdomen", "pelvis", "thigh")

# Defined terms for unbroken runs of regions. There is none for others, such as neck to thigh.
_TERMS: dict[tuple[str, ...], str] = {
    ("head",): "HEAD",
    ("neck",): "NECK",
    ("chest",): "CHEST",
    ("abdomen",): "ABDOMEN",
    ("pelvis",): "PELVIS",
    ("thigh",): "THIGH",
    ("head", "neck"): "HEADNECK",
    ("neck", "chest"): "NECKCHEST",
    ("neck", "chest", "abdomen"): "NECKCHESTABDOMEN",
    ("neck", "chest", "abdomen", "pelvis"): "NECKCHESTABDPELV",
    ("chest", "abdomen"): "CHESTABDOMEN",
    ("chest", "abdomen", "pelvis"): "CHESTABDPELVIS",
    ("abdomen", "pelvis"): "ABDOMENPELVIS",
    ("pelvis", "thigh"): "PELVISLOWEXTREMT",
    REGIONS: "WHOLEBODY",
}
# Terms that name an organ or part, by the region it lies in; what hospitals write, not the whole annex.
_PARTS: dict[str, str] = {
    part: region
    for region, parts in {
        "head": "BRAIN SKULL FACE ORBIT SINUS JAW MAXILLA EAR",
        "neck": "CSPINE LARYNX THYROID PHARYNX PAROTID",
        "chest": "LUNG THORAX BREAST HEART MEDIASTINUM TSPINE RIB STERNUM SHOULDER ESOPHAGUS BRONCHUS AXILLA",
        "abdomen": "LIVER KIDNEY PANCREAS SPLEEN STOMACH ADRENAL LSPINE GALLBLADDER BILEDUCT",
        "pelvis": "PROSTATE BLADDER UTERUS RECTUM HIP OVARY SSPINE CERVIX",
        "thigh": "LEG FEMUR KNEE EXTREMITY LOWERLIMB",
    }.items()
    for part in parts.split()
}
_LONG_PARTS = {"COLON": ("abdomen", "pelvis"), "TLSPINE": ("chest", "abdomen"), "SPINE": REGIONS[1:5]}


def term_of(regions: Sequence[str]) -> str:
    """Return the defined term of an unbroken run of regions, head to foot; "" for none.

    A run without a term of its own loses its thigh, then its head: these are where z is least known.
    """
    run = tuple(regions)
    for shorter in (run, run[:-1] if run[-1:] == ("thigh",) else run):
        for candidate in (shorter, shorter[1:] if shorter[:1] == ("head",) else shorter):
            if candidate in _TERMS:
                return _TERMS[candidate]
    return ""


def regions_of_term(term: str) -> frozenset[str]:
    """Return the regions a Body Part Examined names; empty where the term is not known here."""
    plain = "".join(letter for letter in term.upper() if letter.isalnum())
    for regions, name in _TERMS.items():
        if name == plain:
            return frozenset(regions)
    if plain in _LONG_PARTS:
        return frozenset(_LONG_PARTS[plain])
    return frozenset({_PARTS[plain]}) if plain in _PARTS else frozenset()


def agreement(given: str, found: Collection[str]) -> str:
    """Say how a header's Body Part Examined fits the regions that were found.

    Returns
    -------
    "" where the header gives none or nothing was found, "unknown term", "yes" (the same regions), "in part"
    (at least one in common), "no".
    """
    if not given.strip() or not found:
        return ""
    named = regions_of_term(given)
    if not named:
        return "unknown term"
    if named == set(found):
        return "yes"
    return "in part" if named & set(found) else "no"
