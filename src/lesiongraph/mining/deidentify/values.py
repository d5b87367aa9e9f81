"""Single values: each action's rule for one text value of an attribute."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.sr.coding import Code

from lesiongraph.mining.coded import code_of
from lesiongraph.mining.deidentify import wording
from lesiongraph.mining.deidentify.actions import Action
from lesiongraph.mining.deidentify.moments import Shift
from lesiongraph.mining.deidentify.pseudonyms import Pseudonyms
from lesiongraph.mining.deidentify.vocabulary import TERMS
from lesiongraph.mining.dicom_values import number
from lesiongraph.mining.structures import names_a_lesion

OLDEST_YEARS = 89  # ages beyond are as rare as a name: they all become 90 (45 CFR 164.514(b)(2)(i)(C))
BIRTH_DATE = Code("121031", "DCM", "Subject Birth Date")
SUBJECT_AGE = Code("121033", "DCM", "Subject Age")
TRACKING_IDENTIFIER = Code("112039", "DCM", "Tracking Identifier")
NOBODY = "removed"
_NUMERIC_TEXT = re.compile(rb"[0-9+\-.eE \\\0]*")
_NUMERIC_PART = re.compile(r"[0-9+\-.eE \0]*")


class Values:
    """The rules for the text values of one data set.

    Parameters
    ----------
    pseudonyms : Pseudonyms
        For tokens.
    shift : Shift
        How the patient's dates move.
    names : collection of str
        Words in lower case that do not stay, whatever the vocabulary says.
    """

    def __init__(self, pseudonyms: Pseudonyms, shift: Shift, names: Collection[str]) -> None:
        self.names = names
        self._pseudonyms = pseudonyms
        self._shift = shift

    def clean(self, value: str, action: Action, vr: str, holder: Dataset) -> str:
        """Return the value as it may stay, "" where nothing of it may."""
        if not value:
            return ""
        if action is Action.MOMENT:
            return self._moment(value, vr, holder)
        if action is Action.SENTENCE:
            return self._sentence(value, holder)
        if action is Action.STRUCTURE:
            return self._structure(value)
        if action is Action.TOKEN:
            return wording.sentence(value, self.names) or "T-" + self._pseudonyms.token("token", value)
        if action is Action.DESCRIPTOR:
            return wording.descriptor(value, self.names)
        return _FIXED[action](value)

    def _moment(self, value: str, vr: str, holder: Dataset) -> str:
        if vr == "DA":
            # A birth date moved as the other dates are would still tell the exact age.
            return "" if code_of(holder, "ConceptNameCodeSequence") == BIRTH_DATE else self._shift.date(value)
        return self._shift.time(value) if vr == "TM" else self._shift.datetime(value)

    def _sentence(self, value: str, holder: Dataset) -> str:
        kept = wording.sentence(value, self.names)
        if kept or "ValueType" not in holder:  # a text drawn on an image may be empty, a TEXT item may not
            return kept
        if code_of(holder, "ConceptNameCodeSequence") == TRACKING_IDENTIFIER:
            return "T-" + self._pseudonyms.token("token", value)
        return NOBODY

    def _structure(self, value: str) -> str:
        """Return the harmless words of a name, such that mining takes it for a lesion if it did before."""
        kept = wording.descriptor(value, self.names)
        is_lesion = names_a_lesion(value)
        if kept and names_a_lesion(kept) == is_lesion:
            return kept
        return "lesion" if is_lesion else "structure"


def _age(value: str) -> str:
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", value)
    if match is None:
        return ""
    return f"{OLDEST_YEARS + 1:03d}Y" if match[2] in ("Y", "") and int(match[1]) > OLDEST_YEARS else value


def cap_age(item: Dataset, admitted: Dataset) -> None:
    """Bring the age that a report's item states down to 90 years where it is beyond 89, in place."""
    if code_of(item, "ConceptNameCodeSequence") != SUBJECT_AGE:
        return
    for measured in admitted.MeasuredValueSequence:
        in_years = code_of(measured, "MeasurementUnitsCodeSequence").value in ("a", "")
        if in_years and not number(measured, "NumericValue") <= OLDEST_YEARS:
            for keyword in ("FloatingPointValue", "RationalNumeratorValue", "RationalDenominatorValue"):
                if keyword in measured:
                    delattr(measured, keyword)
            measured.NumericValue = str(OLDEST_YEARS + 1)


def _code_string(value: str) -> str:
    return value if code_string_stays(value) else ""


def code_string_stays(value: str) -> bool:
    """Whether a code string is made of the standard's terms."""
    words = value.upper().split()
    return all(word in TERMS for word in words)


_FIXED: dict[Action, Callable[[str], str]] = {
    Action.SEX: lambda value: value if value in ("M", "F", "O") else "",
    Action.AGE: _age,
    Action.CODE_STRING: _code_string,
    Action.KERNEL: wording.kernel,
    Action.PERSON: lambda _: NOBODY,
}


def is_number(element: DataElement | RawDataElement, vr: str) -> bool:
    """Whether an attribute that ought to hold numbers holds nothing else: old files put text anywhere."""
    if isinstance(element, RawDataElement):
        if element.VR is not None and vr != element.VR and not (" or " in vr and element.VR in vr):
            return False
        return vr not in ("DS", "IS") or _NUMERIC_TEXT.fullmatch(element.value or b"") is not None
    if vr not in ("DS", "IS"):
        return not isinstance(element.value, str)
    value = element.value
    several = not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
    parts = list(value) if several else [value]
    return all(_NUMERIC_PART.fullmatch(str("" if part is None else part)) is not None for part in parts)
