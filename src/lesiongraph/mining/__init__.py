"""Takes DICOM folders, DeepLesion releases, image + mask CSVs; gives catalogue tables and pixels (Sec. 3)."""

from lesiongraph.mining import rules
from lesiongraph.mining.arrival import Arrival, AsItIs
from lesiongraph.mining.deeplesion_images import hu_from_8bit
from lesiongraph.mining.deidentify import Deidentifier, KeyFile, Originals, find_key
from lesiongraph.mining.deidentify.key_place import MIRROR, expected_key_id, mark_workspace, unmark_if_empty
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND
from lesiongraph.mining.dicom_series import BURNED_IN
from lesiongraph.mining.duplicates import reject_duplicates
from lesiongraph.mining.loose import LooseSeries, open_loose
from lesiongraph.mining.mirror_folder import mirror_folders
from lesiongraph.mining.readers import SliceReader, open_series
from lesiongraph.mining.result import MiningResult, in_order, merge_results, series_named
from lesiongraph.mining.sources import PATIENTS_READ, is_table, mine_sources
from lesiongraph.mining.subsets import as_found, assign_subsets

__all__ = [
    "BURNED_IN",
    "IMAGE_NOT_FOUND",
    "MIRROR",
    "PATIENTS_READ",
    "Arrival",
    "AsItIs",
    "Deidentifier",
    "KeyFile",
    "LooseSeries",
    "MiningResult",
    "Originals",
    "SliceReader",
    "as_found",
    "assign_subsets",
    "expected_key_id",
    "find_key",
    "hu_from_8bit",
    "in_order",
    "is_table",
    "mark_workspace",
    "merge_results",
    "mine_sources",
    "mirror_folders",
    "open_loose",
    "open_series",
    "reject_duplicates",
    "rules",
    "series_named",
    "unmark_if_empty",
]
