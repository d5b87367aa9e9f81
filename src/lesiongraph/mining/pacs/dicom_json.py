"""The DICOM JSON model (PS3.18 Annex F) → data sets, the attributes that a caller needs fast."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from lesiongraph.mining import dicom_values as values

JsonDataset = dict[str, dict[str, Any]]
_PLAIN_VRS = ("AS", "CS", "DA", "DS", "IS", "LO", "SH", "UI")


def from_json(item: JsonDataset, keep: Sequence[str] = ()) -> Dataset:
    """Return a data set of the DICOM JSON model, or the attributes `keep` of it; bulk data stay empty."""
    if not keep:
        with values.lenient_reading():
            return Dataset.from_json(item, bulk_data_uri_handler=_no_bulk)
    dataset = Dataset()
    for keyword in keep:
        tag = BaseTag(tag_for_keyword(keyword) or 0)
        stated = item.get(f"{tag:08X}")
        if stated is None:
            continue
        plain = _plain_element(tag, stated)
        if plain is not None:
            dataset[tag] = plain
        else:
            with values.lenient_reading():
                dataset.update(Dataset.from_json({f"{tag:08X}": stated}, bulk_data_uri_handler=_no_bulk))
    return dataset


def _plain_element(tag: BaseTag, stated: Mapping[str, Any]) -> RawDataElement | None:
    """Return a value as a file would hold it, where it is plain ASCII: decoding takes most of the time.

    None where that takes pydicom.
    """
    vr, parts = str(stated.get("vr")), stated.get("Value", [])
    if vr == "US" and all(isinstance(part, int) and 0 <= part < 2**16 for part in parts):
        data = struct.pack(f"<{len(parts)}H", *parts)
    elif vr in _PLAIN_VRS and all(isinstance(part, str | int | float) for part in parts):
        text = "\\".join(map(str, parts))
        if not text.isascii():
            return None
        data = text.encode() + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)
    else:
        return None
    return RawDataElement(tag, vr, len(data), data, 0, False, True)


def _no_bulk(_tag: str, _vr: str, _uri: str) -> None:
    return None
