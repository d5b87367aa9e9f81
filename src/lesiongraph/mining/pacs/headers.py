"""The headers of images: out of whole objects, and whether one that a search gave must be completed."""

from __future__ import annotations

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_header import ENHANCED_CT, FRAME_GROUPS, HEADER_KEYWORDS

# Without one of these a slice cannot be placed, or not be told from what is no CT in HU.
_MUST_STATE_CT = (
    "SOPClassUID",
    "ImageType",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "BitsAllocated",
    "RescaleIntercept",
)


def header_of(image: Dataset) -> Dataset:
    """Return what mining reads of an image's header, without its pixels."""
    header = Dataset()
    for keyword in (*HEADER_KEYWORDS, *FRAME_GROUPS):
        if keyword in image:
            header[keyword] = image[keyword]
    return header


def lacks_something(header: Dataset) -> bool:
    """Whether a header found by a search (QIDO, C-FIND) must be completed."""
    if values.text(header, "SOPClassUID") in ENHANCED_CT:
        return True  # its frames' places are in sequences that a search does not return
    if values.text(header, "Modality") != "CT":  # its modality alone says why it is not used
        return not values.text(header, "SOPClassUID")
    return any(keyword not in header for keyword in _MUST_STATE_CT)
