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
from lesiongraph.mining.dicom_header import HEADER_KEYWORDS
from lesiongraph.mining.pacs.address import DateWindow, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dimse import DimseConnection, DimsePeer
from lesiongraph.mining.pacs.errors import PacsError, PacsUnreachableError
from lesiongraph.mining.pacs.headers import header_of, lacks_something
from lesiongraph.mining.pacs.pacs import Changes, InstanceName, Mark, Received, SeriesEntry, StudyEntry
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

    def headers(self, study: str, series: str) -> Iterator[Received]:
        """Yield the headers of a series' images: by C-FIND, or out of the images where that lacks some."""
        query = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        try:
            found = self._find("IMAGE", query, HEADER_KEYWORDS)
            if any(map(lacks_something, found)):
                found = self._headers_of_images(query)
        except PacsError:
            for one in self.instances(self.instance_names(study, series)):
                yield one._replace(dataset=header_of(one.dataset) if one.dataset is not None else None)
            return
        yield from (Received.of_header(study, series, header) for header in found)

    def _headers_of_images(self, query: dict[str, str]) -> list[Dataset]:

        def fetch() -> list[Dataset]:
            headers: list[Dataset] = []
            self._peer.fetch("SERIES", query, lambda image: headers.append(header_of(image)))
            return headers

        return self._repeated("a series", fetch)

    def instances(self, names: Sequence[InstanceName]) -> Iterator[Received]:
        """Yield whole instances, a few at a time; one by one where a few together keep failing."""
        for _, of_series in groupby(names, key=lambda name: name[:2]):
            listed = list(of_series)
            for start in range(0, len(listed), AT_ONCE):
                some = listed[start : start + AT_ONCE]
                came: dict[str, Dataset] = {}
                cause = self._fetch_images(some, came)
                for name in some:
                    why = cause
                    if cause is not None and name.instance not in came and len(some) > 1:
                        why = self._fetch_images([name], came)  # one that fails may have kept others back
                    dataset = came.pop(name.instance, None)
                    yield Received(name, dataset, None if dataset is not None else why)

    def mark(self) -> Mark | None:
        """Return None: DIMSE knows no log of changes."""
        return None

    def changes(self, since: Mark) -> Changes | None:
        """Return None: DIMSE knows no log of changes."""
        return None

    def close(self) -> None:
        """Do nothing: each request has an association of its own."""

    def _fetch_images(self, names: Sequence[InstanceName], came: dict[str, Dataset]) -> PacsError | None:
        """Fetch images of one series into `came`; return why some could not be had after all retries."""

        def take(dataset: Dataset) -> None:
            came[values.text(dataset, "SOPInstanceUID")] = dataset

        def fetch() -> None:
            missing = [name.instance for name in names if name.instance not in came]
            query = {
                "StudyInstanceUID": names[0].study,
                "SeriesInstanceUID": names[0].series,
                "SOPInstanceUID": "\\".join(missing),
            }
            told = self._peer.fetch("IMAGE", query, take)
            if told.failed and any(image not in came for image in missing):
                raise Transient(f"{told.failed} of {len(missing)} sub-operations failed")

        try:
            self._repeated("images", fetch)
        except PacsError as error:
            return error
        return None

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
