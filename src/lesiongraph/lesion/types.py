"""The paper's eight lesion types, in the order of DeepLesion's codes (facts: 1 bone … 8 pelvis)."""

from __future__ import annotations

LESION_TYPES = (
    "bone",
    "abdomen",
    "mediastinum",
    "liver",
    "lung",
    "kidney",
    "soft tissue",
    "pelvis",
)
"""Name of DeepLesion type code i + 1 at index i; the empty string stands for an unknown type."""
