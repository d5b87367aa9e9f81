"""What is done with each attribute: the one table that decides, by tag.

It is a list of what stays. An attribute that no line below names is removed, so a new or private attribute
can never pass unseen; PS3.15 Table E.1-1 lists what to remove instead, and has to grow with the standard.
Sequences of the groups that describe images and marks are kept, and their items cleaned by the same table.
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache

from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag


class Action(Enum):
    """What becomes of an attribute's value."""

    REMOVE = auto()
    EMPTY = auto()  # the attribute must be there (type 2), its value need not
    NUMBER = auto()  # kept, where it holds numbers and nothing else
    ITEMS = auto()  # a sequence: each item cleaned
    CODE_ENTRY = auto()  # part of a coded entry: cleaned together
    UID = auto()  # replaced by its pseudonym
    STANDARD_UID = auto()  # kept where registered by DICOM, else replaced
    MOMENT = auto()  # date, time or both: moved
    CODE_STRING = auto()  # kept where it is a term of the standard
    SENTENCE = auto()  # text: kept where all of it is harmless
    DESCRIPTOR = auto()  # label: its harmless words
    STRUCTURE = auto()  # name of an ROI or segment: its harmless words, and still a lesion if it was one
    KERNEL = auto()
    TOKEN = auto()  # an identifier that must stay equal where it was equal
    PERSON = auto()  # a name inside a report: replaced by a word
    PATIENT_ID = auto()
    PATIENT_NAME = auto()
    SEX = auto()
    AGE = auto()
    PIXELS = auto()


# Groups whose numbers, terms, UIDs, moments and sequences describe images and marks, never a person:
# acquisition, relationship, presentation, segmentation, GSPS, RT, functional groups.
_GROUPS = frozenset((0x0018, 0x0020, 0x0028, 0x0062, 0x0070, 0x3006, 0x5200))
_SR_ELEMENTS = range(0xA000, 0xC000)  # of group 0040: content items
_NUMBERS = frozenset(("DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV", "US or SS", "US or OW"))
_BY_VR = {
    "SQ": Action.ITEMS,
    "UI": Action.UID,
    "DA": Action.MOMENT,
    "TM": Action.MOMENT,
    "DT": Action.MOMENT,
    "CS": Action.CODE_STRING,
} | dict.fromkeys(_NUMBERS, Action.NUMBER)

_NAMED: dict[Action, str] = {
    Action.EMPTY: """
        AccessionNumber ReferringPhysicianName PatientBirthDate StudyID ContentCreatorName
        ROIInterpreter
        """,
    Action.PATIENT_ID: "PatientID",
    Action.PATIENT_NAME: "PatientName",
    Action.SEX: "PatientSex",
    Action.AGE: "PatientAge",
    Action.STANDARD_UID: """
        SOPClassUID ReferencedSOPClassUID FrameOfReferenceUID ReferencedFrameOfReferenceUID
        RelatedFrameOfReferenceUID
        """,
    Action.UID: "SOPInstanceUID ReferencedSOPInstanceUID",
    Action.MOMENT: """
        StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime StudyTime SeriesTime
        AcquisitionTime ContentTime InstanceCreationDate InstanceCreationTime
        """,
    Action.CODE_STRING: """
        ImageType Modality ModalitiesInStudy MappingResource TemplateIdentifier PresentationLUTShape
        PresentationIntentType FrameType PixelPresentation VolumetricProperties
        VolumeBasedCalculationTechnique ApprovalStatus
        """,
    Action.DESCRIPTOR: """
        SeriesDescription StudyDescription Manufacturer RescaleType WindowCenterWidthExplanation
        LUTExplanation LUTLabel PositionReferenceIndicator DimensionDescriptionLabel
        GraphicLayerDescription StructureSetLabel SegmentAlgorithmName AlgorithmName ROIDescription
        SegmentDescription
        """,
    Action.STRUCTURE: "ROIName ROIObservationLabel SegmentLabel",
    Action.SENTENCE: "TextValue UnformattedTextValue",
    Action.TOKEN: "TrackingID GraphicLayer StackID",
    Action.KERNEL: "ConvolutionKernel",
    Action.PERSON: "PersonName",
    Action.CODE_ENTRY: "CodeValue LongCodeValue URNCodeValue CodingSchemeDesignator CodeMeaning",
    Action.NUMBER: "ReferencedFrameNumber",
    Action.PIXELS: """
        PixelData FloatPixelData DoubleFloatPixelData ExtendedOffsetTable ExtendedOffsetTableLengths
        LUTData RedPaletteColorLookupTableData GreenPaletteColorLookupTableData
        BluePaletteColorLookupTableData
        """,
    Action.ITEMS: """
        ReferencedSeriesSequence ReferencedSOPSequence ReferencedImageSequence ReferencedStudySequence
        ReferencedInstanceSequence SourceImageSequence DerivationImageSequence
        ReferencedImageEvidenceSequence SourceImageEvidenceSequence
        StudiesContainingOtherReferencedInstancesSequence RelatedSeriesSequence AnatomicRegionSequence
        AnatomicRegionModifierSequence PrimaryAnatomicStructureSequence
        PrimaryAnatomicStructureModifierSequence PurposeOfReferenceCodeSequence DerivationCodeSequence
        EquivalentCodeSequence MeasurementUnitsCodeSequence ReferencedPresentationStateSequence
        AlgorithmFamilyCodeSequence AlgorithmNameCodeSequence RealWorldValueMappingSequence
        """,
    # Of the groups above: people, orders, devices, places, and remarks of any content.
    Action.REMOVE: """
        VerifyingObserverSequence AuthorObserverSequence ParticipantSequence
        CustodialOrganizationSequence ReferencedRequestSequence ContributingEquipmentSequence
        OperatorIdentificationSequence ContentCreatorIdentificationCodeSequence ROICreatorSequence
        IssuerOfAdmissionIDSequence DateOfLastCalibration TimeOfLastCalibration
        DateTimeOfLastCalibration DateOfManufacture DateOfInstallation DeviceUID
        TransducerIdentificationSequence
        """,
}
_ACTIONS = {
    BaseTag(tag): action
    for action, keywords in _NAMED.items()
    for keyword in keywords.split()
    if (tag := tag_for_keyword(keyword)) is not None
}


@lru_cache(maxsize=8192)
def action_for(tag: BaseTag) -> tuple[Action, str]:
    """Return what becomes of an attribute, and its VR by the dictionary of PS3.6 ("" for one it lacks)."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return Action.REMOVE, ""
    if tag.is_private:
        return Action.REMOVE, vr
    named = _ACTIONS.get(tag)
    if named is not None:
        return named, vr
    described = tag.group in _GROUPS or (tag.group == 0x0040 and tag.element in _SR_ELEMENTS)
    return (_BY_VR.get(vr, Action.REMOVE) if described else Action.REMOVE), vr


def unknown_keywords() -> list[str]:
    """Return keywords of the table that PS3.6 does not hold: a line that does nothing is a mistake."""
    return [k for words in _NAMED.values() for k in words.split() if tag_for_keyword(k) is None]


def keyword_of(tag: BaseTag) -> str:
    """Return an attribute's keyword, its number where it has none."""
    try:
        return dictionary_keyword(tag)
    except KeyError:
        return str(tag)
