"""Marks are judged on their images: off the body, perhaps off the body, unreadable."""

import numpy as np
import pandas as pd
import pytest
from small_hospital import uid

from dicom_files import bidirectional, ct_slice, save, sr_document  # isort: skip (found by small_hospital)

from lesiongraph.pipeline.catalogue import catalogue_table
from lesiongraph.pipeline.mine import OFF_BODY, PERHAPS_OFF_BODY, mine
from lesiongraph.workspace import Workspace

SIZE_PX, SPACING_MM = 64, 6.0


def hospital(folder, centre_x: float) -> None:
    """One slice: a body round `centre_x`, a mark on it and one in the air at the right."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    body = ((x - centre_x) / 24) ** 2 + ((y - 32) / 20) ** 2 < 1
    ds = ct_slice(0, stored=np.where(body, 1064, 24).astype(np.uint16), PixelSpacing=[SPACING_MM, SPACING_MM])
    save(ds, folder / "ct")
    marks = [
        bidirectional(str(ds.SOPInstanceUID), (x - 2, y, x + 2, y), (x, y - 1, x, y + 1))
        for x, y in ((20.5, 32.5), (60.5, 5.5))
    ]
    save(sr_document(marks, name=uid("report")), folder / "sr")


def rows(workspace: Workspace) -> pd.DataFrame:
    return catalogue_table(workspace).sort_values("long_x0", ignore_index=True)


@pytest.mark.parametrize(
    ("centre_x", "status", "reason", "flag"),
    [(32.0, "rejected", OFF_BODY, ""), (4.0, "kept", "", PERHAPS_OFF_BODY)],
    ids=["whole body in view", "body cut by the view"],
)
def test_a_mark_in_the_air(tmp_path, centre_x, status, reason, flag):
    hospital(tmp_path / "dicom", centre_x)
    workspace = Workspace(tmp_path / "w")
    for run in range(2):  # judged once, remembered the second time
        report = mine(workspace, [tmp_path / "dicom"])
        found = rows(workspace)
        assert report.already_done == (run == 1)
        assert found.status.tolist() == ["kept", status]
        assert found.reason.tolist() == ["", reason]
        assert found["flags"].tolist() == ["", flag]
        assert sum(report.rejected.values()) == (status == "rejected")


@pytest.mark.parametrize("first", ["image absent", "image unreadable"])
def test_a_mark_whose_image_comes_later_is_judged_then(tmp_path, first):
    hospital(tmp_path / "dicom", 32.0)
    image = tmp_path / "dicom" / "ct"
    whole = image.read_bytes()
    workspace = Workspace(tmp_path / "w")
    image.unlink() if first == "image absent" else image.write_bytes(whole[:-3000])
    mine(workspace, [tmp_path / "dicom"])
    assert set(rows(workspace).status) == {"rejected"}
    image.write_bytes(whole)
    mine(workspace, [tmp_path / "dicom"])
    assert rows(workspace).reason.tolist() == ["", OFF_BODY]
