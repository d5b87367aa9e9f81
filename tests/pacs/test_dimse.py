"""C-FIND, C-GET and C-MOVE against a real Orthanc."""

import socket

import pytest

from lesiongraph.errors import UsageError
from lesiongraph.mining.pacs.dimse import DimseConnection, DimsePeer
from lesiongraph.mining.pacs.errors import PacsRefusedError, PacsUnreachableError
from orthanc import Orthanc, missing

FIELDS = ["ImagePositionPatient", "ImageOrientationPatient", "Rows", "PixelSpacing", "InstanceNumber"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def move_port():
    return free_port()


@pytest.fixture(scope="module")
def filled(tmp_path_factory, small_hospital, move_port):
    if missing():
        pytest.skip(missing())
    peers = {"LESIONGRAPH": move_port}
    with Orthanc(tmp_path_factory.mktemp("dimse"), peers=peers) as server:
        stored = server.upload_folder(small_hospital)
        assert stored
        yield server


@pytest.fixture
def peer(filled, move_port):
    return DimsePeer(filled.ae_title, "127.0.0.1", filled.dicom_port, move_port=move_port, timeout_s=20)


@pytest.fixture
def connection(peer):
    return DimseConnection(peer)


@pytest.fixture
def ct_series(connection):
    (study, *_) = connection.find("STUDY", {"StudyDate": "", "ModalitiesInStudy": "CT"}, ["StudyInstanceUID"])
    where = {"StudyInstanceUID": study.StudyInstanceUID}
    (series, *_) = connection.find("SERIES", {**where, "Modality": "CT"}, ["SeriesInstanceUID"])
    return where | {"SeriesInstanceUID": series.SeriesInstanceUID}


def test_studies_of_a_date_window(connection, filled):
    every = list(connection.find("STUDY", {"StudyDate": ""}, ["StudyInstanceUID"]))
    assert len(every) == len(filled.find("Study"))
    day = every[0].StudyDate
    some = list(connection.find("STUDY", {"StudyDate": f"{day}-{day}"}, ["StudyInstanceUID"]))
    assert some
    assert {study.StudyDate for study in some} == {day}
    assert not list(connection.find("STUDY", {"StudyDate": "19000101-19000102"}))


def test_headers_come_without_pixels(connection, ct_series):
    headers = list(connection.find("IMAGE", ct_series, FIELDS))
    assert len(headers) > 1
    assert all(len(header.ImagePositionPatient) == 3 and header.Rows > 0 for header in headers)
    assert all("PixelData" not in header for header in headers)


@pytest.mark.parametrize("by_move", [False, True], ids=["C-GET", "C-MOVE"])
def test_images_come_whole(connection, ct_series, by_move):
    connection._by_move = by_move
    headers = list(connection.find("IMAGE", ct_series, ["SOPInstanceUID"]))
    wanted = [header.SOPInstanceUID for header in headers[:2]]
    came = []
    told = connection.fetch("IMAGE", {**ct_series, "SOPInstanceUID": "\\".join(wanted)}, came.append)
    assert sorted(d.SOPInstanceUID for d in came) == sorted(wanted)
    assert all(len(d.PixelData) == d.Rows * d.Columns * 2 for d in came)
    assert (told.completed, told.failed) == (2, 0)
    assert came[0].file_meta.TransferSyntaxUID


def test_an_image_that_is_gone_is_no_success(connection, ct_series):
    came = []
    try:
        told = connection.fetch("IMAGE", {**ct_series, "SOPInstanceUID": "1.2.3.4"}, came.append)
    except PacsRefusedError:
        return
    assert told.completed == 0
    assert not came


@pytest.mark.parametrize("by_move", [False, True], ids=["C-GET", "C-MOVE"])
def test_what_goes_wrong_here_is_raised_here(connection, ct_series, by_move):
    def full(dataset):
        raise OSError(28, "No space left on device")

    connection._by_move = by_move
    with pytest.raises(OSError, match="No space left"):
        connection.fetch("SERIES", ct_series, full)


def test_a_peer_without_c_get_is_asked_by_c_move(filled, move_port, tmp_path, ct_series, small_hospital):
    """pynetdicom as a peer that offers C-MOVE alone, forwarding to the receiver as a PACS does."""
    from pydicom import dcmread
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelMove

    image = next(
        d
        for d in (dcmread(p, force=True) for p in small_hospital.rglob("*") if p.is_file())
        if d.get("Modality") == "CT"
    )

    def move(event):
        yield ("127.0.0.1", move_port, {"contexts": [ct_context]})
        yield 1
        yield 0xFF00, image

    entity = AE("MOVER")
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    from pynetdicom import build_context

    ct_context = build_context(CTImageStorage, image.file_meta.TransferSyntaxUID)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, move)])
    try:
        port = server.socket.getsockname()[1]
        came = []
        connection = DimseConnection(DimsePeer("MOVER", "127.0.0.1", port, move_port=move_port, timeout_s=20))
        told = connection.fetch("IMAGE", {"SOPInstanceUID": image.SOPInstanceUID}, came.append)
        assert told.completed == 1
        assert [d.SOPInstanceUID for d in came] == [image.SOPInstanceUID]
        without_port = DimseConnection(DimsePeer("MOVER", "127.0.0.1", port, timeout_s=20))
        with pytest.raises(UsageError, match="--move-port"):
            without_port.fetch("IMAGE", {"SOPInstanceUID": image.SOPInstanceUID}, came.append)
    finally:
        server.shutdown()


# pynetdicom leaves a refused connection's socket to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_listens():
    with pytest.raises(PacsUnreachableError, match="association"):
        list(DimseConnection(DimsePeer("X", "127.0.0.1", free_port(), timeout_s=5)).find("STUDY", {}))
