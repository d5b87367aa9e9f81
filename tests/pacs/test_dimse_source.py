"""A PACS mined by C-FIND and C-GET gives what the same DICOM in a folder gives."""

import pandas as pd
import pytest

from lesiongraph.mining.pacs import PacsAddress, PacsSettings, dimse_pacs
from lesiongraph.mining.pacs.address import DateWindow
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import PacsOptions
from lesiongraph.workspace import Workspace

COLUMNS = [
    "lesion_id",
    "status",
    "reason",
    "slice_index",
    "x0",
    "y0",
    "x1",
    "y1",
    "long_mm",
    "short_mm",
    "type",
]


@pytest.fixture(scope="module")
def filled(orthanc, small_hospital):
    orthanc.upload_folder(small_hospital)
    return orthanc


def options(filled, **more):
    return PacsOptions(settings=PacsSettings(timeout_s=20, **more))


def test_the_same_rows_as_from_a_folder(tmp_path, filled, small_hospital):
    mine(Workspace(tmp_path / "folder"), [small_hospital])
    report = mine(Workspace(tmp_path / "pacs"), [filled.dimse], pacs=options(filled))
    folder, pacs = (read_catalogue(Workspace(tmp_path / name)) for name in ("folder", "pacs"))
    tables = [c.lesions.sort_values("lesion_id")[COLUMNS].reset_index(drop=True) for c in (folder, pacs)]
    assert len(tables[0])
    pd.testing.assert_frame_equal(*tables)
    slices = pacs.slices.whole()
    fetched = slices[slices.path != ""]
    assert len(fetched)
    assert report.counts["PACS: slices fetched"] == len(fetched)
    assert report.counts["PACS: bytes received"] > 0


def test_an_unchanged_pacs_is_asked_for_lists_only(tmp_path, filled):
    mine(Workspace(tmp_path), [filled.dimse], pacs=options(filled))
    again = mine(Workspace(tmp_path), [filled.dimse], pacs=options(filled))
    assert again.already_done
    assert again.counts["PACS: studies unchanged"] == len(filled.find("Study"))
    assert again.counts["PACS: slices fetched"] == again.counts["PACS: objects fetched"] == 0


def test_headers_of_a_peer_that_indexes_little(filled, monkeypatch):
    """Where C-FIND leaves values out, the series is fetched, and its headers say the same."""
    pacs = dimse_pacs.DimsePacs(PacsAddress.parse(filled.dimse), PacsSettings(timeout_s=20))
    study = next(iter(pacs.studies(DateWindow(), "CT"))).study
    series = next(one.series for one in pacs.series(study) if one.modality == "CT")
    found = [one.dataset for one in pacs.headers(study, series)]
    monkeypatch.setattr(dimse_pacs, "lacks_something", lambda header: True)
    fetched = [one.dataset for one in pacs.headers(study, series)]

    def told(headers):
        return {h.SOPInstanceUID: (list(h.ImagePositionPatient), h.Rows, h.Modality) for h in headers}

    assert told(found) == told(fetched)
    assert all("PixelData" not in header for header in fetched)
