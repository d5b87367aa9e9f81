"""A PACS asked by the classic services: C-FIND for what it holds, C-GET or C-MOVE for the objects.

C-FIND of images gives the headers where the PACS answers with the attributes asked for (Orthanc does). One
that indexes fewer is asked for the whole series; pixels are dropped as they come, only headers are held.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_header import FRAME_GROUPS, HEADER_KEYWORDS
from lesiongraph.mining.pacs.address import DateWindow, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dimse import DimseConnection, DimsePeer
from lesiongraph.mining.pacs.errors import PacsUnreachableError
from lesiongraph.mining.pacs.headers import lacks_something
from lesiongraph.mining.pacs.pacs import Changes, InstanceName, Mark, SeriesEntry, StudyEntry
from lesiongraph.mining.pacs.traffic import Traffic, Transient, repeated

Answer = TypeVar("Answer")
AT_ONCE = 16  # images of one request: what is held before it is handed on
_STUDY_FIELDS = (
    "StudyInstanceUID",
    "PatientID",
    "StudyDate",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
_SERIES_FIELDS = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")


class DimsePacs:
    """A PACS behind C-FIND, C-GET and C-MOVE (`pacs.Pacs`)."""

    def __init__(self, address: PacsAddress, settings: PacsSettings) -> None:
        self.address = address
        self.traffic = Traffic()
        self.page_size = sys.maxsize  # a C-FIND gives its whole answer at once
        self._settings = settings
        self._peer = DimseConnection(
            DimsePeer(
                called_title=address.called_ae,
                host=address.host,
                port=address.port,
                client_title=settings.client_ae,
                move_port=settings.move_port,
                timeout_s=settings.timeout_s,
            ),
            self.traffic,
        )

    def studies(self, window: DateWindow, modality: str) -> Iterator[StudyEntry]:
        """Yield the studies of a date window that hold a modality."""
        query = {"StudyDate": window.dicom, "ModalitiesInStudy": modality}
        return (StudyEntry.of(found) for found in self._find("STUDY", query, _STUDY_FIELDS))

    def studies_named(
        self, *, studies: Sequence[str] = (), patient_id: str = ""
    ) -> Iterator[tuple[StudyEntry, str]]:
        """Yield studies by their UIDs, or those of a patient, each with its date."""
        wanted = [{"StudyInstanceUID": study} for study in studies]
        if patient_id:
            wanted.append({"PatientID": patient_id})
        for query in wanted:
            for found in self._find("STUDY", query, _STUDY_FIELDS):
                yield StudyEntry.of(found), values.text(found, "StudyDate")

    def series(self, study: str) -> list[SeriesEntry]:
        """Return the series of a study; [] where the study is gone."""
        return [
            SeriesEntry.of(found)
            for found in self._find("SERIES", {"StudyInstanceUID": study}, _SERIES_FIELDS)
        ]

    def instance_names(self, study: str, series: str) -> list[InstanceName]:
        """Return the instances of a series."""
        query = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        found = self._find("IMAGE", query, ("SOPInstanceUID",))
        return [InstanceName(study, series, values.text(image, "SOPInstanceUID")) for image in found]

    def headers(self, study: str, series: str) -> list[Dataset]:
        """Return the headers of a series' images: by C-FIND, or of the whole series where that lacks some."""
        query = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        found = self._find("IMAGE", query, HEADER_KEYWORDS)
        if not any(map(lacks_something, found)):
            return found
        wanted = (*HEADER_KEYWORDS, *FRAME_GROUPS)

        def fetch() -> list[Dataset]:
            headers: list[Dataset] = []
            self._peer.fetch("SERIES", query, lambda image: headers.append(_only(image, wanted)))
            return headers

        return self._repeated("a series", fetch)

    def instances(self, names: Sequence[InstanceName]) -> Iterator[tuple[InstanceName, Dataset | None]]:
        """Yield whole instances, a few at a time, None where one is gone."""
        for (study, series), of_series in groupby(names, key=lambda name: name[:2]):
            listed = list(of_series)
            for start in range(0, len(listed), AT_ONCE):
                some = listed[start : start + AT_ONCE]
                came = self._fetch_images(study, series, [name.instance for name in some])
                yield from ((name, came.get(name.instance)) for name in some)

    def mark(self) -> Mark | None:
        """Return None: DIMSE knows no log of changes."""
        return None

    def changes(self, since: Mark) -> Changes | None:
        """Return None: DIMSE knows no log of changes."""
        return None

    def close(self) -> None:
        """Do nothing: each request has an association of its own."""

    def _fetch_images(self, study: str, series: str, images: list[str]) -> dict[str, Dataset]:
        came: dict[str, Dataset] = {}

        def take(dataset: Dataset) -> None:
            came[values.text(dataset, "SOPInstanceUID")] = dataset

        def fetch() -> dict[str, Dataset]:
            missing = [image for image in images if image not in came]
            query = {
                "StudyInstanceUID": study,
                "SeriesInstanceUID": series,
                "SOPInstanceUID": "\\".join(missing),
            }
            self._peer.fetch("IMAGE", query, take)
            return came

        return self._repeated("images", fetch)

    def _find(self, level: str, query: dict[str, str], wanted: Sequence[str]) -> list[Dataset]:
        return self._repeated(
            f"a search for {level.lower()}", lambda: list(self._peer.find(level, query, wanted))
        )

    def _repeated(self, what: str, call: Callable[[], Answer]) -> Answer:
        """Make a call, again where the peer was out of reach or broke off."""

        def attempt() -> Answer:
            try:
                return call()
            except PacsUnreachableError as error:
                raise Transient(error.cause) from error

        settings = self._settings
        try:
            return repeated(
                attempt, retries=settings.retries, backoff_s=settings.backoff_s, traffic=self.traffic
            )
        except Transient as error:
            attempts = settings.retries + 1
            raise PacsUnreachableError(str(self.address), what, error.cause, attempts) from error


def _only(image: Dataset, keywords: Sequence[str]) -> Dataset:
    kept = Dataset()
    for keyword in keywords:
        if keyword in image:
            kept[keyword] = image[keyword]
    return kept
