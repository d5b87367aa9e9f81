"""The object that a mark was mined from, as its PACS knows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from lesiongraph.errors import UnknownOriginalError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_header import read_object
from lesiongraph.mining.own_reports import own_mark
from lesiongraph.mining.sr_concepts import FINDING, FINDING_SITE, GROUP, TRACKING_ID, TRACKING_UID
from lesiongraph.mining.sr_tree import Item, read_tree
from lesiongraph.mining.write_back import codes
from lesiongraph.mining.write_back.facts import OriginalMark

_SH, _LO = 16, 64


class Originals(Protocol):
    """Says which of the PACS's UIDs a UID of the workspace stands for."""

    def uid(self, workspace_uid: str) -> str:
        """Return the original UID.

        Raises
        ------
        UnknownOriginalError
            If none is known. A lesion is then left out and counted; an original mark is told without its UID.
        """
        ...


class SameUids:
    """A workspace that was not de-identified: its UIDs are the PACS's."""

    def uid(self, workspace_uid: str) -> str:
        """Return `workspace_uid`."""
        return workspace_uid


class OriginalReader:
    """Reads the objects that marks came from, each file once while its marks are asked for in a row."""

    def __init__(self, originals: Originals) -> None:
        self._originals = originals
        self._path: Path | None = None
        self._dataset = Dataset()

    def read(self, path: Path, source_item: str, words: str = "") -> OriginalMark:
        """Return where a mark comes from; without UIDs where its file is gone or cannot be read.

        Parameters
        ----------
        path, source_item
            `source_path` and `source_item` of the catalogue.
        words : str
            What the catalogue knows that the original calls the lesion; kept where that is no code.
        """
        with values.lenient_reading():
            dataset = self._open(path)
            if not values.text(dataset, "SOPInstanceUID"):
                return OriginalMark(item=source_item, words=words)
            group = self._group(dataset, source_item)
            if group is None:
                return self._named(dataset, OriginalMark(item=source_item, words=words))
            if own_mark(group.children) is not None:
                return self._as_we_named_it(dataset, group)
            return self._named(dataset, self._about(group))

    def _open(self, path: Path) -> Dataset:
        if path != self._path:
            self._path = path
            try:
                self._dataset = read_object(path)
            except Exception:  # gone, damaged or no DICOM: the report then only tells the item
                self._dataset = Dataset()
        return self._dataset

    @staticmethod
    def _group(dataset: Dataset, source_item: str) -> Item | None:
        """Return the measurement group of an SR that the catalogue names by its place ("1.4.2 name")."""
        if values.text(dataset, "Modality") != "SR" or "ContentSequence" not in dataset:
            return None
        place = source_item.partition(" ")[0]
        root = read_tree(dataset)
        return next((item for item in root.descendants() if item.place == place), None)

    def _about(self, group: Item) -> OriginalMark:
        below = list(group.within(GROUP))
        return OriginalMark(
            item=group.place,
            tracking_id=_text(group, TRACKING_ID, "TextValue"),
            tracking_uid=self._uid(_text(group, TRACKING_UID, "UID")),
            findings=_coded(below, FINDING),
            sites=_coded(below, FINDING_SITE),
        )

    def _named(self, dataset: Dataset, mark: OriginalMark) -> OriginalMark:
        """Return `mark` with the UIDs of the object that holds it."""
        return dataclasses.replace(
            mark,
            sop_instance_uid=self._uid(values.text(dataset, "SOPInstanceUID")),
            sop_class_uid=values.text(dataset, "SOPClassUID"),
            series_instance_uid=self._uid(values.text(dataset, "SeriesInstanceUID")),
            study_instance_uid=self._uid(values.text(dataset, "StudyInstanceUID")),
        )

    def _as_we_named_it(self, dataset: Dataset, group: Item) -> OriginalMark:
        """Return the original that a report of ours names: the mark is known from there alone."""
        named = next((i for i in group.children if i.concept == codes.ORIGINAL_SOURCE), None)
        reference = (named.dataset.get("ReferencedSOPSequence") if named else None) or [Dataset()]
        uid = values.text(reference[0], "ReferencedSOPInstanceUID")
        study, series = _where(dataset, uid)
        below = list(group.within(GROUP))
        words = _text(group, codes.ORIGINAL_WORDS, "TextValue")
        return OriginalMark(
            sop_instance_uid=self._uid(uid),
            sop_class_uid=values.text(reference[0], "ReferencedSOPClassUID"),
            series_instance_uid=self._uid(series),
            study_instance_uid=self._uid(study),
            item=_text(group, codes.ORIGINAL_ITEM, "TextValue"),
            tracking_id=_text(group, codes.ORIGINAL_TRACKING, "TextValue"),
            tracking_uid=self._uid(_text(group, codes.ORIGINAL_TRACKING_UID, "UID")),
            findings=() if words else _coded(below, FINDING),
            sites=_coded(below, FINDING_SITE),
            words=words,
        )

    def _uid(self, workspace_uid: str) -> str:
        """Return the PACS's UID; "" where none is known, or for what is none: a report may not hold it."""
        try:
            return self._originals.uid(workspace_uid) if UID(workspace_uid).is_valid else ""
        except UnknownOriginalError:
            return ""


def _text(group: Item, concept: Code, keyword: str) -> str:
    found = (values.text(item.dataset, keyword) for item in group.children if item.concept == concept)
    return next((text for text in found if text), "")


def _coded(items: list[Item], concept: Code) -> tuple[Code, ...]:
    """Return the codes of these items, each once, those that a CODE item of ours may repeat."""
    found = [item.code for item in items if item.value_type == "CODE" and item.concept == concept]
    whole = [code for code in found if _is_whole(code)]
    return tuple({(code.value, code.scheme_designator): code for code in whole}.values())


def _is_whole(code: Code) -> bool:
    """Whether a code has all three parts, none longer than its VR allows (SH, LO: PS3.5 6.2)."""
    value, scheme, meaning = code.value, code.scheme_designator, code.meaning
    return 0 < len(value) <= _SH and 0 < len(scheme) <= _SH and 0 < len(meaning) <= _LO


def _where(dataset: Dataset, sop_instance_uid: str) -> tuple[str, str]:
    """Return study and series of an object that a document lists as evidence (PS3.3 C.17.2)."""
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.get(keyword) or []:
            for series in study.get("ReferencedSeriesSequence") or []:
                uids = {
                    values.text(ref, "ReferencedSOPInstanceUID")
                    for ref in series.get("ReferencedSOPSequence") or []
                }
                if sop_instance_uid in uids:
                    return values.text(study, "StudyInstanceUID"), values.text(series, "SeriesInstanceUID")
    return "", ""
