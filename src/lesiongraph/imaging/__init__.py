"""Takes slices and a lesion's box; gives body mask, (x, y) and the patch the network sees (Sec. 3, 8.1)."""

from lesiongraph.imaging.body import (
    FLAG_CUT,
    FLAG_NO_BODY,
    BodyMask,
    body_mask,
    on_body,
    relative_xy,
)
from lesiongraph.imaging.context import PatchError
from lesiongraph.imaging.deeplesion_location import plain_from_stated_xy, relative_xy_as_stated
from lesiongraph.imaging.patch import Patch, canonical_view, cut_patch
from lesiongraph.imaging.store import PatchStore, PatchStoreError, PatchWriter, patch_provenance
from lesiongraph.imaging.window import window_to_255

__all__ = [
    "FLAG_CUT",
    "FLAG_NO_BODY",
    "BodyMask",
    "Patch",
    "PatchError",
    "PatchStore",
    "PatchStoreError",
    "PatchWriter",
    "body_mask",
    "canonical_view",
    "cut_patch",
    "on_body",
    "patch_provenance",
    "plain_from_stated_xy",
    "relative_xy",
    "relative_xy_as_stated",
    "window_to_255",
]
