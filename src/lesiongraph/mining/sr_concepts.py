"""The concepts of an SR that matter here, and what a group says about its lesion (PS3.16 TID 1501)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.sr._snomed_dict import mapping as snomed_mapping  # the table behind `Code` equality
from pydicom.sr.coding import Code

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.marks import About
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.sr_tree import Item

GROUP = Code("125007", "DCM", "Measurement Group")
LONG_AXES = (Code("103339001", "SCT", "Long Axis"), Code("131187009", "SCT", "Major Axis"))
SHORT_AXES = (Code("103340004", "SCT", "Short Axis"), Code("131188004", "SCT", "Minor Axis"))
TRACKING_ID = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING = Code("121071", "DCM", "Finding")
FINDING_SITE = Code("363698007", "SCT", "Finding Site")
FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
ANATOMICAL = Code("91723000", "SCT", "Anatomical structure")
VOLUME = Code("118565006", "SCT", "Volume")


def about_of(group: Item, items: Sequence[Item]) -> About:
    """Return what the group says about the lesion, whatever relationship its items hang by."""
    sites = [item.code for item in items if item.value_type == "CODE" and item.concept == FINDING_SITE]
    types = [name for site in sites if (name := type_of_site(site))]
    findings = [item.code.meaning for item in items if item.value_type == "CODE" and item.concept == FINDING]
    own = [item for item in items if item.parent is group] or items
    uids = [
        values.text(i.dataset, "UID") for i in own if i.value_type == "UIDREF" and i.concept == TRACKING_UID
    ]
    names = [
        values.text(i.dataset, "TextValue")
        for i in own
        if i.value_type == "TEXT" and i.concept == TRACKING_ID
    ]
    name = next(iter(names), "")
    return {
        "source": "SR",
        "source_item": f"{group.place} {name}".strip(),
        "type": next(iter(types), ""),
        "finding": next(iter(findings), ""),
        "finding_site": next((site.meaning for site in sites if site.meaning), ""),
        "tracking_uid": next(iter(uids), ""),
    }


def is_anatomy(items: Iterable[Item]) -> bool:
    """Whether the group outlines an organ: said by its category, or a finding that is a body part."""
    for item in items:
        if item.value_type == "CODE" and item.concept == FINDING_CATEGORY and item.code == ANATOMICAL:
            return True
        if item.value_type == "CODE" and item.concept == FINDING and _is_body_part(item.code):
            return True
    return False


def _is_body_part(code: Code) -> bool:
    """Whether a SNOMED code lies on the topography axis (T-…); lymph nodes (T-C4…) may be lesions."""
    value = code.value
    if code.scheme_designator == "SCT":
        value = snomed_mapping["SCT"].get(value, "")
    return value.startswith("T-") and not value.startswith("T-C4")
