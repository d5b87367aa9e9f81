"""The report over a small workspace, written by hand: whole, then with stages missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesiongraph.errors import DiskFullError, StageMissingError, TableSchemaError
from lesiongraph.imaging import Patch, PatchWriter
from lesiongraph.lesion import (
    LANDMARKS,
    LESIONS,
    LOCATIONS,
    SERIES,
    SERIES_LOCATIONS,
    SLICES,
    BoundingBox,
)
from lesiongraph.pipeline import report, report_locations, report_retrieval
from lesiongraph.pipeline.report import write_report
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.workspace import RunReport, Workspace

SIZE_PX = 64
TYPES = ("lung", "liver")
SHOWN = {"series_instance_uid": "s", "z_from": 0.31, "z_to": 0.62, "regions": "chest, abdomen", "r": 0.98,
         "body_part_examined": "CHESTABDOMEN", "body_part_given": "HEAD", "agreement": "no",
         "flag": "upside down"}  # fmt: skip
STAGES = ("locations", "patches", "initial", "embedding", "model", "groups")


def _lesions(folder: Path) -> pd.DataFrame:
    """Twelve patients of four marks: two lesions in two studies each; one mark is rejected."""
    subsets = {"pool": "train", "seed": "val", "validation": "val", "test": "test"}
    rows = []
    for patient in range(12):
        subset = list(subsets)[patient % 4]
        for mark in range(4):
            study, kind = divmod(mark, 2)
            x, y = 20.0 + 4 * kind, 24.0 + 6 * study
            rows.append(
                {
                    "lesion_id": f"L-{patient:02d}{mark}", "patient_id": f"PHANTOM-{patient:04d}",
                    "study_instance_uid": f"{patient}.{study}", "study_date": f"2020-0{study + 1}-01",
                    "series_instance_uid": "s", "slice_index": 0, "source": "SR", "status": "kept",
                    "long_x0": x, "long_y0": y, "long_x1": x + 10 + mark, "long_y1": y,
                    "short_x0": x + 5, "short_y0": y - 3, "short_x1": x + 5, "short_y1": y + 3,
                    "x0": x - 5, "y0": y - 8, "x1": x + 15 + mark, "y1": y + 8, "long_mm": 10.0 + mark,
                    "short_mm": 6.0, "spacing_x_mm": 1.0, "spacing_y_mm": 1.0, "split": subsets[subset],
                    "subset": subset, "type": "" if subset == "pool" else TYPES[kind],
                    "tracking_uid": f"t{patient}.{mark}",
                }
            )  # fmt: skip
    rejected = {**rows[0], "lesion_id": "L-bad", "status": "rejected", "reason": "<b>off the body</b>"}
    return pd.DataFrame([*rows, rejected])


def _write_catalogue(workspace: Workspace, folder: Path) -> pd.DataFrame:
    hu = np.full((SIZE_PX, SIZE_PX), -1000, int)
    hu[8:56, 4:60] = 40
    image = folder / "slice.png"
    Image.fromarray((hu + 32768).astype(np.uint16)).save(image)
    lesions = _lesions(folder)
    series = {
        "series_instance_uid": "s", "kind": "deeplesion", "columns": SIZE_PX, "rows": SIZE_PX,
        "spacing_x_mm": 1.0, "spacing_y_mm": 1.0, "slices": 1,
    }  # fmt: skip
    slices = {
        "series_instance_uid": "s",
        "slice_index": 0,
        "position_mm": 0.0,
        "path": str(image),
        "frame": 0,
    }
    with workspace.write("catalogue", "c") as stage:
        stage.write_table("lesions", lesions, LESIONS)
        stage.write_table("series", pd.DataFrame([series]), SERIES)
        stage.write_table("slices", pd.DataFrame([slices]), SLICES)
        stage.write_table("landmarks", pd.DataFrame(columns=list(LANDMARKS)), LANDMARKS)
    return lesions[lesions.status == "kept"].reset_index(drop=True)


def _write_vectors(workspace: Workspace, kept: pd.DataFrame, stage: str, rng: np.random.Generator) -> None:
    kinds = np.array([int(name[-1]) % 2 for name in kept.lesion_id])
    vectors = np.eye(6)[kinds] + rng.normal(0, 0.02, (len(kept), 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with workspace.write(stage, "v") as folder:
        folder.write_table("ids", kept[["lesion_id"]])
        folder.write_array("vectors", vectors.astype(np.float32))
        folder.write_json("origin", {"catalogue": "c", "model": "m"})


def _write_model(workspace: Workspace, kept: pd.DataFrame) -> None:
    pool = kept.lesion_id[kept.subset == "pool"].tolist()
    with workspace.write("model", "m") as folder:
        folder.write_table("sequences", pd.DataFrame([pool[:5], pool[5:10]], columns=list("ABCDE")))
        labels = {"lesion_id": pool, "type": [TYPES[i % 2] for i in range(len(pool))], "confidence": 1.0}
        folder.write_table("pseudo_labels", pd.DataFrame(labels))
        folder.write_table(
            "training_set", kept.loc[kept.subset == "pool", ["patient_id", "subset"]].drop_duplicates()
        )
        folder.write_array("history", np.linspace(1, 0.2, 80))
        about = {"trunk": "narrow", "frozen": ["conv1"], "steps": 80, "refinements": 1}
        folder.write_json("about", {**about, "recipe": {"steps": 60}})


def _write_stages(workspace: Workspace, kept: pd.DataFrame, stages: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    if "locations" in stages:
        located = {"lesion_id": kept.lesion_id, "x": 0.4, "y": 0.5, "confidence": 1.0, "model": "ssbr x"}
        located["z"] = np.linspace(0.1, 0.9, len(kept))
        with workspace.write("locations", "l") as folder:
            folder.write_table("locations", pd.DataFrame(located), LOCATIONS)
            folder.write_table("landmarks", pd.DataFrame(columns=["name"]))
            folder.write_table("series_locations", pd.DataFrame([SHOWN]), SERIES_LOCATIONS)
    if "patches" in stages:
        hu = rng.integers(-100, 100, (3, 110, 110)).astype(np.int16)
        patch = Patch(hu, BoundingBox(45, 45, 65, 65))
        with workspace.write("patches", "p") as folder, PatchWriter(folder.path / "patches") as writer:
            for lesion_id in kept.lesion_id:
                writer.append(lesion_id, patch)
    for stage in ("initial", "embedding"):
        if stage in stages:
            _write_vectors(workspace, kept, stage, rng)
    if "model" in stages:
        _write_model(workspace, kept)
    if "groups" in stages:
        groups = kept[["patient_id", "lesion_id", "study_instance_uid", "study_date"]]
        groups = groups.set_axis(["patient", "lesion", "study", "study_date"], axis=1)
        groups["group"] = [1 + int(name[-1]) % 2 for name in groups.lesion]
        groups["distance"] = 0.05
        with workspace.write("groups", "g") as folder:
            folder.write_table("groups", groups)
            folder.write_json("thresholds", {"t1": 0.1, "t2": 0.15, "feature": "embedding"})


def make_workspace(folder: Path, stages: tuple[str, ...] = STAGES) -> Workspace:
    """Return a workspace with a catalogue and the named stages."""
    workspace = Workspace(folder / "workspace")
    with workspace.lock():
        kept = _write_catalogue(workspace, folder)
        _write_stages(workspace, kept, stages)
        workspace.write_run_report(
            "mine", {"seconds": 1.0, "rng_seed": 0, "weights": [], "notes": [], "versions": {"python": "3"}}
        )
    return workspace


@dataclass(frozen=True)
class Written:
    """The one whole report that several tests read."""

    workspace: Workspace
    truth: Path
    page: str
    run_report: RunReport


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("whole")
    truth = folder / "truth.csv"
    truth.write_text(
        "tracking_uid,lesion\n" + "".join(f"t{p}.{m},{p}-{m % 2}\n" for p in range(12) for m in range(4))
    )
    workspace = make_workspace(folder)
    path, run_report = write_report(workspace, truth=truth)
    return Written(workspace, truth, path.read_text(), run_report)


def test_whole_report_shows_every_section(whole: Written) -> None:
    page, run_report = whole.page, whole.run_report
    assert run_report.notes == []
    assert "Not shown" not in page
    assert run_report.counts["figures"] == page.count("<img ") == 15
    assert len(re.findall(r"<section ", page)) == len(report.SECTIONS)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "All patients here are synthetic" in page
    assert "Not for clinical use" in page
    assert "&lt;b&gt;off the body&lt;/b&gt;" in page
    assert "<b>off" not in page


def test_a_flagged_series_and_a_wrong_header_are_told(whole: Written) -> None:
    section = report_locations.series(ReportContext(whole.workspace, None, 0))
    assert [value for _, value in section.facts] == ["1", "1", "1"]
    (row,) = section.tables[0].rows.to_dict("records")
    assert (row["shows"], row["DICOM term"]) == ("chest, abdomen", "CHESTABDOMEN")
    assert row["header says"] == "HEAD (no)"
    assert row["flag"] == "upside down"
    (numbers,) = section.tables[1].rows.to_dict("records")
    assert (numbers["z"], numbers["r"]) == ("0.31 – 0.62", "0.980")
    assert (numbers["mm a unit"], numbers["error"]) == ("–", "–")


def test_papers_rows_stand_in_table_1_and_are_marked_as_the_papers(whole: Written) -> None:
    rows = re.findall(r'<tr class="reference">(.*?)</tr>', whole.page)
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in rows]
    assert [row[3:] for row in cells] == [
        ["15.2", "9.6", "6.9", "58.7", "35.8", "86.2", "4927"],
        ["22.4", "2.5", "8.8", "51.6", "32.6", "59.7", "4927"],
        ["8.5", "7.2", "5.1", "86.0", "72.4", "90.5", "4927"],
    ]
    assert all(row[0] == "paper, DeepLesion test set" for row in cells)


def test_catalogue_alone_gives_a_report_that_says_what_is_missing(tmp_path: Path) -> None:
    path, run_report = write_report(make_workspace(tmp_path, stages=()))
    page = path.read_text()
    missing = {note.split(":")[0] for note in run_report.notes}
    assert {"Training sequences (Fig. 3)", "Retrieval (Fig. 6, 12)", "Atlas (Fig. 11)"} <= missing
    assert page.count("Not shown") == len(run_report.notes)
    assert page.count("<img ") == 3  # marks, rejected marks, sizes
    assert "lesiongraph locate" in page


def test_before_training_the_initial_feature_serves_and_is_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, stages=("locations", "patches", "initial"))
    section = report_retrieval.retrieval(ReportContext(workspace, None, 0))
    assert "by the initial feature (before training)" in section.text
    assert len(section.figures) == 2


def test_hits_are_the_nearest_lesions_of_those_allowed(whole: Written) -> None:
    context = ReportContext(whole.workspace, None, 0)
    matrix, lesions = context.vectors.matrix, context.vectors.lesions
    everyone, others = (table.rows for table in report_retrieval.retrieval(context).tables)
    for table, own_allowed in ((everyone, True), (others, False)):
        for query, hits in table.groupby("query"):
            row = lesions.index[lesions.lesion_id == query][0]
            distances = np.linalg.norm(matrix - matrix[row], axis=1)
            distances[row] = np.inf
            if not own_allowed:
                distances[lesions.patient_id == lesions.patient_id[row]] = np.inf
            assert hits.lesion.tolist() == lesions.lesion_id[np.argsort(distances)[:9]].tolist()


def test_unreadable_slices_are_said_and_leave_the_rest(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, stages=())
    (tmp_path / "slice.png").unlink()
    path, run_report = write_report(workspace)
    assert any("slice.png" in note for note in run_report.notes)
    assert "Sizes in mm" in path.read_text()


def test_empty_workspace_is_an_error_and_leaves_no_report(tmp_path: Path) -> None:
    with pytest.raises(StageMissingError, match="mine"):
        write_report(Workspace(tmp_path / "empty"))
    assert not (tmp_path / "empty").exists()


def test_truth_without_its_columns_is_an_error(tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("a,b\n1,2\n")
    with pytest.raises(TableSchemaError):
        write_report(make_workspace(tmp_path, stages=()), truth=truth)


def test_failed_writing_keeps_the_former_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "report" / "report.html"
    report._replace(page, "former")

    def full(*_: object, **__: object) -> int:
        (tmp_path / "report" / "report.part").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskFullError):
        report._replace(page, "new")
    assert page.read_text() == "former"
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]


def test_same_workspace_gives_the_same_page(whole: Written) -> None:
    again, _ = write_report(whole.workspace, truth=whole.truth)
    assert again.read_text() == whole.page
