"""The classic DICOM services of a PACS: C-FIND, C-GET, and C-MOVE where a peer offers only that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
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
from pynetdicom import AE, build_role, evt, sop_class
from pynetdicom.association import Association

from lesiongraph.errors import PacsError

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
    sop_class.CTImageStorage,
    sop_class.EnhancedCTImageStorage,
    sop_class.LegacyConvertedEnhancedCTImageStorage,
    sop_class.BasicTextSRStorage,
    sop_class.EnhancedSRStorage,
    sop_class.ComprehensiveSRStorage,
    sop_class.Comprehensive3DSRStorage,
    sop_class.ExtensibleSRStorage,
    sop_class.GrayscaleSoftcopyPresentationStateStorage,
    sop_class.ColorSoftcopyPresentationStateStorage,
    sop_class.PseudoColorSoftcopyPresentationStageStorage,  # pynetdicom spells it so
    sop_class.RTStructureSetStorage,
    sop_class.SegmentationStorage,
    sop_class.LabelMapSegmentationStorage,
]
_FIND = sop_class.StudyRootQueryRetrieveInformationModelFind
_GET = sop_class.StudyRootQueryRetrieveInformationModelGet
_MOVE = sop_class.StudyRootQueryRetrieveInformationModelMove
_PENDING, _SUCCESS = (0xFF00, 0xFF01), 0x0000
_SOME_FAILED = 0xB000  # the sub-operations ended, one or more of them failed (PS3.4 C.4.2.1.5)

Take = Callable[[Dataset], None]


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

    Raises
    ------
    PacsError
        From each method, if the peer cannot be reached, refuses the association or the service, or breaks off.
    """

    def __init__(self, peer: DimsePeer) -> None:
        self.peer = peer
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
                    raise PacsError(str(self), f"C-FIND ended with status 0x{code:04X} {_comment(status)}")

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
        handlers = [(evt.EVT_C_STORE, _store_handler(take))]
        with self._association([_GET], stored=True, handlers=handlers) as association:
            if not any(context.abstract_syntax == _GET for context in association.accepted_contexts):
                raise _NotOfferedError
            return self._outcome(association.send_c_get(identifier, _GET), "C-GET")

    def _move(self, identifier: Dataset, take: Take) -> Retrieved:
        if not self.peer.move_port:
            raise PacsError(
                str(self),
                "the PACS does not offer C-GET, and C-MOVE needs a port to send to",
                f"Give --move-port, and enter {self.peer.client_title} with this machine and that port in the PACS.",
            )
        receiver = AE(self.peer.client_title)
        for stored in STORED_CLASSES:
            receiver.add_supported_context(stored, TRANSFER_SYNTAXES)
        handlers = [(evt.EVT_C_STORE, _store_handler(take))]
        server = receiver.start_server(("", self.peer.move_port), block=False, evt_handlers=handlers)
        try:
            with self._association([_MOVE]) as association:
                responses = association.send_c_move(identifier, self.peer.client_title, _MOVE)
                return self._outcome(responses, "C-MOVE")
        finally:
            server.shutdown()

    def _outcome(self, responses: Iterator[tuple[Dataset, Dataset | None]], service: str) -> Retrieved:
        for status, names in responses:
            code = self._code(status, service)
            if code in _PENDING:
                continue
            if code not in (_SUCCESS, _SOME_FAILED):
                raise PacsError(str(self), f"{service} ended with status 0x{code:04X} {_comment(status)}")
            listed = names.get("FailedSOPInstanceUIDList") if names is not None else None
            failed = [listed] if isinstance(listed, str) else list(listed or [])
            return Retrieved(
                completed=int(status.get("NumberOfCompletedSuboperations") or 0),
                failed=int(status.get("NumberOfFailedSuboperations") or 0),
                warned=int(status.get("NumberOfWarningSuboperations") or 0),
                failed_uids=[str(uid) for uid in failed],
            )
        raise PacsError(str(self), f"the association ended in the middle of a {service}")

    def _code(self, status: Dataset, service: str) -> int:
        """Return the status code; an empty status means that the peer went away or timed out."""
        if "Status" not in status:
            raise PacsError(str(self), f"the connection broke or timed out in the middle of a {service}")
        return int(status.Status)

    @contextmanager
    def _association(
        self,
        services: Sequence[str],
        *,
        stored: bool = False,
        handlers: Sequence[tuple[object, ...]] = (),
    ) -> Iterator[Association]:
        entity = AE(self.peer.client_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self.peer.timeout_s
        entity.connection_timeout = self.peer.timeout_s
        for service in services:
            entity.add_requested_context(service)
        roles = []
        for uid in STORED_CLASSES if stored else []:
            entity.add_requested_context(uid, TRANSFER_SYNTAXES)
            roles.append(build_role(uid, scp_role=True))
        association = entity.associate(
            self.peer.host,
            self.peer.port,
            ae_title=self.peer.called_title,
            ext_neg=roles,
            evt_handlers=list(handlers),
        )
        if not association.is_established:
            raise PacsError(str(self), _why_not_established(association))
        try:
            yield association
        finally:
            association.release()


class _NotOfferedError(Exception):
    """The peer accepts the association but not C-GET."""


def _why_not_established(association: Association) -> str:
    if association.is_rejected:
        return "the PACS rejected the association; it may not know our AE title"
    if association.is_aborted:
        return "no connection, or the PACS aborted it"
    return "the PACS accepts none of the services asked for"


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


def _store_handler(take: Take) -> Callable[[evt.Event], int]:
    """Return the handler of incoming objects: each in its turn, since a peer may send over several links."""
    lock = threading.Lock()

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        try:
            with lock:
                take(dataset)
        except OSError:  # a full disk must be told to the sender, who counts the object as failed
            return 0xA700
        return _SUCCESS

    return store
