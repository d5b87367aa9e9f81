"""What hides beside the pixels: bytes after them, overlays in their unused bits, comments in their coding.

The pixels themselves are not altered.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import UID

from lesiongraph.mining.dicom_values import text, whole

_OVERLAYS = range(0x6000, 0x6020, 2)  # repeating group of PS3.3 C.9.2
_BIT_POSITION = 0x0102


def clean_pixels(original: Dataset, admitted: Dataset, counts: Counter[str]) -> None:
    """Clean what lies beside the pixels of `admitted`, in place.

    Parameters
    ----------
    original : Dataset
        As it came: it tells the transfer syntax, and whether overlays lie in the pixels' unused bits.
    admitted : Dataset
        Cleaned but for its pixels.
    counts : Counter of str
        Told what was found.
    """
    if "PixelData" not in admitted or not isinstance(admitted["PixelData"].value, bytes):
        return
    syntax = UID(text(getattr(original, "file_meta", Dataset()), "TransferSyntaxUID"))
    stored = admitted["PixelData"].value
    if syntax.is_valid and not syntax.is_private and syntax in _compressed():
        cleaned = without_comments(stored)
        counts["comments in or bytes after compressed pixels removed"] += int(cleaned != stored)
    else:
        cleaned = _without_trailing_bytes(stored, admitted)
        counts["bytes after the pixels removed"] += int(len(cleaned) != len(stored))
        if _overlay_in_pixels(original):
            cleaned = _without_unused_bits(cleaned, admitted)
            counts["overlays in the pixels' unused bits removed"] += 1
    if cleaned != stored:
        admitted["PixelData"] = DataElement(0x7FE00010, admitted["PixelData"].VR, cleaned)


def _compressed() -> frozenset[str]:
    from pydicom.uid import AllTransferSyntaxes

    return frozenset(str(syntax) for syntax in AllTransferSyntaxes if syntax.is_encapsulated)


def _without_trailing_bytes(stored: bytes, dataset: Dataset) -> bytes:
    frame_bits = 1
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"):
        frame_bits *= max(whole(dataset, keyword, 1 if keyword == "SamplesPerPixel" else 0), 0)
    if text(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        frame_bits = frame_bits * 2 // 3
    length = (frame_bits * max(whole(dataset, "NumberOfFrames", 1), 1) + 7) // 8
    length += length % 2
    return stored[:length] if 0 < length < len(stored) else stored


def _overlay_in_pixels(original: Dataset) -> bool:
    return any(
        (group, _BIT_POSITION) in original and int(original[group, _BIT_POSITION].value or 0) > 0
        for group in _OVERLAYS
    )


def _without_unused_bits(stored: bytes, dataset: Dataset) -> bytes:
    """Return 16-bit pixels with the bits above the stored ones cleared, or filled by the sign."""
    bits = whole(dataset, "BitsStored", 16)
    if whole(dataset, "BitsAllocated", 16) != 16 or not 0 < bits < 16:
        return stored
    little = dataset.original_encoding[1] is not False
    pixels = np.frombuffer(stored, "<u2" if little else ">u2")
    unused = 16 - bits
    if whole(dataset, "PixelRepresentation", 0) == 1:
        signed = pixels.astype(np.int16) << unused >> unused
        return signed.astype("<i2" if little else ">i2").tobytes()
    return (pixels & np.uint16((1 << bits) - 1)).astype(pixels.dtype).tobytes()


def without_comments(encapsulated: bytes) -> bytes:
    """Return encapsulated pixels with the comments of their JPEG or JPEG 2000 streams blanked.

    The fragments keep their lengths, so offset tables stay right; what follows the last one is cut off.
    Source: ISO/IEC 10918-1 B.2.4, 15444-1 A.9.2.
    """
    out = bytearray(encapsulated)
    start = 0
    while start + 8 <= len(out) and out[start : start + 2] == b"\xfe\xff":  # item tags of PS3.5 A.4
        length = int.from_bytes(out[start + 4 : start + 8], "little")
        if out[start + 2 : start + 4] != b"\x00\xe0":
            break
        _blank(out, start + 8, min(start + 8 + length, len(out)))
        start = min(start + 8 + length, len(out))
    return bytes(out[:start]) if start else encapsulated


def _blank(out: bytearray, start: int, stop: int) -> None:
    """Blank the comment (COM) and application (APP1 to APP13, APP15) segments of one stream."""
    if out[start : start + 2] == b"\xff\xd8":
        comments, ends = {0xFE, *range(0xE1, 0xEE), 0xEF}, {0xDA, 0xD9}
    elif out[start : start + 2] == b"\xff\x4f":
        comments, ends = {0x64}, {0x90, 0xD9}
    else:
        return
    skipped = 0 if out[start + 1] == 0xD8 else 2  # JPEG 2000: two bytes say how the comment is coded
    place = start + 2
    while place + 4 <= stop and out[place] == 0xFF and out[place + 1] not in ends:
        length = int.from_bytes(out[place + 2 : place + 4], "big")
        if out[place + 1] in comments:
            first, last = place + 4 + skipped, min(place + 2 + length, stop)
            out[first:last] = b" " * max(last - first, 0)
        place += 2 + max(length, 2)
