"""An address → the PACS behind it."""

from __future__ import annotations

from lesiongraph.errors import UsageError
from lesiongraph.mining.pacs.address import DICOMWEB, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb_pacs import DicomwebPacs
from lesiongraph.mining.pacs.pacs import Pacs


def open_pacs(address: PacsAddress, settings: PacsSettings) -> Pacs:
    """Return the PACS at an address; nothing is asked yet.

    Raises
    ------
    UsageError
        If its protocol is not spoken.
    """
    if address.protocol == DICOMWEB:
        return DicomwebPacs(address, settings)
    raise UsageError(f"{address}: expected a DICOMweb address (dicomweb+http…): DIMSE is not spoken yet.")
