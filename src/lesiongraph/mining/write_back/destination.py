"""Where reports go, and where the headers come from that tie them to their patient and study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pydicom import Dataset, dcmread

from lesiongraph.errors import LesionGraphError
from lesiongraph.mining.dicom_values import lenient_reading


class NotStoredError(LesionGraphError):
    """The destination answered and did not store a report."""

    def __init__(self, destination: str, sop_instance_uid: str, why: str) -> None:
        self.sop_instance_uid = sop_instance_uid
        self.why = why
        super().__init__(
            f"{destination}: expected the report {sop_instance_uid} to be stored; it was not ({why}). "
            "Look at its log, and push again: what was stored is not sent again."
        )


class Destination(Protocol):
    """A PACS, or a folder in its place."""

    @property
    def name(self) -> str:
        """What the ledger calls it: an address without a user or secrets."""
        ...

    def header(self, study: str, series: str, instance: str) -> Dataset | None:
        """Return the header of an image; None where the destination does not hold it."""
        ...

    def documents(self, study: str, series: str) -> list[Dataset]:
        """Return the documents of a series with their content; [] where there is none."""
        ...

    def store(self, report: Dataset) -> None:
        """Store one report.

        Raises
        ------
        NotStoredError
            If the answer says that it was not stored.
        LesionGraphError
            If there is no answer.
        """
        ...


class FolderDestination:
    """Writes reports as files, for a look before anything is sent.

    Parameters
    ----------
    folder : Path
    images : mapping
        SOP Instance UID → file of the image. Where `pacs` is given, headers come from there instead.
    pacs : Destination, optional
    """

    def __init__(self, folder: Path, images: Mapping[str, Path], pacs: Destination | None = None) -> None:
        self._folder, self._images, self._pacs = folder, images, pacs
        self._written: list[Dataset] = []

    @property
    def name(self) -> str:
        """The PACS that the reports are meant for, else the folder."""
        return self._pacs.name if self._pacs is not None else str(self._folder)

    def header(self, study: str, series: str, instance: str) -> Dataset | None:
        """Return the header that the PACS, else the file, holds."""
        if self._pacs is not None:
            return self._pacs.header(study, series, instance)
        path = self._images.get(instance)
        if path is None or not path.is_file():
            return None
        with lenient_reading():
            return dcmread(path, stop_before_pixels=True, force=True)

    def documents(self, study: str, series: str) -> list[Dataset]:
        """Return what the PACS holds, and what was written instead of being sent there."""
        held = self._pacs.documents(study, series) if self._pacs is not None else []
        return [*held, *(report for report in self._written if report.SeriesInstanceUID == series)]

    def store(self, report: Dataset) -> None:
        """Write one file, named by its UID."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{report.SOPInstanceUID}.dcm"
        part = path.with_name(path.name + ".part")
        report.save_as(part, enforce_file_format=True)
        part.replace(path)
        self._written.append(report)
