"""Whether a header that a search gave says enough to place a slice, or must be completed."""

from __future__ import annotations

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_header import ENHANCED_CT

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


def lacks_something(header: Dataset) -> bool:
    """Whether a header found by a search (QIDO, C-FIND) must be completed."""
    if values.text(header, "SOPClassUID") in ENHANCED_CT:
        return True  # its frames' places are in sequences that a search does not return
    if values.text(header, "Modality") != "CT":  # its modality alone says why it is not used
        return not values.text(header, "SOPClassUID")
    return any(keyword not in header for keyword in _MUST_STATE_CT)
