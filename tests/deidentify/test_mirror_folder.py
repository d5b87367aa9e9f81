"""Folders of DICOM → their cleaned copy: each object once, left-out images told, nothing by its name."""

from __future__ import annotations

import json

import pytest
from dicom_files import bidirectional, ct_slice, save, sr_document, volume

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.mining import AsItIs, mine_sources, mirror_folders


def counts_of(result, *names):
    return [result.counts[name] for name in names]


def test_what_cannot_be_read_is_counted_and_not_copied(door, tmp_path):
    source = tmp_path / "source"
    volume(source / "a", count=3)
    volume(source / "again", count=3)
    (source / "notes.txt").write_text("about a patient")
    (source / "empty").write_bytes(b"")
    (source / "half").write_bytes((source / "a" / "000").read_bytes()[:200])
    report = save(sr_document([bidirectional("1.2", (1, 1, 9, 1), (5, 0, 5, 3))]), source / "cut.sr")
    report.write_bytes(report.read_bytes()[:-60])
    counts = mirror_folders([source], tmp_path / "mirror", door)
    assert counts.pop("objects copied") == 3
    assert counts.pop("the same object again") == 3
    assert sum(counts.values()) == 4
    assert counts["files not copied: not DICOM"] == 1
    assert counts["files not copied: empty file"] == 1
    assert counts["files not copied: unreadable object"] == 1
    assert len(list((tmp_path / "mirror").rglob("*.dcm"))) == 3
    assert not list((tmp_path / "mirror").rglob("*.part"))


@pytest.mark.parametrize(
    "changes",
    [{"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, {"Modality": "MR"}, {"RescaleIntercept": None}],
)
def test_a_mark_on_an_image_left_out_is_rejected_for_the_same_reason(door, tmp_path, changes):
    source = tmp_path / "source"
    volume(source / "ct", count=3)
    image = ct_slice(-90, series="other", **changes)
    save(image, source / "left-out")
    save(sr_document([bidirectional(str(image.SOPInstanceUID), (1, 1, 9, 1), (5, 0, 5, 3))]), source / "sr")
    mirror_folders([source], tmp_path / "mirror", door)
    kept, cleaned = mine_sources([source]), mine_sources([tmp_path / "mirror"])
    assert kept.lesions.reason.tolist() == cleaned.lesions.reason.tolist() != [""]
    names = ("CT images", "SR", "scout image", "not CT (MR)", "not in HU (no rescale intercept)")
    assert counts_of(kept, *names) == counts_of(cleaned, *names)


def test_objects_without_uids_stay_one_series(door, tmp_path):
    source = tmp_path / "source"
    for number in range(3):
        made = ct_slice(-5.0 * number, SOPInstanceUID="", SeriesInstanceUID="")
        save(made, source / f"{number}")
    mirror_folders([source], tmp_path / "mirror", door)
    assert mine_sources([tmp_path / "mirror"]).series.slices.tolist() == [3]


def test_a_uid_that_looks_like_a_path_stays_in_the_mirror(tmp_path):
    save(ct_slice(0), tmp_path / "source" / "a")
    made = ct_slice(0)
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        made.SOPInstanceUID = "../../escaped"
    save(made, tmp_path / "source" / "b")
    mirror_folders([tmp_path / "source"], tmp_path / "mirror", AsItIs())
    written = [p for p in tmp_path.rglob("*") if p.is_file() and (tmp_path / "source") not in p.parents]
    assert len(written) == 2
    assert all((tmp_path / "mirror") in path.parents for path in written)


def test_sources_that_cannot_be(door, tmp_path):
    mirror = tmp_path / "mirror"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFoundError):
        mirror_folders([tmp_path / "empty"], mirror, door)
    with pytest.raises(SourceNotFoundError):
        mirror_folders([tmp_path / "nowhere"], mirror, door)
    volume(mirror, count=1)
    with pytest.raises(UsageError, match="de-identified copy"):
        mirror_folders([mirror], mirror, door)


def test_mining_again_changes_nothing_and_marks_add_up(cli, small_hospital, tmp_path):
    first, second = sorted(small_hospital.iterdir())[:2]
    run = ("-w", tmp_path / "w", "--key", tmp_path / "k.key", "--json")
    told = [
        json.loads(cli("mine", source, *run, *more).out)
        for source, more in ((first, ["--deidentify"]), (first, []), (second, []))
    ]
    assert [t["already_done"] for t in told] == [False, True, False]
    assert told[2]["counts"]["catalogue rows"] > told[1]["counts"]["catalogue rows"]
    assert all("de-identified with the key" in " ".join(t["notes"]) for t in told)
    sources = next((tmp_path / "w").glob("catalogue-*/sources.json")).read_text()
    assert json.loads(sources) == [str(tmp_path / "w" / "mirror" / "objects")]


def test_a_workspace_is_of_one_kind(cli, small_hospital, tmp_path):
    source = sorted(small_hospital.iterdir())[0]
    clean, plain = tmp_path / "clean", tmp_path / "plain"
    key = ("--key", tmp_path / "k.key")
    assert cli("mine", source, "-w", clean, "--deidentify", *key).code == 0
    assert cli("mine", source, "-w", plain, "--keep-identifiers").code == 0
    refused = cli("mine", source, "-w", clean, "--keep-identifiers")
    assert (refused.code, "expected --deidentify" in refused.err) == (2, True)
    refused = cli("mine", source, "-w", plain, "--deidentify", *key)
    assert (refused.code, "expected a new workspace" in refused.err) == (2, True)
    refused = cli("mine", source, "-w", plain, *key)
    assert (refused.code, "--key: expected --deidentify" in refused.err) == (2, True)
    refused = cli("mine", source, "-w", tmp_path / "w", "--deidentify", "--key", tmp_path / "w" / "k")
    assert (refused.code, "inside the workspace" in refused.err) == (1, True)
    assert not (tmp_path / "w").exists()


def test_tables_of_files_are_refused(cli, tmp_path):
    (tmp_path / "masks.csv").write_text("image,mask\n")
    refused = cli(
        "mine", tmp_path / "masks.csv", "-w", tmp_path / "w", "--deidentify", "--key", tmp_path / "k"
    )
    assert refused.code == 2
    assert "expected folders of DICOM" in refused.err
    assert not (tmp_path / "k").exists()
