"""Marks are judged on their images: off the body, perhaps off the body, unreadable."""

import numpy as np
import pandas as pd
import pytest
from small_hospital import PATIENTS, uid, write_hospital

from dicom_files import bidirectional, ct_slice, save, sr_document  # isort: skip (found by small_hospital)

from lesiongraph.pipeline.catalogue import catalogue_table, read_catalogue
from lesiongraph.pipeline.marks_on_images import OFF_BODY, PERHAPS_OFF_BODY
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import Workspace

SIZE_PX, SPACING_MM = 64, 6.0


def hospital(folder, centre_x: float) -> None:
    """One slice: a body round `centre_x`, a mark on it and one in the air at the right."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    body = ((x - centre_x) / 24) ** 2 + ((y - 32) / 20) ** 2 < 1
    ds = ct_slice(0, stored=np.where(body, 1064, 24).astype(np.uint16), PixelSpacing=[SPACING_MM, SPACING_MM])
    save(ds, folder / "ct")
    marks = [
        bidirectional(
            str(ds.SOPInstanceUID),
            (x - 2, y, x + 2, y),
            (x, y - 1, x, y + 1),
            pixel_mm=(SPACING_MM, SPACING_MM),
        )
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


@pytest.mark.parametrize("first", ["reports", "images"])
def test_reports_and_images_mined_apart_come_together(tmp_path, first):
    hospital = write_hospital(tmp_path / "all", PATIENTS[:1])
    parts = {"reports": tmp_path / "reports", "images": tmp_path / "images"}
    for file in [path for path in hospital.rglob("*") if path.is_file()]:
        kind = "reports" if file.suffix == ".sr" else "images"
        target = parts[kind] / file.relative_to(hospital)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    second = "images" if first == "reports" else "reports"
    workspace = Workspace(tmp_path / "work")
    mine(workspace, [parts[first]])
    report = mine(workspace, [parts[second]])
    lesions = read_catalogue(workspace).lesions
    assert (lesions.status == "kept").all()
    assert len(lesions) == 4
    assert any("read again" in note for note in report.notes)


def test_a_mark_whose_image_is_nowhere_has_nothing_read_again(tmp_path):
    hospital = write_hospital(tmp_path / "all", PATIENTS[:2])
    for image in (hospital / PATIENTS[0]).rglob("ct-*"):
        image.unlink()
    workspace = Workspace(tmp_path / "work")
    mine(workspace, [hospital / PATIENTS[0]])
    report = mine(workspace, [hospital / PATIENTS[1]])
    lesions = read_catalogue(workspace).lesions
    assert (lesions.reason == "image not found").sum() == 4
    assert (lesions.status == "kept").sum() == 4
    assert not report.notes
