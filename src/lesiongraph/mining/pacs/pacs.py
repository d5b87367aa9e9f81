"""A PACS that can be asked: what every protocol (DICOMweb, DIMSE) must be able to answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.pacs.address import DateWindow, PacsAddress
from lesiongraph.mining.pacs.errors import PacsError
from lesiongraph.mining.pacs.traffic import Traffic

UNKNOWN = -1  # a number the PACS does not state


@dataclass(frozen=True)
class StudyEntry:
    """A study as a search lists it; UIDs and the patient id are the PACS's own."""

    study: str
    patient_id: str
    modalities: frozenset[str]  # empty where the PACS does not say
    series: int = UNKNOWN
    instances: int = UNKNOWN

    @classmethod
    def of(cls, found: Dataset) -> StudyEntry:
        """Return what a search (QIDO, C-FIND) says of a study."""
        return cls(
            study=values.text(found, "StudyInstanceUID"),
            patient_id=values.text(found, "PatientID"),
            modalities=frozenset(filter(None, values.text(found, "ModalitiesInStudy").split("\\"))),
            series=values.whole(found, "NumberOfStudyRelatedSeries", UNKNOWN),
            instances=values.whole(found, "NumberOfStudyRelatedInstances", UNKNOWN),
        )


@dataclass(frozen=True)
class SeriesEntry:
    """A series as a search lists it."""

    series: str
    modality: str
    instances: int = UNKNOWN

    @classmethod
    def of(cls, found: Dataset) -> SeriesEntry:
        """Return what a search says of a series."""
        return cls(
            series=values.text(found, "SeriesInstanceUID"),
            modality=values.text(found, "Modality"),
            instances=values.whole(found, "NumberOfSeriesRelatedInstances", UNKNOWN),
        )


class InstanceName(NamedTuple):
    """The PACS's own UIDs of one instance."""

    study: str
    series: str
    instance: str


class Received(NamedTuple):
    """What came of one instance that was asked for: the object, or its header; or why it could not be had.

    Neither where the PACS no longer holds it.
    """

    name: InstanceName
    dataset: Dataset | None = None
    cause: PacsError | None = None

    @classmethod
    def of_header(cls, study: str, series: str, header: Dataset) -> Received:
        """Return a header that a search or metadata gave."""
        return cls(InstanceName(study, series, values.text(header, "SOPInstanceUID")), header)


@dataclass(frozen=True)
class Mark:
    """A place in a PACS's log of changes: its running number, and what else tells that log from another."""

    sequence: int
    stamp: str


@dataclass(frozen=True)
class Changes:
    """What happened in a PACS since a `Mark`."""

    studies: tuple[str, ...]  # Study Instance UIDs to look at again
    head: Mark


class Pacs(Protocol):
    """A PACS, by whatever protocol; calls come from one thread, which `instances` may spread over several.

    A call raises `PacsUnreachableError` or `PacsRefusedError` where it cannot be answered.
    """

    address: PacsAddress
    traffic: Traffic
    page_size: int  # studies that one search gives; a longer list takes several, which arrivals may shift

    def studies(self, window: DateWindow, modality: str) -> Iterator[StudyEntry]:
        """Yield the studies of a date window that hold a modality."""
        ...

    def studies_named(
        self, *, studies: Sequence[str] = (), patient_id: str = ""
    ) -> Iterator[tuple[StudyEntry, str]]:
        """Yield studies by their UIDs, or those of a patient, each with its date (YYYYMMDD)."""
        ...

    def series(self, study: str) -> list[SeriesEntry]:
        """Return the series of a study; [] where the study is gone."""
        ...

    def instance_names(self, study: str, series: str) -> list[InstanceName]:
        """Return the instances of a series."""
        ...

    def headers(self, study: str, series: str) -> Iterator[Received]:
        """Yield the attributes `dicom_header.HEADER_KEYWORDS` of all images of a series (and frames).

        Where the PACS cannot read one of its images, that one is told as a `Received.cause`, maybe without
        its name: Orthanc's search of a whole series fails for a single file that is gone from its store.
        """
        ...

    def instances(self, names: Sequence[InstanceName]) -> Iterator[Received]:
        """Yield what came of each instance, whole ones as they arrive.

        One that fails after all retries is told as its `Received.cause`: the others may well come.
        """
        ...

    def mark(self) -> Mark | None:
        """Return where the log of changes ends now; None where the PACS keeps none."""
        ...

    def changes(self, since: Mark) -> Changes | None:
        """Return what changed since a mark; None where the PACS cannot tell."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
