"""The classic DICOM services of a PACS: C-FIND, C-GET, and C-MOVE where a peer offers only that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset, uid
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from lesiongraph.errors import UsageError
from lesiongraph.mining.pacs.errors import PacsRefusedError, PacsUnreachableError
from lesiongraph.mining.pacs.traffic import Traffic

TRANSFER_SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEG2000,
    RLELossless,
]
# What mining reads: CT images, and the objects that carry marks (house.md). A peer that holds another class
# fails that one sub-operation; the rest of the study still comes.
STORED_CLASSES = [
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.Comprehensive3DSRStorage,
    uid.ExtensibleSRStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.ColorSoftcopyPresentationStateStorage,
    uid.PseudoColorSoftcopyPresentationStateStorage,
    uid.RTStructureSetStorage,
    uid.SegmentationStorage,
    uid.UID("1.2.840.10008.5.1.4.1.1.66.7"),  # Label Map Segmentation, which pydicom does not name yet
]
# the services in the study root model (PS3.4 Table C.6.2-1)
_FIND = uid.UID("1.2.840.10008.5.1.4.1.2.2.1")
_GET = uid.UID("1.2.840.10008.5.1.4.1.2.2.3")
_MOVE = uid.UID("1.2.840.10008.5.1.4.1.2.2.2")
_PENDING, _SUCCESS = (0xFF00, 0xFF01), 0x0000
# the sub-operations ended, one or more of them, or all, failed (PS3.4 C.4.2.1.5, C.4.3.1.4)
_SOME_FAILED = (0xB000, 0xA702)
_OUT_OF_RESOURCES = 0xA700

Take = Callable[[Dataset], None]
Handlers = list[Any]  # pairs of event and function, in pynetdicom's loose typing


@dataclass(frozen=True)
class DimsePeer:
    """Where a PACS listens, and under which names the two know each other."""

    called_title: str
    host: str
    port: int
    client_title: str = "LESIONGRAPH"
    move_port: int = 0  # where C-MOVE's images come in; the PACS must know client_title at this port
    timeout_s: float = 60.0


@dataclass
class Retrieved:
    """How a retrieval ended: sub-operations that came, failed, or came with a warning."""

    completed: int = 0
    failed: int = 0
    warned: int = 0
    failed_uids: list[str] = field(default_factory=list)  # SOP Instance UIDs, where the peer names them


class DimseConnection:
    """Asks one PACS by C-FIND and fetches by C-GET, or by C-MOVE where the peer refuses C-GET.

    Parameters
    ----------
    peer : DimsePeer
    traffic : Traffic, optional
        Counted into: an association is a request.

    Raises
    ------
    PacsUnreachableError
        From each method, if the peer cannot be reached or breaks off.
    PacsRefusedError
        If it refuses the association or ends a service with a status of failure.
    """

    def __init__(self, peer: DimsePeer, traffic: Traffic | None = None) -> None:
        self.peer = peer
        self.traffic = traffic or Traffic()
        self._by_move = False

    def find(self, level: str, query: dict[str, str], wanted: Sequence[str] = ()) -> Iterator[Dataset]:
        """Yield the matches of a C-FIND in the study root model.

        Parameters
        ----------
        level : str
            STUDY, SERIES or IMAGE.
        query : dict
            Keyword → value to match; dates as DICOM ranges ("20110101-20110131").
        wanted : sequence of str
            Keywords to return beside those matched; a peer may leave out what it does not index.

        Source: PS3.4 C.4.1, C.6.2.
        """
        identifier = _identifier(level, query, wanted)
        with self._association([_FIND]) as association:
            for status, found in association.send_c_find(identifier, _FIND):
                code = self._code(status, "C-FIND")
                if code in _PENDING and found is not None:
                    yield found
                elif code not in (*_PENDING, _SUCCESS):
                    raise PacsRefusedError(str(self), "C-FIND", code, _comment(status))

    def fetch(self, level: str, uids: dict[str, str], take: Take) -> Retrieved:
        """Fetch a study, series or image, whole; `take` gets each data set as it comes.

        Source: PS3.4 C.4.3 (C-GET), C.4.2 (C-MOVE).
        """
        identifier = _identifier(level, uids, ())
        if not self._by_move:
            try:
                return self._get(identifier, take)
            except _NotOfferedError:
                self._by_move = True  # a peer does not change its mind within a run
        return self._move(identifier, take)

    def __str__(self) -> str:
        return f"dimse://{self.peer.called_title}@{self.peer.host}:{self.peer.port}"

    def _get(self, identifier: Dataset, take: Take) -> Retrieved:
        receiver = _Receiver(take)
        # C-MOVE is offered, too, so that a peer without C-GET has something to accept
        with self._association([_GET, _MOVE], stored=True, handlers=receiver.handlers) as association:
            if not any(context.abstract_syntax == _GET for context in association.accepted_contexts):
                raise _NotOfferedError
            return self._outcome(association.send_c_get(identifier, _GET), "C-GET", receiver)

    def _move(self, identifier: Dataset, take: Take) -> Retrieved:
        if not self.peer.move_port:
            raise UsageError(
                f"{self}: the PACS does not offer C-GET, and C-MOVE needs a port of ours to send to. Give "
                f"--move-port, and enter {self.peer.client_title}, this machine and that port in the PACS."
            )
        receiver, entity = _Receiver(take), AE(self.peer.client_title)
        for stored in STORED_CLASSES:
            entity.add_supported_context(stored, TRANSFER_SYNTAXES)
        server = entity.start_server(("", self.peer.move_port), block=False, evt_handlers=receiver.handlers)
        try:
            with self._association([_MOVE]) as association:
                responses = association.send_c_move(identifier, self.peer.client_title, _MOVE)
                return self._outcome(responses, "C-MOVE", receiver)
        finally:
            if server is not None:
                server.shutdown()

    def _outcome(
        self, responses: Iterator[tuple[Dataset, Dataset | None]], service: str, receiver: _Receiver
    ) -> Retrieved:
        for status, names in responses:
            code = self._code(status, service)
            if code in _PENDING:
                continue
            receiver.raise_what_went_wrong()
            if code not in (_SUCCESS, *_SOME_FAILED):
                raise PacsRefusedError(str(self), service, code, _comment(status))
            listed = names.get("FailedSOPInstanceUIDList") if names is not None else None
            failed = [listed] if isinstance(listed, str) else list(listed or [])
            return Retrieved(
                completed=int(status.get("NumberOfCompletedSuboperations") or 0),
                failed=int(status.get("NumberOfFailedSuboperations") or 0),
                warned=int(status.get("NumberOfWarningSuboperations") or 0),
                failed_uids=[str(instance) for instance in failed],
            )
        raise PacsUnreachableError(str(self), f"a {service}", "the association ended in the middle", 1)

    def _count(self, event: evt.Event) -> None:
        self.traffic.add(received=len(event.data))

    def _code(self, status: Dataset, service: str) -> int:
        """Return the status code; an empty status means that the peer went away or timed out."""
        if "Status" not in status:
            cause = "the connection broke or timed out"
            raise PacsUnreachableError(str(self), f"a {service}", cause, 1)
        return int(status.Status)

    @contextmanager
    def _association(
        self,
        services: Sequence[str],
        *,
        stored: bool = False,
        handlers: Handlers | None = None,
    ) -> Iterator[Association]:
        entity = AE(self.peer.client_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self.peer.timeout_s
        entity.connection_timeout = self.peer.timeout_s
        for service in services:
            entity.add_requested_context(service)
        roles: list[Any] = []
        for sop_class in STORED_CLASSES if stored else []:
            entity.add_requested_context(sop_class, TRANSFER_SYNTAXES)
            roles.append(build_role(sop_class, scp_role=True))
        association = entity.associate(
            self.peer.host,
            self.peer.port,
            ae_title=self.peer.called_title,
            ext_neg=roles,
            evt_handlers=[*(handlers or []), (evt.EVT_DATA_RECV, self._count)],
        )
        self.traffic.add(requests=1)
        if not association.is_established:
            if association.is_rejected:
                advice = "Enter our AE title (--aet) in the PACS, and check the title before the @."
                raise PacsRefusedError(str(self), "an association", 0, advice)
            cause = "no connection, or the PACS ended it at once"
            raise PacsUnreachableError(str(self), "an association", cause, 1)
        try:
            yield association
        finally:
            association.release()


class _NotOfferedError(Exception):
    """The peer accepts the association but not C-GET."""


def _identifier(level: str, query: dict[str, str], wanted: Sequence[str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in wanted:
        setattr(identifier, keyword, None)
    for keyword, value in query.items():
        setattr(identifier, keyword, value)
    return identifier


def _comment(status: Dataset) -> str:
    return str(status.get("ErrorComment") or "").strip()


class _Receiver:
    """Takes incoming objects one by one: a peer may send over several links at once."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._lock = threading.Lock()
        self._error: Exception | None = None

    @property
    def handlers(self) -> Handlers:
        """As pynetdicom wants them."""
        return [(evt.EVT_C_STORE, self._store)]

    def raise_what_went_wrong(self) -> None:
        """Raise what `take` raised: the sender only learns that an object failed."""
        if self._error is not None:
            raise self._error

    def _store(self, event: evt.Event) -> int:
        try:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            with self._lock:
                if self._error is None:
                    self._take(dataset)
                    return _SUCCESS
        except Exception as error:  # whatever it is, it must reach the caller, not pynetdicom's thread
            self._error = self._error or error
        return _OUT_OF_RESOURCES
