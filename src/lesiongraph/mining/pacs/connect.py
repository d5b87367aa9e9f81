"""An address → the PACS behind it."""

from __future__ import annotations

from lesiongraph.mining.pacs.address import DICOMWEB, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicomweb_pacs import DicomwebPacs
from lesiongraph.mining.pacs.dimse_pacs import DimsePacs
from lesiongraph.mining.pacs.pacs import Pacs


def open_pacs(address: PacsAddress, settings: PacsSettings) -> Pacs:
    """Return the PACS at an address; nothing is asked yet."""
    return DicomwebPacs(address, settings) if address.protocol == DICOMWEB else DimsePacs(address, settings)
