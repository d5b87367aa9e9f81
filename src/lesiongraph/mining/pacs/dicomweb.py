"""DICOMweb (PS3.18): QIDO-RS, WADO-RS, STOW-RS with retries, a rate limit and a count of what was moved."""

from __future__ import annotations

import http.client
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pydicom
import requests
import urllib3
from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.limits import TooLargeError
from lesiongraph.mining.pacs.address import DateWindow, PacsAddress, PacsSettings
from lesiongraph.mining.pacs.dicom_json import JsonDataset, from_json
from lesiongraph.mining.pacs.errors import (
    CorruptAnswerError,
    PacsAnswerTooLargeError,
    PacsRefusedError,
    PacsUnreachableError,
)
from lesiongraph.mining.pacs.session import CountingSession
from lesiongraph.mining.pacs.traffic import Traffic, Transient, repeated
from lesiongraph.mining.pacs.whole_answers import check_whole

Answer = TypeVar("Answer")
ANY_SYNTAX = (("application/dicom", "*"),)  # as stored: nothing is decompressed on the way
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_NO_SUCH = (404, 410)
_LONGEST_CAUSE = 200


class DicomwebConnection:
    """A DICOMweb service.

    All calls may be made from several threads. Each raises `PacsUnreachableError` where the service gives no
    usable answer after all retries, and `PacsRefusedError` where it says that it will not.

    Parameters
    ----------
    address : PacsAddress
    settings : PacsSettings
    traffic : Traffic, optional
        Counted into.
    """

    def __init__(
        self, address: PacsAddress, settings: PacsSettings | None = None, traffic: Traffic | None = None
    ) -> None:
        self.address = address
        self.settings = settings or PacsSettings()
        self.traffic = traffic or Traffic()
        self._session = CountingSession(self.settings, self.traffic)
        self._client = DICOMwebClient(
            address.url, session=self._session, timeout=self.settings.timeout_s, permissive_uid=True
        )
        self._client.set_http_retry_params(retry=False)  # ours also covers answers damaged inside

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> DicomwebConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- QIDO-RS --------------------------------------------------------------------------------------

    def search_studies(
        self,
        window: DateWindow | None = None,
        *,
        modality: str = "",
        fields: Sequence[str] = (),
        **match: str,
    ) -> Iterator[Dataset]:
        """Yield the studies of a date window, page by page.

        Parameters
        ----------
        window : DateWindow, optional
        modality : str
            One that the study must hold: a list of several silently finds nothing with some servers.
        fields : sequence of str
            Attributes asked for beyond those that every service returns (PS3.18 Table 10.6.3-3).
        **match : str
            More attributes to match, by keyword.
        """
        filters = {**match}
        if window is not None and window.dicom:
            filters["StudyDate"] = window.dicom
        if modality:
            filters["ModalitiesInStudy"] = modality
        return self._pages("studies", self._client.search_for_studies, filters, fields)

    def search_series(self, study: str, *, fields: Sequence[str] = (), **match: str) -> Iterator[Dataset]:
        """Yield the series of a study."""
        return self._pages("series", self._client.search_for_series, match, fields, study)

    def search_instances(
        self,
        study: str,
        series: str,
        *,
        fields: Sequence[str] = (),
        keep: Sequence[str] = (),
        page_size: int | None = None,
    ) -> Iterator[Dataset]:
        """Yield the instances of a series, with the attributes `fields` where the service gives them.

        `keep` names the attributes to decode (all where none are named): decoding costs more than moving.
        """
        search = self._client.search_for_instances
        return self._pages(
            "instances",
            search,
            {},
            fields,
            study,
            series,
            keep=keep,
            size=page_size or self.settings.page_size,
        )

    def instance_at(
        self, study: str, series: str, place: int, *, fields: Sequence[str] = ()
    ) -> Dataset | None:
        """Return the instance at a place in the list of a series, counted from 0; None beyond its end."""
        found = self._ask(
            "a search for an instance",
            lambda: self._client.search_for_instances(
                study, series, limit=1, offset=place, fields=list(fields) or None
            ),
            gone=[],
        )
        return from_json(found[0]) if found else None

    def _pages(
        self,
        what: str,
        search: Callable[..., list[JsonDataset]],
        match: Mapping[str, str],
        fields: Sequence[str],
        *where: str,
        keep: Sequence[str] = (),
        size: int | None = None,
    ) -> Iterator[Dataset]:
        """Ask for page after page until one brings nothing new.

        A page with fewer than asked for is the last, unless the service says that more results remain
        (PS3.18 Sec. 8.3.4.4): some give fewer at once than they are asked for. Nor is a second page without
        anything new proof of the end: where a search names a modality, Orthanc (seen with 1.10.1) cuts its
        answer at the limit first and skips the offset in what is left, so that every page but the first
        is empty; other services ignore the offset and repeat the first page. With limits counted from
        the start, both give the rest.
        """
        seen: set[str] = set()
        size, from_start = size or self.settings.page_size, False
        while True:
            offset = len(seen)
            page = self._ask(
                f"a search for {what}",
                partial(
                    search,
                    *where,
                    limit=offset + size if from_start else size,
                    offset=offset,
                    fields=list(fields) or None,
                    search_filters=dict(match),
                ),
                # below a study that is gone there is nothing; no studies at all would be a wrong path
                gone=[] if where else self._ASK_NOTHING,
            )
            new = {key: item for item in page if (key := json.dumps(item, sort_keys=True)) not in seen}
            seen.update(new)
            for item in new.values():
                yield from_json(item, keep)
            if offset and not new and not from_start:
                from_start = True
            elif not new or (len(new) < size and not self._session.says_more_remain):
                return

    # --- WADO-RS --------------------------------------------------------------------------------------

    def study_metadata(self, study: str) -> list[Dataset]:
        """Return the headers, or whole content without bulk data, of all instances of a study."""
        return [
            from_json(i) for i in self._ask("metadata", lambda: self._client.retrieve_study_metadata(study))
        ]

    def series_metadata(self, study: str, series: str, *, keep: Sequence[str] = ()) -> list[Dataset]:
        """Return the headers of all instances of a series; [] where it is gone."""
        found = self._ask("metadata", lambda: self._client.retrieve_series_metadata(study, series), gone=[])
        return [from_json(item, keep) for item in found]

    def instance_metadata(self, study: str, series: str, instance: str) -> Dataset:
        """Return one instance without its bulk data."""
        return from_json(
            self._ask("metadata", lambda: self._client.retrieve_instance_metadata(study, series, instance))
        )

    def retrieve_instance(self, study: str, series: str, instance: str) -> Dataset | None:
        """Return one whole instance in the transfer syntax it is stored in; None where it is gone."""

        def retrieve() -> Dataset | None:
            dataset = self._client.retrieve_instance(study, series, instance, media_types=ANY_SYNTAX)
            check_whole(dataset, instance)
            return dataset

        return self._ask("an instance", retrieve, gone=None)

    # --- STOW-RS --------------------------------------------------------------------------------------

    def store(self, datasets: Sequence[Dataset], study: str | None = None) -> StoreAnswer:
        """Store instances; which were stored and which were not, and why, is in the answer."""
        given = [values.text(dataset, "SOPInstanceUID") for dataset in datasets]

        def send() -> Dataset:
            try:
                return self._client.store_instances(list(datasets), study_instance_uid=study)
            except requests.HTTPError as error:
                # 409 with a body says instance by instance what failed (PS3.18 Sec. 10.5.3)
                if (
                    error.response is not None
                    and error.response.status_code == 409
                    and error.response.content
                ):
                    return Dataset.from_json(error.response.text)
                raise

        return StoreAnswer.read(self._ask("to store instances", send), given)

    # --- beside DICOMweb ------------------------------------------------------------------------------

    def get_json(self, path: str, **parameters: str | int) -> Any:
        """Return JSON from the server's root (Orthanc's REST API); None where there is no such thing."""
        url = self.address.root + path

        def get() -> Any:
            answer = self._session.get(url, params=parameters, timeout=self.settings.timeout_s)
            answer.raise_for_status()
            if "json" not in answer.headers.get("Content-Type", ""):
                return None  # another kind of server, with a page of its own there
            return answer.json()

        return self._ask(path, get, gone=None)

    _ASK_NOTHING = object()

    def _ask(self, what: str, call: Callable[[], Answer], gone: Any = _ASK_NOTHING) -> Answer:
        """Make a call with retries; `gone` is returned where the service says that there is no such thing."""

        def attempt() -> Answer:
            try:
                with values.lenient_reading(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a service that sends one part without multipart
                    return call()
            except requests.HTTPError as error:
                raise self._judged(error) from error
            except requests.exceptions.SSLError as error:
                raise _UntrustedError from error
            except (
                requests.RequestException,
                urllib3.exceptions.HTTPError,
                http.client.HTTPException,
            ) as error:
                raise Transient(_short(error)) from error
            except TooLargeError as error:
                raise PacsAnswerTooLargeError(str(self.address), str(error)) from error
            except (ValueError, EOFError, IndexError, KeyError, AttributeError) as error:
                # JSON that is cut, a multipart without its parts, a DICOM part that cannot be parsed
                raise Transient(f"a damaged answer: {_short(error)}") from error
            except (CorruptAnswerError, pydicom.errors.InvalidDicomError) as error:
                raise Transient(f"a damaged answer: {_short(error)}") from error

        try:
            return repeated(
                attempt,
                retries=self.settings.retries,
                backoff_s=self.settings.backoff_s,
                traffic=self.traffic,
            )
        except Transient as error:
            raise PacsUnreachableError(
                str(self.address), what, error.cause, self.settings.retries + 1
            ) from error.__cause__
        except _UntrustedError as error:
            cause = "its certificate is not trusted: give the hospital's own with --ca"
            raise PacsUnreachableError(str(self.address), what, cause, 1) from error.__cause__
        except _RefusedError as error:
            if error.status in _NO_SUCH and gone is not self._ASK_NOTHING:
                return gone  # type: ignore[no-any-return]
            raise PacsRefusedError(str(self.address), what, error.status, _next_step(error.status)) from None

    @staticmethod
    def _judged(error: requests.HTTPError) -> Exception:
        if error.response is None:
            return _RefusedError(0)
        status, pause = error.response.status_code, error.response.headers.get("Retry-After", "")
        if status in _AGAIN:
            return Transient(f"HTTP status {status}", float(pause) if pause.isdigit() else 0.0)
        return _RefusedError(status)


class StoreAnswer:
    """What became of stored instances.

    Attributes
    ----------
    stored : list of str
        SOP Instance UIDs.
    failed : dict of str to int
        SOP Instance UID → Failure Reason (0008,1197), PS3.18 Table I.2-2; -1 where the answer names neither.
    """

    def __init__(self, stored: list[str], failed: dict[str, int]) -> None:
        self.stored = stored
        self.failed = failed

    @classmethod
    def read(cls, answer: Dataset, given: Sequence[str]) -> StoreAnswer:
        """Read the service's answer about the instances `given`."""
        stored = {
            values.text(item, "ReferencedSOPInstanceUID")
            for item in answer.get("ReferencedSOPSequence") or []
        }
        failed = {
            values.text(item, "ReferencedSOPInstanceUID"): values.whole(item, "FailureReason")
            for item in answer.get("FailedSOPSequence") or []
        }
        unnamed = {uid: -1 for uid in given if uid not in stored and uid not in failed}
        return cls([uid for uid in given if uid in stored and uid not in failed], failed | unnamed)


class _UntrustedError(Exception):
    """TLS failed: a repetition would fail alike."""


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


def _short(error: BaseException) -> str:
    """Name an error in a few words: its text may quote an address or a body."""
    text = " ".join(str(error).split())[:_LONGEST_CAUSE]
    return (
        type(error).__name__ if isinstance(error, requests.RequestException) else text or type(error).__name__
    )


def _next_step(status: int) -> str:
    if status in (401, 403):
        return "Give a token (--token) or a user (--user) that may do this."
    if status in _NO_SUCH:
        return "Check the path of the address: Orthanc's is /dicom-web."
    return "Look at the log of the PACS."
