"""Sources of any kind → one catalogue: each mark once, whatever the paths and their order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import (
    LUNG,
    SITE,
    annotation,
    bidirectional,
    code_item,
    ct_slice,
    gsps,
    line,
    save,
    sr_document,
    uid,
    volume,
)
from pydicom import Dataset
from pydicom.sequence import Sequence as Items

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.lesion import KEPT, LESIONS, REJECTED, SERIES, SLICES, BoundingBox
from lesiongraph.mining import dicom_folder, merge_results, mine_sources
from lesiongraph.mining.assemble import lesion_rows
from lesiongraph.mining.marks import FoundMark, ImageRef, SourceObject

LONG = (10.5, 10.5, 30.5, 10.5)
SHORT = (20.5, 5.5, 20.5, 15.5)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A CT series, an SR with one good mark and two bad ones, a GSPS with one mark and one arrow."""
    folder = tmp_path / "archive"
    uids = volume(folder / "ct")
    groups = [
        bidirectional(uids[3], LONG, SHORT, [code_item(SITE, LUNG)]),
        bidirectional(uids[1], LONG, LONG[:2] * 2),
        bidirectional("1.2.3", LONG, SHORT),
    ]
    save(sr_document(groups), folder / "reports" / "sr")
    save(gsps([annotation([uids[1]], [line(LONG), line(SHORT), line((1, 1, 3, 9))])]), folder / "pr")
    return folder


def test_a_folder_becomes_rows(archive: Path) -> None:
    result = mine_sources([archive])
    lesions = result.lesions
    assert list(lesions.columns) == list(LESIONS)
    assert list(result.series.columns) == list(SERIES)
    assert list(result.slices.columns) == list(SLICES)
    assert lesions["status"].value_counts().to_dict() == {KEPT: 2, REJECTED: 3}
    assert sorted(lesions.loc[lesions["status"] == REJECTED, "reason"]) == [
        "image not found",
        "single line",
        "zero length",
    ]
    row = lesions[(lesions["source"] == "SR") & (lesions["status"] == KEPT)].iloc[0]
    assert (row["patient_id"], row["study_date"], row["patient_age"]) == ("P1", "2020-01-31", 61)
    assert (row["slice_index"], row["type"], row["finding_site"]) == (3, "lung", "Lung")
    assert Path(row["image"]).name == "003"
    assert (row["long_px"], row["short_px"], row["long_mm"], row["short_mm"]) == (20, 10, 16, 5)
    assert (row["x0"], row["y0"], row["x1"], row["y1"]) == (5, 0, 35, 20)
    assert row["subset"] in ("seed", "validation", "test")


def test_the_slice_of_a_lesion_is_in_the_slices(archive: Path) -> None:
    result = mine_sources([archive])
    kept = result.lesions[result.lesions["status"] == KEPT]
    merged = kept.merge(result.slices, on=["series_instance_uid", "slice_index"], suffixes=("", "_slice"))
    assert len(merged) == len(kept)
    assert (merged["sop_instance_uid"] == merged["sop_instance_uid_slice"]).all()
    assert (merged["image"] == merged["path"]).all()


def test_counts_add_up(archive: Path) -> None:
    counts = mine_sources([archive]).counts
    assert (counts["files read"], counts["CT images"], counts["SR"], counts["PR"]) == (7, 5, 1, 1)
    assert (counts["marks"], counts["kept"], counts["rejected"]) == (5, 2, 3)
    assert sum(count for name, count in counts.items() if name.startswith("rejected: ")) == 3


def test_the_same_rows_from_other_paths_and_orders(archive: Path, tmp_path: Path) -> None:
    first = mine_sources([archive])
    elsewhere = tmp_path / "other place"
    for number, path in enumerate(sorted(archive.rglob("*"), reverse=True)):
        if path.is_file():
            (elsewhere / f"{number % 3}").mkdir(parents=True, exist_ok=True)
            (elsewhere / f"{number % 3}" / f"{number:x}.tmp").write_bytes(path.read_bytes())
    second = mine_sources([elsewhere / "2", elsewhere / "0", elsewhere / "1"])
    paths = ["source_path", "image"]
    pd.testing.assert_frame_equal(first.lesions.drop(columns=paths), second.lesions.drop(columns=paths))
    pd.testing.assert_frame_equal(first.series, second.series)
    pd.testing.assert_frame_equal(first.slices.drop(columns="path"), second.slices.drop(columns="path"))
    assert first.lesions["lesion_id"].is_unique
    assert first.lesions["lesion_id"].str.fullmatch(r"L-[0-9a-f]{10}").all()


def test_a_source_given_twice_adds_nothing(archive: Path, tmp_path: Path) -> None:
    once = mine_sources([archive])
    pd.testing.assert_frame_equal(mine_sources([archive, archive]).lesions, once.lesions)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "sr again").write_bytes((archive / "reports" / "sr").read_bytes())
    result = mine_sources([copy, archive])
    assert len(result.lesions) == len(once.lesions)
    assert result.counts["the same object again"] == 1


def test_one_damaged_object_does_not_stop_the_run(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a tag went wrong")

    monkeypatch.setattr(dicom_folder, "read_gsps", fail)
    lesions = mine_sources([archive]).lesions
    row = lesions[lesions["source"] == "GSPS"].iloc[0]
    assert (row["status"], row["reason"]) == (REJECTED, "unreadable object: a tag went wrong")
    assert row["patient_id"] == "P1"
    assert (lesions["status"] == KEPT).sum() == 1


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8, 0.97])
def test_a_truncated_report_is_a_rejected_row(archive: Path, keep: float) -> None:
    path = archive / "reports" / "sr"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    lesions = mine_sources([archive]).lesions
    rows = lesions[lesions["source"] == "SR"]
    assert (rows["status"] == REJECTED).all()
    assert rows["reason"].str.startswith("unreadable object").sum() == 1


@pytest.mark.parametrize("name", ["reports/sr", "pr", "ct/001"])
def test_no_damage_escapes(archive: Path, name: str) -> None:
    """Whatever bytes of one file are wrong, the run ends, and the marks of the other files stand."""
    path = archive / name
    good = path.read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(12):
        bad = bytearray(good)
        for place in rng.integers(130, min(len(good), 2500), size=int(rng.choice([1, 3, 30]))):
            bad[place] = int(rng.integers(256))
        path.write_bytes(bytes(bad))
        lesions = mine_sources([archive]).lesions
        assert len(lesions[lesions["source"] != {"pr": "GSPS", "reports/sr": "SR"}.get(name)]) >= 2


def test_a_mark_on_pixels_of_unknown_size_is_rejected(tmp_path: Path) -> None:
    uids = volume(tmp_path, PixelSpacing=None)
    save(sr_document([bidirectional(uids[0], LONG, SHORT)]), tmp_path / "sr")
    (row,) = mine_sources([tmp_path]).lesions.to_dict("records")
    assert (row["status"], row["reason"]) == (REJECTED, "pixel spacing unknown")
    assert row["long_px"] == 20
    assert np.isnan(row["long_mm"])


def test_a_mark_on_a_scout_says_so(tmp_path: Path) -> None:
    volume(tmp_path / "ct")
    scout = ct_slice(0, series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save(scout, tmp_path / "scout")
    save(sr_document([bidirectional(str(scout.SOPInstanceUID), LONG, SHORT)]), tmp_path / "sr")
    (row,) = mine_sources([tmp_path]).lesions.to_dict("records")
    assert row["reason"] == "image not usable: scout image"


def test_the_image_says_which_patient(tmp_path: Path) -> None:
    uids = volume(tmp_path / "ct")
    report = sr_document([bidirectional(uids[0], LONG, SHORT)])
    report.PatientID = "someone else"
    save(report, tmp_path / "sr")
    (row,) = mine_sources([tmp_path]).lesions.to_dict("records")
    assert (row["patient_id"], row["flags"]) == ("P1", "patient differs from its image's")


@pytest.mark.parametrize(("study", "kept"), [("study", ["new"]), ("earlier study", ["new", "old"])])
def test_an_amended_report_replaces_its_earlier_version(tmp_path: Path, study: str, kept: list[str]) -> None:
    uids = volume(tmp_path / "ct")
    old = sr_document([bidirectional(uids[0], LONG, SHORT)], "old")
    old.StudyInstanceUID = uid(study)
    new = sr_document([bidirectional(uids[0], LONG, SHORT)], "new")
    reference, series, evidence = Dataset(), Dataset(), Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = old.SOPClassUID, old.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = old.SeriesInstanceUID, Items([reference])
    evidence.StudyInstanceUID, evidence.ReferencedSeriesSequence = old.StudyInstanceUID, Items([series])
    new.PredecessorDocumentsSequence = Items([evidence])
    save(old, tmp_path / "old")
    save(new, tmp_path / "new")
    lesions = mine_sources([tmp_path]).lesions
    found = lesions[lesions["status"] == KEPT]["source_path"].map(lambda path: Path(path).name)
    assert sorted(found) == kept
    assert len(lesions) == 2


def test_age_and_sex_come_from_the_images_where_the_report_has_none(tmp_path: Path) -> None:
    uids = volume(tmp_path / "ct")
    report = sr_document([bidirectional(uids[0], LONG, SHORT)])
    del report.PatientAge, report.PatientSex
    save(report, tmp_path / "sr")
    (row,) = mine_sources([tmp_path]).lesions.to_dict("records")
    assert (row["patient_age"], row["patient_sex"]) == (61, "F")


def test_progress_is_told(archive: Path) -> None:
    told: list[tuple[str, int, int]] = []
    mine_sources([archive], progress=lambda *step: told.append(step))
    assert ("read headers", 7, 7) in told
    assert ("read marks", 2, 2) in told


@pytest.mark.parametrize("name", ["absent", "absent.csv", "empty"])
def test_a_source_that_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFoundError, match=name):
        mine_sources([tmp_path / name])


def test_no_source_at_all() -> None:
    with pytest.raises(UsageError, match="No source"):
        mine_sources([])


def test_two_marks_of_one_item_get_two_ids() -> None:
    image = ImageRef("1", "2", 0, "x", 0, 10, 10, 1.0, 1.0)
    mark = FoundMark(None, BoundingBox(1, 1, 3, 3), image, "box", "same")
    rows = lesion_rows([mark, mark], SourceObject(key="k", path="p"))
    assert rows[0]["lesion_id"] != rows[1]["lesion_id"]


def test_merging_looks_the_slice_up_again(tmp_path: Path) -> None:
    """One source holds every slice, the other a few of them and the mark."""
    uids = volume(tmp_path / "all", 6)
    few = tmp_path / "few"
    few.mkdir()
    for index in (2, 4):
        (few / f"{index}").write_bytes((tmp_path / "all" / f"{index:03d}").read_bytes())
    save(sr_document([bidirectional(uids[4], LONG, SHORT)]), few / "sr")
    parts = [dicom_folder.mine_dicom([few]), dicom_folder.mine_dicom([tmp_path / "all"])]
    assert parts[0].lesions["slice_index"].tolist() == [1]
    for order in (parts, parts[::-1]):
        merged = merge_results(order)
        assert merged.lesions["slice_index"].tolist() == [4]
        assert merged.series["slices"].tolist() == [6]
        assert len(merged.slices) == 6
    assert merge_results([]).lesions.empty
    assert uid("series") in set(merged.slices["series_instance_uid"])


def test_a_mark_with_its_image_wins_over_one_without(archive: Path) -> None:
    result = mine_sources([archive])
    stated = mine_sources([archive])
    stated.lesions = stated.lesions.assign(slice_index=-1, image="", source_path="/a/table/read/first")
    for order in ([stated, result], [result, stated]):
        assert (merge_results(order).lesions["slice_index"] == result.lesions["slice_index"]).all()


def test_a_report_replaced_since_the_last_run_stays_replaced(archive: Path) -> None:
    before = mine_sources([archive])
    old = Dataset()
    old.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    old.ReferencedSOPInstanceUID = uid("sr")
    one_series, study = Dataset(), Dataset()
    one_series.ReferencedSOPSequence = Items([old])
    study.ReferencedSeriesSequence = Items([one_series])
    images = sorted(before.slices["sop_instance_uid"])
    amended = sr_document([bidirectional(images[0], LONG, SHORT)], name="amended")
    amended.PredecessorDocumentsSequence = Items([study])
    save(amended, archive / "reports" / "amended")
    merged = merge_results([mine_sources([archive]), before])
    reports = merged.lesions[merged.lesions["source"] == "SR"].set_index("source_path")["status"]
    assert KEPT not in set(reports[[str(archive / "reports" / "sr")]])
    assert reports[str(archive / "reports" / "amended")] == KEPT


def test_a_bad_roi_pattern_is_an_error_not_a_rejected_object(archive: Path) -> None:
    with pytest.raises(UsageError, match="regular expression"):
        mine_sources([archive], roi_pattern="(")


def test_a_series_mined_in_two_parts_is_put_together(tmp_path: Path) -> None:
    uids = volume(tmp_path / "all", count=6)
    for number, part in enumerate("abbaba"):
        (tmp_path / part).mkdir(exist_ok=True)
        (tmp_path / "all" / f"{number:03}").rename(tmp_path / part / f"{number:03}")
    save(sr_document([bidirectional(uids[3], LONG, SHORT)]), tmp_path / "a" / "sr")
    parts = [mine_sources([tmp_path / part]) for part in "ab"]
    for order in (parts, parts[::-1]):
        merged = merge_results(order)
        slices = merged.slices.set_index("slice_index")
        assert slices["position_mm"].is_monotonic_increasing
        assert set(slices["sop_instance_uid"]) == set(uids)
        assert merged.series["slices"].tolist() == [6]
        (lesion,) = merged.lesions.itertuples()
        assert slices["sop_instance_uid"][lesion.slice_index] == lesion.sop_instance_uid == uids[3]
