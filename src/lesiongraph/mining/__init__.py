"""Takes DICOM folders, DeepLesion releases, image + mask CSVs; gives catalogue tables and pixels (Sec. 3)."""

from lesiongraph.mining.deeplesion_images import hu_from_8bit
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND
from lesiongraph.mining.loose import LooseSeries, open_loose
from lesiongraph.mining.readers import SliceReader, open_series
from lesiongraph.mining.result import MiningResult, in_order, merge_into, merge_results
from lesiongraph.mining.sources import mine_sources
from lesiongraph.mining.subsets import as_found, assign_subsets

__all__ = [
    "IMAGE_NOT_FOUND",
    "LooseSeries",
    "MiningResult",
    "SliceReader",
    "as_found",
    "assign_subsets",
    "hu_from_8bit",
    "in_order",
    "merge_into",
    "merge_results",
    "mine_sources",
    "open_loose",
    "open_series",
]
