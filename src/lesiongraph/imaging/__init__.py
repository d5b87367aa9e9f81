"""Takes slices and a lesion's box; gives body mask, (x, y) and the patch the network sees (Sec. 3, 8.1)."""

from lesiongraph.imaging.body import (
    FLAG_CUT,
    FLAG_NO_BODY,
    BodyMask,
    body_mask,
    on_body,
)
from lesiongraph.imaging.body_outline import USUAL, UsualSize
from lesiongraph.imaging.burned_in import suspect_text
from lesiongraph.imaging.context import PatchError, plan_context
from lesiongraph.imaging.deeplesion_location import plain_from_stated_xy, relative_xy_as_stated
from lesiongraph.imaging.patch import Patch, canonical_view, cut_patch
from lesiongraph.imaging.place import BodyBox, relative_xy, relative_xy_error, seen_box
from lesiongraph.imaging.store import PatchStore, PatchStoreError, PatchWriter, patch_provenance
from lesiongraph.imaging.whole_body import FLAG_UNSURE, place_flag, whole_body_box
from lesiongraph.imaging.window import window_to_255

__all__ = [
    "FLAG_CUT",
    "FLAG_NO_BODY",
    "FLAG_UNSURE",
    "USUAL",
    "BodyBox",
    "BodyMask",
    "Patch",
    "PatchError",
    "PatchStore",
    "PatchStoreError",
    "PatchWriter",
    "UsualSize",
    "body_mask",
    "canonical_view",
    "cut_patch",
    "on_body",
    "patch_provenance",
    "place_flag",
    "plain_from_stated_xy",
    "plan_context",
    "relative_xy",
    "relative_xy_as_stated",
    "relative_xy_error",
    "seen_box",
    "suspect_text",
    "whole_body_box",
    "window_to_255",
]
