"""A DICOMweb service as the destination of reports."""

from __future__ import annotations

from pydicom import Dataset

from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.pacs.errors import PacsRefusedError
from lesiongraph.mining.write_back.destination import NotStoredError

_NO_SUCH = (400, 404, 410)  # 400: Orthanc, for a UID that it does not know


class DicomwebDestination:
    """Asks for headers and former reports by WADO-RS metadata, stores by STOW-RS (PS3.18 10.4, 10.5)."""

    def __init__(self, connection: DicomwebConnection) -> None:
        self._connection = connection

    @property
    def name(self) -> str:
        """The address, without a user."""
        return str(self._connection.address)

    def header(self, study: str, series: str, instance: str) -> Dataset | None:
        """Return the header of an image; None where the service does not hold it."""
        try:
            return self._connection.instance_metadata(study, series, instance)
        except PacsRefusedError as refused:
            if refused.status in _NO_SUCH:
                return None
            raise

    def documents(self, study: str, series: str) -> list[Dataset]:
        """Return the documents of a series with their content; [] where there is none."""
        return self._connection.series_metadata(study, series)

    def store(self, report: Dataset) -> None:
        """Store one report, and read in the answer that it was stored."""
        uid = str(report.SOPInstanceUID)
        try:
            answer = self._connection.store([report])
        except PacsRefusedError as refused:
            raise NotStoredError(self.name, uid, f"HTTP status {refused.status}") from refused
        if uid not in answer.stored:
            reason = answer.failed.get(uid, -1)
            why = "no reason given" if reason < 0 else f"failure reason {reason:04X}H"
            raise NotStoredError(self.name, uid, why)
