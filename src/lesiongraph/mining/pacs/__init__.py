"""A PACS as a source: its address, what it is asked, and the mirror of what it gave."""

from lesiongraph.mining.arrival import Arrival, AsItIs
from lesiongraph.mining.pacs.address import (
    DateWindow,
    PacsAddress,
    PacsSettings,
    is_pacs_address,
    secrets_from,
)
from lesiongraph.mining.pacs.connect import open_pacs
from lesiongraph.mining.pacs.errors import (
    CorruptAnswerError,
    PacsAddressError,
    PacsRefusedError,
    PacsUnreachableError,
)
from lesiongraph.mining.pacs.mirror import Mirror, MirroredStudy
from lesiongraph.mining.pacs.pacs import Pacs
from lesiongraph.mining.pacs.study_fetcher import Demand, Wanted
from lesiongraph.mining.pacs.sync import Pulled, pull

__all__ = [
    "Arrival",
    "AsItIs",
    "CorruptAnswerError",
    "DateWindow",
    "Demand",
    "Mirror",
    "MirroredStudy",
    "Pacs",
    "PacsAddress",
    "PacsAddressError",
    "PacsRefusedError",
    "PacsSettings",
    "PacsUnreachableError",
    "Pulled",
    "Wanted",
    "is_pacs_address",
    "open_pacs",
    "pull",
    "secrets_from",
]
