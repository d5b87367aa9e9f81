"""Takes lesion groups, gives one structured report a study to the PACS that the marks came from (issue 5)."""

from lesiongraph.mining.write_back.destination import Destination, FolderDestination, NotStoredError
from lesiongraph.mining.write_back.dicomweb import DicomwebDestination
from lesiongraph.mining.write_back.facts import (
    Algorithm,
    OriginalMark,
    ReportedLesion,
    StudyFacts,
    Tracking,
)
from lesiongraph.mining.write_back.ledger import Ledger, LedgerFile
from lesiongraph.mining.write_back.originals import OriginalReader, Originals, SameUids
from lesiongraph.mining.write_back.sending import Outcome, Sender, Sending
from lesiongraph.mining.write_back.tracking import assign_tracking

__all__ = [
    "Algorithm",
    "Destination",
    "DicomwebDestination",
    "FolderDestination",
    "Ledger",
    "LedgerFile",
    "NotStoredError",
    "OriginalMark",
    "OriginalReader",
    "Originals",
    "Outcome",
    "ReportedLesion",
    "SameUids",
    "Sender",
    "Sending",
    "StudyFacts",
    "Tracking",
    "assign_tracking",
]
