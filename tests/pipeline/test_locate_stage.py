"""`locate-slices` and `locate` on bodies: regions, tags, flags; what is not CT is refused by name."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bodies import body, write_dicom, write_nifti

from lesiongraph.bodypart import Atlas, SsbrModel
from lesiongraph.errors import NotCtError, SourceNotFoundError
from lesiongraph.lesion import LOCATIONS, SERIES_LOCATIONS
from lesiongraph.pipeline.catalogue import catalogue_table, read_series_locations
from lesiongraph.pipeline.locate_slices import COLUMNS, locate_slices
from lesiongraph.pipeline.series_locations import read_atlas
from lesiongraph.workspace import Workspace


@pytest.fixture(scope="module")
def chest_and_abdomen(tmp_path_factory):
    hu, interval_mm, pixel_mm = body()
    folder = tmp_path_factory.mktemp("bodies")
    return write_nifti(folder / "ct.nii", hu, (interval_mm, pixel_mm, pixel_mm))


def only(report):
    (row,) = report.details["series"]
    return row


# --- meaning ------------------------------------------------------------------------------------------


def test_rows_carry_region_landmark_and_expected_error(chest_and_abdomen):
    rows, report = locate_slices([chest_and_abdomen])
    assert list(rows.columns) == COLUMNS
    assert COLUMNS[:6] == ["path", "slice", "score", "z", "confidence", "flag"]
    assert (np.diff(rows.z) > 0).all()
    assert {"chest", "abdomen"} <= set(rows.region)
    assert list(dict.fromkeys(rows.region)) == [
        name for name in ("neck", "chest", "abdomen", "pelvis") if name in set(rows.region)
    ]
    assert rows.landmark.str.contains("carina").any()
    assert rows.z_sd.between(0.001, 0.2).all()
    row = only(report)
    assert set(SERIES_LOCATIONS) <= set(row)
    assert row["r"] > 0.9
    assert 50 < row["mm_per_score"] < 200
    assert "CHEST" in row["body_part_examined"]
    assert row["body_part_examined"] in row["summary"]
    json.dumps(report.as_dict(), default=str)


def test_the_header_is_laid_beside_what_the_series_shows(tmp_path):
    hu, interval_mm, _ = body()
    for term, said in (
        ("CHESTABDOMEN", {"yes", "in part"}), ("HEAD", {"no"}), ("XYZ", {"unknown term"}), (None, {""}),
    ):  # fmt: skip
        given = {} if term is None else {"BodyPartExamined": term}
        folder = write_dicom(tmp_path / str(term), hu, interval_mm, **given)
        row = only(locate_slices([folder])[1])
        assert row["body_part_given"] == (term or "")
        assert row["agreement"] in said


# --- what looks wrong keeps its rows ------------------------------------------------------------------


def test_upside_down_keeps_each_slices_own_z(tmp_path, chest_and_abdomen):
    hu, interval_mm, pixel_mm = body()
    straight, _ = locate_slices([chest_and_abdomen])
    path = write_nifti(tmp_path / "turned.nii", hu[::-1], (interval_mm, pixel_mm, pixel_mm))
    rows, report = locate_slices([path])
    assert "upside down" in only(report)["flag"]
    assert only(report)["r"] < -0.9
    assert rows.flag.str.contains("upside down").all()
    assert (rows.confidence <= 0.1).all()
    # the same slice has about the same z, whichever way round the series lies
    assert np.median(np.abs(rows.z.to_numpy()[::-1] - straight.z.to_numpy())) < 0.05
    assert report.counts["series flagged"] == 1


@pytest.mark.parametrize("factor", [0.2, 4.0])
def test_a_wrong_spacing_shows(tmp_path, factor):
    hu, interval_mm, pixel_mm = body()
    path = write_nifti(tmp_path / "ct.nii", hu, (interval_mm * factor, pixel_mm, pixel_mm))
    rows, report = locate_slices([path])
    assert "slope implausible" in only(report)["flag"]
    assert rows.z.notna().all()
    assert rows.confidence.max() <= 0.5


@pytest.mark.parametrize("spacing", [0.0, np.nan])
def test_no_spacing_in_a_nifti(tmp_path, spacing):
    hu, interval_mm, pixel_mm = body()
    path = write_nifti(tmp_path / "ct.nii", hu[::4], (interval_mm, pixel_mm, pixel_mm), z_step=spacing)
    rows, report = locate_slices([path])
    assert rows.flag.str.startswith("spacing unknown").all()
    assert rows.z.notna().all()
    assert rows.score.corr(pd.Series(range(len(rows)))) > 0.8  # still head to foot
    assert np.isnan(only(report)["r"])


@pytest.mark.parametrize(
    ("pixel_mm", "said"),
    [((0.0, 2.8), "unknown"), ((2.8, 0.0), "unknown"), ((0.0, 0.0), "unknown"), ((1e-3, 1e-3), "implausible"),
     ((80.0, 80.0), "implausible"), ((0.5, 9.0), "implausible")],
)  # fmt: skip
def test_a_nonsense_pixel_size_is_told_and_never_taken_for_a_number(tmp_path, pixel_mm, said):
    hu, interval_mm, right_mm = body()
    right = write_nifti(tmp_path / "ct.nii", hu[::3], (3 * interval_mm, right_mm, right_mm))
    straight, _ = locate_slices([right])
    spacing = (3 * interval_mm, 1.0, 1.0)
    path = write_nifti(tmp_path / "odd.nii", hu[::3], spacing, pixel_steps=pixel_mm)
    rows, report = locate_slices([path])
    assert rows.flag.str.split(";").str[0].eq(f"pixel size {said}").all()
    assert f"pixel size {said}" in only(report)["flag"]
    # pixels count as square, and nothing else depends on their size
    assert np.median(np.abs(rows.z - straight.z)) < 0.03
    if pixel_mm != (0.0, 0.0):  # with one axis left the third is known; with none nothing is
        assert only(report)["r"] == pytest.approx(0.99, abs=0.1)


@pytest.mark.parametrize(
    ("pixel_mm", "said"), [([0, 0], "unknown"), (None, "unknown"), ([1e-4, 1e-4], "implausible")]
)
def test_a_nonsense_pixel_size_in_dicom_is_told(tmp_path, pixel_mm, said):
    hu, interval_mm, _ = body()
    rows, report = locate_slices([write_dicom(tmp_path / "odd", hu, interval_mm, PixelSpacing=pixel_mm)])
    assert rows.flag.str.startswith(f"pixel size {said}").all()
    assert rows.z.notna().all()
    assert only(report)["r"] > 0.9


def test_no_spacing_in_dicom(tmp_path):
    hu, _, _ = body()
    unplaced = write_dicom(tmp_path / "none", hu, 3.0, ImagePositionPatient=None)
    for folder in (write_dicom(tmp_path / "same", hu, 0.0), unplaced):
        rows, _ = locate_slices([folder])
        assert rows.flag.str.startswith("spacing unknown").all()
        assert rows.z.notna().all()


def test_a_gap_a_single_slice_and_air(tmp_path):
    hu, interval_mm, pixel_mm = body()
    spacing = (interval_mm, pixel_mm, pixel_mm)
    folder = tmp_path / "gap"
    write_dicom(folder, hu, interval_mm, step=2)
    for path in sorted(folder.iterdir())[12:22]:
        path.unlink()
    assert "gap in series" in only(locate_slices([folder])[1])["flag"]
    rows, _ = locate_slices([write_nifti(tmp_path / "one.nii", hu[20:21], spacing)])
    assert rows.flag.tolist() == ["single slice"]
    assert rows.z_sd[0] > 0
    air = np.random.default_rng(0).normal(-1000, 20, hu.shape).astype(np.int16)
    rows, report = locate_slices([write_nifti(tmp_path / "air.nii", air, spacing)])
    assert rows.flag.str.contains("no body").all()
    assert (rows.confidence == 0).all()
    assert rows.score.notna().all()
    assert only(report)["body_part_examined"] == ""


# --- what is not CT -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("MR", {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}),
        ("PT", {"Modality": "PT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"}),
        ("scout image", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    ],
)
def test_dicom_that_is_not_ct_is_refused_by_name(cli, tmp_path, name, changes):
    hu, interval_mm, _ = body()
    other = write_dicom(tmp_path / "other", hu, interval_mm, step=20, **changes)
    with pytest.raises(NotCtError, match=name):
        locate_slices([other])
    ran = cli("locate-slices", other)
    assert (ran.code, ran.err.count("Traceback")) == (1, 0)
    assert name in ran.err
    # beside CT it is left out and counted
    write_dicom(tmp_path / "other", hu, interval_mm, step=20, series="ct")
    rows, report = locate_slices([other])
    files = len(list(other.iterdir())) // 2
    assert len(rows) == files
    ((reason, number),) = report.rejected.items()
    assert name in reason
    assert number == files
    mined = json.loads(cli("mine", other, "-w", tmp_path / "w", "--json").out)
    assert sum(n for key, n in mined["counts"].items() if name in key) == files


def rescaled(kind, hu):
    """The body as another modality would store it."""
    rng = np.random.default_rng(1)
    tissue = np.where(hu > -300, 600 + 2.0 * np.abs(hu % 150), 0.0)  # dark air, bright fat and water
    return {
        "MR": np.abs(tissue + rng.normal(0, 8, hu.shape)).astype(np.int16),
        "MR resampled": (tissue + rng.normal(0, 4, hu.shape)).astype(np.int16),
        "MR normalised": ((tissue - tissue.mean()) / tissue.std()).astype(np.float32),
        "PET": rng.gamma(0.6, 1.5, hu.shape).astype(np.float32) * (hu > -300),
        "mask": (hu > 200).astype(np.uint8),
        "stored values without intercept": (hu + 1024).clip(0).astype(np.uint16),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["MR", "MR resampled", "MR normalised", "PET", "mask", "stored values without intercept"],
)
def test_nifti_that_is_not_ct_is_refused_by_name(cli, tmp_path, chest_and_abdomen, kind):
    hu, interval_mm, pixel_mm = body()
    path = write_nifti(tmp_path / "x" / "other.nii", rescaled(kind, hu), (interval_mm, pixel_mm, pixel_mm))
    with pytest.raises(NotCtError, match=r"other\.nii: expected a CT image in HU, found values from"):
        locate_slices([path])
    assert cli("locate-slices", path).code == 1
    rows, report = locate_slices([path, chest_and_abdomen])
    assert set(rows.path) == {str(chest_and_abdomen)}
    assert sum(report.rejected.values()) == 1
    assert any("other.nii" in note for note in report.notes)


def test_what_is_left_out_of_a_folder_is_named(tmp_path, chest_and_abdomen):
    hu, interval_mm, pixel_mm = body()
    spacing = (interval_mm, pixel_mm, pixel_mm)
    folder = tmp_path / "mixed"
    write_nifti(folder / "a_mr.nii", rescaled("MR", hu), spacing)
    write_nifti(folder / "b_mask.nii", rescaled("mask", hu), spacing)
    (folder / "c_broken.nii").write_bytes(b"no volume")
    (folder / "d_ct.nii").write_bytes(chest_and_abdomen.read_bytes())
    rows, report = locate_slices([folder])
    assert {Path(path).name for path in rows.path} == {"d_ct.nii"}
    assert sum(report.rejected.values()) == 3
    for name in ("a_mr.nii", "b_mask.nii", "c_broken.nii"):
        assert sum(name in note for note in report.notes) == 1


def test_narrow_crops_inside_the_body_stay_ct(tmp_path):
    hu, interval_mm, pixel_mm = body()
    crop = hu[:, 50:90, 40:80]
    rows, _ = locate_slices([write_nifti(tmp_path / "crop.nii", crop, (interval_mm, pixel_mm, pixel_mm))])
    assert rows.z.notna().all()


def test_pictures_that_cannot_be_read_keep_their_rows_and_are_flagged(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    rows, report = locate_slices([tmp_path])
    assert rows.z.isna().all()
    assert report.rejected == {"unreadable: cannot identify image file": 2}
    for row in report.details["series"]:
        assert row["flag"] == "no slice could be read"
        assert "nan" not in row["summary"]


def test_no_image_at_all(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SourceNotFoundError):
        locate_slices([tmp_path])


# --- the workspace ------------------------------------------------------------------------------------


def test_locate_writes_region_error_and_a_row_a_series(worked_workspace):
    workspace = Workspace(worked_workspace)
    locations = workspace.open("locations", "locate").read_table("locations")
    assert list(locations.columns) == list(LOCATIONS)
    assert set(locations.region) <= {region.name for region in Atlas.load().regions}
    series = read_series_locations(workspace)
    assert list(series.columns) == list(SERIES_LOCATIONS)
    assert len(series) == workspace.read_run_reports()["locate"]["counts"]["series located"]
    assert read_atlas(workspace) == Atlas.load()
    table = catalogue_table(workspace)
    assert {"z_sd", "region"} <= set(table.columns)


def test_series_without_a_lesion_are_told_on_request(cli, workspace, tmp_path):
    hu, interval_mm, _ = body()
    assert cli("mine", write_dicom(tmp_path / "more", hu, interval_mm), "-w", workspace).code == 0
    counts = []
    for words in ((), ("--all-series",)):
        ran = cli("locate", "-w", workspace, "--workers", 1, "--json", *words)
        counts.append(json.loads(ran.out)["counts"]["series located"])
    assert counts[1] == counts[0] + 1
    assert len(read_series_locations(Workspace(workspace))) == counts[1]


def test_a_result_of_an_earlier_version_stays_readable_and_is_made_again(cli, workspace):
    folder = Workspace(workspace).open("locations", "locate").path
    old = pd.read_parquet(folder / "locations.parquet").drop(columns=["z_sd", "region"])
    old.to_parquet(folder / "locations.parquet", index=False)
    (folder / "series_locations.parquet").unlink()
    (folder / "atlas.json").unlink()
    assert catalogue_table(Workspace(workspace)).z_sd.isna().all()
    assert read_series_locations(Workspace(workspace)).empty
    assert cli("report", "-w", workspace).code == 0
    pointer = json.loads((workspace / "workspace.json").read_text())
    pointer["stages"]["locations"]["key"] = "made by an earlier version"
    (workspace / "workspace.json").write_text(json.dumps(pointer))
    assert cli("locate", "-w", workspace, "--workers", 1).code == 0
    assert len(read_series_locations(Workspace(workspace)))


def test_the_report_shows_what_each_series_shows(cli, workspace):
    page = Path(cli("report", "-w", workspace).out.splitlines()[-1]).read_text()
    assert "What each series shows" in page
    assert "header names another body part" in page
    assert "The atlas: where landmarks lie" in page


def test_other_weights_give_z_without_regions_and_say_so(tmp_path, chest_and_abdomen):
    model = SsbrModel.load()
    model.notes["changed"] = "yes"
    model.save(tmp_path / "other.safetensors")
    rows, report = locate_slices([chest_and_abdomen], weights=tmp_path / "other.safetensors")
    assert rows.z.notna().all()
    assert rows.z_sd.isna().all()
    assert set(rows.region) == {""}
    assert any("build_atlas" in note for note in report.notes)


@pytest.mark.slow
def test_fit_lays_its_z_onto_the_packaged_models_or_says_that_it_cannot(cli, workspace):
    ran = cli("locate", "-w", workspace, "--fit", "--steps", 4, "--workers", 1, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    (note,) = [note for note in report["notes"] if "fitted model" in note]
    aligned = "was laid onto that of" in note
    assert aligned or "could not be laid onto" in note
    assert aligned == (read_atlas(Workspace(workspace)) is not None)
    again = json.loads(cli("locate", "-w", workspace, "--fit", "--steps", 4, "--workers", 1, "--json").out)
    assert again["already_done"]
    assert note in again["notes"]
