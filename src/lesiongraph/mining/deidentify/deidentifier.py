"""One data set → the same without what names a person or place (PS3.15 Annex E; docs/deidentification.md).

The result is built anew from what may stay, so nothing survives because it was overlooked.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from lesiongraph.mining.deidentify.actions import Action, action_for, keyword_of
from lesiongraph.mining.deidentify.codes import VALUE_KEYWORDS, CodeCleaner
from lesiongraph.mining.deidentify.key_file import KeyFile
from lesiongraph.mining.deidentify.moments import Shift
from lesiongraph.mining.deidentify.pixels import clean_pixels
from lesiongraph.mining.deidentify.pseudonyms import Pseudonyms, is_standard_uid
from lesiongraph.mining.deidentify.values import Values, cap_age, is_number
from lesiongraph.mining.deidentify.wording import words_of
from lesiongraph.mining.dicom_values import lenient_reading, text

__all__ = ["Deidentifier"]

_IMPLEMENTATION = UID("2.25.226110713318302127246470612330413374211")  # of lesiongraph, drawn once
_METHOD = "lesiongraph, PS3.15 Annex E Basic Profile and options, 1"
_PROFILES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113103", "Clean Graphics Option"),
    ("113104", "Clean Structured Content Option"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
_NAME_VRS = ("PN",)
_TEXT_ACTIONS = frozenset(
    (Action.SENTENCE, Action.DESCRIPTOR, Action.STRUCTURE, Action.KERNEL, Action.TOKEN, Action.CODE_STRING)
)


class Deidentifier:
    """Admits data sets without identifiers; an `arrival.Arrival`.

    Parameters
    ----------
    key : KeyFile
        Open: gives the secret, and is told each original. Several threads may admit at once.

    Attributes
    ----------
    counts : Counter of str
        What was done, for the run report; it holds attribute names, never values.
    """

    def __init__(self, key: KeyFile) -> None:
        self._key = key
        self._pseudonyms = Pseudonyms(key.secret)
        self._codes = CodeCleaner(self._pseudonyms)
        self._one_at_a_time = threading.Lock()
        self.counts: Counter[str] = Counter()

    def uid(self, original: str) -> str:
        """Return the UID under which the workspace knows the source's `original`, always the same."""
        if not original:
            return ""
        pseudonym = self._pseudonyms.uid(original)
        self._key.remember([(pseudonym, original)])
        return pseudonym

    def admit(self, dataset: Dataset) -> Dataset:
        """Return a new data set that holds only what may stay; the one given is not used again."""
        # pydicom's settings, which lenient reading changes and restores, are those of the whole process
        with self._one_at_a_time, lenient_reading():
            job = _Job(dataset, self._pseudonyms, self._codes)
            admitted = job.clean(dataset)
            _label(admitted)
            clean_pixels(dataset, admitted, job.counts)
            admitted.file_meta = _file_meta(dataset, admitted)
            implicit, little = dataset.original_encoding
            if implicit is not None and little is not None:
                admitted.set_original_encoding(implicit, little)
            self.counts.update(job.counts)
        self._key.remember(job.uids.items(), [job.patient] if job.patient[0] else [])
        return admitted


class _Job:
    """The cleaning of one data set: its patient's shift, the names it holds, and what was mapped."""

    def __init__(self, dataset: Dataset, pseudonyms: Pseudonyms, codes: CodeCleaner) -> None:
        original_id = text(dataset, "PatientID")
        self.patient = (pseudonyms.patient_id(original_id), original_id)
        self.uids: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._pseudonyms = pseudonyms
        self._codes = codes
        # Nobody can tell whether two studies without id are of one patient: each has its own shift.
        apart = original_id or "study\x1f" + text(dataset, "StudyInstanceUID")
        shift: Shift = pseudonyms.shift(apart)
        self._values = Values(pseudonyms, shift, _names(dataset))

    def clean(self, dataset: Dataset) -> Dataset:
        """Return what may stay of a data set or of one item of a sequence."""
        admitted = Dataset()
        coded = False
        for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset would decode every value)
            action, vr = action_for(tag)
            if action is Action.REMOVE:
                self.counts["attributes removed"] += 1
            elif action is Action.CODE_ENTRY:
                coded = True
            else:
                element = self._element(dataset, tag, action, vr)
                if element is None:
                    self.counts[f"unusable value removed: {keyword_of(tag)}"] += 1
                else:
                    admitted[tag] = element
        if coded:
            self._add_code(dataset, admitted)
        if "MeasuredValueSequence" in admitted:
            cap_age(dataset, admitted)
        return admitted

    def _element(
        self, dataset: Dataset, tag: BaseTag, action: Action, vr: str
    ) -> DataElement | RawDataElement | None:
        """Return the element as it may stay, None where nothing of it may."""
        raw = dataset.get_item(tag)
        if action is Action.NUMBER:
            return raw if raw is not None and is_number(raw, vr) else None
        if action is Action.PIXELS:
            return raw
        if action is Action.ITEMS:
            return self._items(dataset, tag)
        if action is Action.EMPTY:
            return DataElement(tag, vr, "")
        parts = _parts(dataset, tag)
        if action is Action.UID or action is Action.STANDARD_UID:
            return DataElement(tag, vr, _joined([self._uid(part, action) for part in parts]))
        if action is Action.PATIENT_NAME or action is Action.PATIENT_ID:
            return DataElement(tag, vr, self.patient[0])
        kept = [self._values.clean(part, action, vr, dataset) for part in parts]
        if action in _TEXT_ACTIONS and kept != parts:
            self.counts["texts cleaned"] += 1
        if any(part and not clean for part, clean in zip(parts, kept, strict=True)):
            self.counts[f"value removed: {keyword_of(tag)}"] += 1
        return DataElement(tag, vr, _joined(kept))

    def _items(self, dataset: Dataset, tag: BaseTag) -> DataElement | None:
        try:
            items = list(dataset[tag].value or [])
        except Exception:  # pydicom raises many kinds on damaged items; what cannot be read cannot be cleaned
            return None
        if not all(isinstance(item, Dataset) for item in items):
            return None
        return DataElement(tag, "SQ", [self.clean(item) for item in items])

    def _uid(self, original: str, action: Action) -> str:
        if not original or (action is Action.STANDARD_UID and is_standard_uid(original)):
            return original
        pseudonym = self._pseudonyms.uid(original)
        self.uids[pseudonym] = original
        return pseudonym

    def _add_code(self, dataset: Dataset, admitted: Dataset) -> None:
        value, scheme, meaning = self._codes.clean(dataset, self._values.names)
        if value:
            keyword = next((key for key in VALUE_KEYWORDS if key in dataset), VALUE_KEYWORDS[0])
            setattr(admitted, keyword, value)
        admitted.CodingSchemeDesignator = scheme
        if meaning:
            admitted.CodeMeaning = meaning[:64]


def _parts(dataset: Dataset, tag: BaseTag) -> list[str]:
    """Return an element's values as text; what cannot be decoded counts as one unreadable value."""
    raw: object = dataset.get_item(tag)
    try:
        if isinstance(raw, RawDataElement) and raw.value and raw.value.isascii():
            decoded = raw.value.decode("ascii")
        else:
            value = dataset[tag].value
            several = not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
            decoded = "\\".join(map(str, value)) if several else str("" if value is None else value)
    except Exception:  # pydicom raises many kinds for one damaged value
        return ["\0unreadable"]
    return [part.strip(" \0") for part in decoded.split("\\")]


def _joined(parts: list[str]) -> str | list[str]:
    return parts[0] if len(parts) == 1 else parts


def _names(dataset: Dataset) -> Collection[str]:
    """Return the words of all names of persons at the top of a data set."""
    found: set[str] = set()
    for tag in dataset.keys():  # noqa: SIM118
        vr = getattr(dataset.get_item(tag), "VR", None)
        if vr in _NAME_VRS or (not vr and action_for(tag)[1] in _NAME_VRS):  # implicit VR: none stated
            for part in _parts(dataset, tag):
                found |= words_of(re.sub(r"[\^=]", " ", part))
    return found


def _label(admitted: Dataset) -> None:
    """Say in the data set itself that, and how, it was de-identified (PS3.3 C.12.1.1, PS3.15 E.1.1)."""
    admitted.PatientIdentityRemoved = "YES"
    admitted.LongitudinalTemporalInformationModified = "MODIFIED"
    admitted.DeidentificationMethod = _METHOD
    entries = []
    for value, meaning in _PROFILES:
        entry = Dataset()
        entry.CodeValue, entry.CodingSchemeDesignator, entry.CodeMeaning = value, "DCM", meaning[:64]
        entries.append(entry)
    admitted.DeidentificationMethodCodeSequence = entries


def _file_meta(dataset: Dataset, admitted: Dataset) -> FileMetaDataset:
    """Return new file meta information: it may name the sending system, and hold private parts."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(text(admitted, "SOPClassUID"))
    meta.MediaStorageSOPInstanceUID = UID(text(admitted, "SOPInstanceUID"))
    syntax = text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID")
    if is_standard_uid(syntax):
        meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = _IMPLEMENTATION
    return meta
