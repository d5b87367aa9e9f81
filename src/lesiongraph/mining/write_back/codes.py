"""What the items of a report are called, and lesion types and regions as codes (PS3.16)."""

from __future__ import annotations

from pydicom.sr.coding import Code

from lesiongraph.mining.own_reports import LESION_ID, ORIGINAL_SOURCE, SCHEME

__all__ = ["LESION_ID", "ORIGINAL_SOURCE", "SCHEME"]

LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
LESION = Code("52988006", "SCT", "Lesion")
CT_PROCEDURE = Code("77477000", "SCT", "Computed tomography")
COMMENT = Code("121106", "DCM", "Comment")

# Ours, where the standard has no concept. A code value holds at most 16 characters.
ORIGINAL_ITEM = Code("original-item", SCHEME, "Item of the original mark")
ORIGINAL_WORDS = Code("original-words", SCHEME, "Words of the original mark")
ORIGINAL_TRACKING = Code("original-track", SCHEME, "Tracking Identifier of the original mark")
ORIGINAL_TRACKING_UID = Code("original-uid", SCHEME, "Tracking Unique Identifier of the original mark")
LESION_TYPE = Code("lesion-type", SCHEME, "Lesion type")
TYPE_ORIGIN = Code("type-origin", SCHEME, "Origin of the lesion type")
STATED = Code("stated", SCHEME, "Stated by the original mark")
PREDICTED = Code("predicted", SCHEME, "Predicted by lesiongraph")
TYPE_PROBABILITY = Code("type-probability", SCHEME, "Probability of the lesion type")
MATCH_PROBABILITY = Code("match-prob", SCHEME, "Probability of the match to another study")
STATE_BEFORE = Code("state-before", SCHEME, "State against the study before")
BODY_Z = Code("body-z", SCHEME, "Relative body location, 0 head to 1 foot")
BODY_Z_SD = Code("body-z-sd", SCHEME, "Expected error of the relative body location")
BODY_REGION = Code("body-region", SCHEME, "Body region")

NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETRE = Code("mm", "UCUM", "millimeter")

TYPES = {
    "bone": Code("272673000", "SCT", "Bone structure"),
    "abdomen": Code("818983003", "SCT", "Abdomen"),
    "mediastinum": Code("72410000", "SCT", "Mediastinum"),
    "liver": Code("10200004", "SCT", "Liver"),
    "lung": Code("39607008", "SCT", "Lung"),
    "kidney": Code("64033007", "SCT", "Kidney"),
    "soft tissue": Code("87784001", "SCT", "Soft tissue"),
    "pelvis": Code("12921003", "SCT", "Pelvis"),
}
"""The paper's eight types as the anatomy that each of them names (`mining.sites` reads them back)."""

REGIONS = {
    "head": Code("69536005", "SCT", "Head"),
    "neck": Code("45048000", "SCT", "Neck"),
    "chest": Code("816094009", "SCT", "Chest"),
    "abdomen": Code("818983003", "SCT", "Abdomen"),
    "pelvis": Code("816092008", "SCT", "Pelvis"),
    "thigh": Code("68367000", "SCT", "Thigh"),
}
"""Regions of the atlas as DICOM's own codes for body parts (PS3.16 Annex L)."""
