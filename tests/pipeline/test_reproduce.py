"""`reproduce` on the small hospital: nine rows, saved and taken up, equal to what the single verbs give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stages import NUMBERS, TRAINING

from lesiongraph.embedding import TrainedEmbedder
from lesiongraph.errors import TableSchemaError, UsageError
from lesiongraph.evaluation import TABLE1_FIGURES, patient_bootstrap
from lesiongraph.lesion import LESIONS
from lesiongraph.pipeline import labelling, train
from lesiongraph.pipeline.evaluate import evaluate
from lesiongraph.pipeline.reproduce import reproduce
from lesiongraph.pipeline.reproduce_caption import caption
from lesiongraph.pipeline.reproduce_cells import LOWER_IS_BETTER
from lesiongraph.pipeline.reproduce_rows import ROWS
from lesiongraph.pipeline.reproduce_table import best_cells
from lesiongraph.recipe import Recipe, override, preset
from lesiongraph.workspace import StageFolder, Workspace

FAITHFUL = ("--preset", "demo", *TRAINING)

ERRORS = sorted(LOWER_IS_BETTER)
TRAINED = [row.name for row in ROWS if row.trained]


def recipe(**changes: str) -> Recipe:
    own = {f"embedding.{key}": str(value) for key, value in NUMBERS.items()}
    return override(preset("demo"), own | changes)


@pytest.fixture(scope="session")
def tracked(worked_workspace, tmp_path_factory) -> Path:
    """The worked workspace, its marks with a tracking UID each, and every study made two (read-only).

    Test patients have one study only: without a second one there would be nothing to match.
    """
    path = Path(shutil.copytree(worked_workspace, tmp_path_factory.mktemp("tracked") / "w"))
    folder = Workspace(path).open("catalogue", "mine")
    lesions = folder.read_table("lesions")
    studies = lesions.study_instance_uid + lesions.slice_index.isin((3, 8)).map({True: ".1", False: ""})
    changed = lesions.assign(tracking_uid=lesions.lesion_id, study_instance_uid=studies)
    folder.write_table("lesions", changed, LESIONS)
    return path


@pytest.fixture(scope="session")
def identities(tracked, tmp_path_factory) -> Path:
    """A truth file: what a patient has in one organ is one lesion, and every type is known."""
    lesions = Workspace(tracked).open("catalogue", "mine").read_table("lesions")
    kinds = lesions.slice_index.map({2: "lung", 3: "lung", 7: "liver", 8: "liver"})
    assert kinds.notna().all()
    table = {"tracking_uid": lesions.tracking_uid, "lesion": lesions.patient_id + kinds, "type": kinds}
    path = tmp_path_factory.mktemp("truth") / "truth.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def reproduced(tracked, identities, tmp_path_factory) -> tuple[Path, dict]:
    """A workspace with all rows and two random seeds, and the run's report (read-only by agreement)."""
    path = Path(shutil.copytree(tracked, tmp_path_factory.mktemp("reproduced") / "w"))
    report = reproduce(Workspace(path), recipe(), seeds=2, truth=identities)
    return path, report.as_dict()


@pytest.fixture
def workspace(tracked, tmp_path) -> Path:
    return Path(shutil.copytree(tracked, tmp_path / "workspace"))


@pytest.fixture
def copied(reproduced, tmp_path) -> Path:
    return Path(shutil.copytree(reproduced[0], tmp_path / "copied"))


def run_folder(path: Path, row: str, rng_seed: int) -> StageFolder:
    slug = next(one.slug for one in ROWS if one.name == row)
    return Workspace(path).open(f"run_demo_{slug}_{rng_seed}", "reproduce")


def table_of(path: Path) -> dict[str, dict]:
    rows = json.loads((path / "table1" / "table1.json").read_text(), parse_constant=pytest.fail)["rows"]
    return {line["row"]: line["figures"] for line in rows}


def test_all_nine_rows_with_every_figure(reproduced):
    path, report = reproduced
    table = table_of(path)
    assert list(table) == [row.name for row in ROWS]
    assert report["counts"]["trainings"] == 2 * len(TRAINED) == 14
    for row in ROWS:
        for name, cell in table[row.name].items():
            assert len(cell["values"]) == (2 if row.trained else 1), (row.name, name)
            assert cell["mean"] == pytest.approx(np.mean(cell["values"]))
            if row.trained:
                assert cell["sd"] == pytest.approx(np.std(cell["values"], ddof=1))
            else:
                assert cell["sd"] is None
            assert 0 <= cell["mean"] <= 200
    assert {path.name for path in (path / "table1").iterdir()} == {
        "table1.md", "table1.csv", "table1.json", "confusion.png", "matching.png"
    }  # fmt: skip
    csv = pd.read_csv(path / "table1" / "table1.csv").set_index("row")
    assert csv.loc["all", "type_are_mean"] == pytest.approx(table["all"]["type_are"]["mean"])
    assert csv.loc["all", "random_seeds"] == 2


def test_the_caption_says_what_was_run(reproduced):
    text = reproduced[1]["details"]["caption"]
    for said in ("8 typed lesions of 2 patients", "2 random seeds", "Preset demo", "narrow (frozen)",
                 "12 steps", "steps 12 instead of the preset's 600", "lesiongraph 0.", "cores",
                 "relaxed where no companion is near enough"):  # fmt: skip
        assert said in text
    stated = reproduced[1]["details"]["stated"]["anchors"]
    assert list(stated) == TRAINED
    for row, (anchors, pool) in stated.items():
        assert 0 < anchors <= pool
        assert f"{row} {anchors} of {pool}" in text
    assert text in (reproduced[0] / "table1" / "table1.md").read_text()


def test_an_interval_of_errors_holds_the_estimate(reproduced):
    table = table_of(reproduced[0])
    for row in table:
        for name in ERRORS:
            cell = table[row][name]
            low, high = cell["interval"]
            assert low <= cell["mean"] <= high
    assert any(np.diff(table["all"][name]["interval"]) > 0 for name in ERRORS)


def test_the_interval_is_the_bootstrap_of_the_mean_over_seeds(reproduced):
    """Against `patient_bootstrap` on the saved errors of each query."""
    workspace = Workspace(reproduced[0])
    seeds = [workspace.open(f"scores_demo_type_{i}", "reproduce").read_table("scores") for i in range(2)]
    errors = [table.size_error_others.to_numpy() for table in seeds]
    found = patient_bootstrap(
        lambda rows: 100 * np.mean([one[rows].mean() for one in errors]), seeds[0].patient_id,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    cell = table_of(reproduced[0])["type"]["size_are_others"]
    assert cell["mean"] == pytest.approx(found.estimate)
    assert cell["interval"] == pytest.approx([found.low, found.high])


def test_the_gap_to_the_full_row_is_paired(reproduced):
    table = table_of(reproduced[0])
    assert all(cell["gap"] is None for cell in table["all"].values())
    for name in (*ERRORS, "purity", "accuracy"):
        gap, low, high = table["conv5"][name]["gap"]
        assert gap == pytest.approx(table["conv5"][name]["mean"] - table["all"][name]["mean"])
        assert low <= high
    assert table["location-feature"]["type_are"]["gap"] is not None
    # the rows share their patients: a row like the full one differs from it by nothing on every resample
    same = [
        cells
        for row, cells in table.items()
        if row != "all" and cells["type_are"]["values"] == table["all"]["type_are"]["values"]
    ]
    assert all(cells["type_are"]["gap"][0] == 0 for cells in same)
    assert "Difference from the row of all cues" in (reproduced[0] / "table1" / "table1.md").read_text()


def test_the_best_of_each_column_is_bold(reproduced):
    path, report = reproduced
    best = best_cells(report["details"]["rows"])
    table = table_of(path)
    for name in ("type_are", "purity"):
        shown = {row: round(cells[name]["mean"], 1) for row, cells in table.items()}
        top = min(shown.values()) if name == "type_are" else max(shown.values())
        assert {row for row, column in best if column == name} == {r for r, v in shown.items() if v == top}
    line = next(
        x for x in (path / "table1" / "table1.md").read_text().splitlines() if "| Location feature" in x
    )
    assert f"**{table['location-feature']['location_are']['mean']:.1f}**" in line


def test_the_table_equals_evaluate_of_the_same_model(reproduced, copied, identities, cli):
    table = table_of(reproduced[0])
    assert cli("train", "-w", copied, "--preset", "demo", *TRAINING, "--seed", 1).code == 0
    assert cli("embed", "-w", copied).code == 0
    for row, feature, place in (("all", "embedding", 1), ("imagenet", "initial", 0),
                                ("location-feature", "location", 0)):  # fmt: skip
        alone = evaluate(Workspace(copied), feature=feature, truth=identities)
        others = evaluate(Workspace(copied), feature=feature, other_patients=True)
        found = {name: table[row][name]["values"][place] for name in table[row]}
        assert {name: found[name] for name in TABLE1_FIGURES} == {n: alone[n] for n in TABLE1_FIGURES}
        assert {name: found[f"{name}_others"] for name in TABLE1_FIGURES[:3]} == {
            name: others[name] for name in TABLE1_FIGURES[:3]
        }
        assert found["matching_f1"] > 0
        assert found["matching_area"] == 100 * alone["matching"]["area"]
        assert found["matching_f1"] == 100 * alone["matching"]["best_f1"]


def test_twice_is_once(copied, identities):
    before = {p.name for p in copied.iterdir()}
    report = reproduce(Workspace(copied), recipe(), seeds=2, truth=identities)
    assert report.already_done
    assert report.counts["trainings"] == 0
    assert {p.name for p in copied.iterdir()} == before


def test_only_what_is_new_is_trained(copied, identities):
    more = reproduce(Workspace(copied), recipe(), seeds=3, rows=["all", "conv5"], truth=identities)
    assert more.counts["trainings"] == 2
    without_truth = reproduce(Workspace(copied), recipe(), seeds=3, rows=["all", "conv5"])
    assert without_truth.counts["trainings"] == 0
    assert "matching.png" not in without_truth.details["files"]
    changed = reproduce(Workspace(copied), recipe(**{"embedding.steps": "13"}), seeds=1, rows=["all"])
    assert changed.counts["trainings"] == 1


def test_a_row_does_not_depend_on_the_others(reproduced, workspace, identities):
    reproduce(Workspace(workspace), recipe(), seeds=1, rows=["conv5+conv4"], truth=identities)
    for name in ("vectors", "history"):
        alone, among = (run_folder(p, "conv5+conv4", 0).read_array(name) for p in (workspace, reproduced[0]))
        np.testing.assert_array_equal(alone, among)
    assert (
        table_of(workspace)["conv5+conv4"]["type_are"]["values"]
        == (table_of(reproduced[0])["conv5+conv4"]["type_are"]["values"][:1])
    )


def test_a_stopped_run_goes_on(reproduced, workspace, identities):
    def stop(what: str, done: int, _total: int) -> None:
        if what == "rows and random seeds":
            stop.rows = done
        if what == "refine" and stop.rows == 3:  # the first seed's fourth row, after its first training
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(Workspace(workspace), recipe(), seeds=2, truth=identities, progress=stop)
    assert any((workspace / "scratch").glob("reproduce-*/training-0.pt")), "the first training is kept"
    seen: list[tuple[str, int]] = []
    report = reproduce(
        Workspace(workspace), recipe(), seeds=2, truth=identities,
        progress=lambda what, done, _total: seen.append((what, done)),
    )  # fmt: skip
    assert report.counts["trainings"] == 13, "one was finished before"
    first = seen[: seen.index(("refine", 1))]
    assert "train" not in {what for what, _ in first}, "a training that was through is not begun again"
    assert table_of(workspace) == table_of(reproduced[0])
    assert not list((workspace / "scratch").iterdir())


@pytest.mark.parametrize(
    ("row", "letters"),
    [("type", "ABE"), ("location", "ABD"), ("type+location", "ABDE"), ("all", "ABCDE"), ("conv5", "ABCDE")],
)
def test_letters_of_a_row(reproduced, row, letters):
    drawn = run_folder(reproduced[0], row, 0).read_table("sequences")
    assert {name for name in "ABCDE" if (drawn[name] != "").all()} == set(letters)
    assert {name for name in "ABCDE" if (drawn[name] == "").all()} == set("ABCDE") - set(letters)


def test_location_alone_never_looks_at_a_pseudo_label(workspace, monkeypatch, reproduced):
    monkeypatch.setattr(labelling, "label_pool", lambda *_: pytest.fail("labelled"))
    monkeypatch.setattr(train, "ensure_initial_labels", lambda *_: pytest.fail("labelled"))
    monkeypatch.setattr("lesiongraph.pipeline.training_run.label_pool", lambda *_: pytest.fail("labelled"))
    reproduce(Workspace(workspace), recipe(), seeds=1, rows=["location"])
    folder = run_folder(workspace, "location", 0)
    assert (folder.read_table("pseudo_labels").type == "").all()
    assert len(folder.read_array("history")) == NUMBERS["steps"] + NUMBERS["refinement_steps"]


@pytest.mark.parametrize(("row", "scales"), [("conv5", (3,)), ("conv5+conv4", (2, 3)), ("all", (0, 1, 2, 3))])
def test_a_head_has_the_maps_of_its_row(reproduced, row, scales):
    folder = run_folder(reproduced[0], row, 0)
    head = TrainedEmbedder.load(folder.path / "embedder.safetensors").head
    assert head.scales == scales
    assert len(head.scale_fcs) == len(scales)


def test_without_refinement_is_the_full_row_before_it(reproduced):
    full, unrefined = (run_folder(reproduced[0], row, 0) for row in ("all", "no-refinement"))
    np.testing.assert_array_equal(
        full.read_array("history")[: NUMBERS["steps"]], unrefined.read_array("history")
    )
    assert unrefined.read_json("about")["refinements"] == 0


def test_the_noise_of_the_labels_is_stated(reproduced):
    noise = Workspace(reproduced[0]).open("table1_demo", "reproduce").read_json("table")["stated"]
    of_rows = noise["noise_of_the_pseudo_labels"]
    assert set(of_rows) == set(TRAINED) - {"location"}
    assert of_rows["all"][0]["pool lesions of known type"] == 32
    assert 0 <= of_rows["all"][0]["after refinement"]["right of those labelled"] <= 1


def test_a_truth_that_is_not_there_is_told_first(workspace, tmp_path):
    with pytest.raises(TableSchemaError, match="CSV with columns tracking_uid, lesion"):
        reproduce(Workspace(workspace), recipe(), seeds=1, truth=tmp_path / "none.csv")


def test_rows_and_numbers_that_cannot_be(workspace):
    with pytest.raises(UsageError, match="no-refinement"):
        reproduce(Workspace(workspace), recipe(), rows=["conv6"])
    for change in ({"cues": "type"}, {"maps": "conv5"}, {"refinements": "0"}):
        with pytest.raises(UsageError, match="--rows"):
            reproduce(Workspace(workspace), recipe(**{f"embedding.{k}": v for k, v in change.items()}))


def test_the_report_shows_the_table(cli, reproduced, tmp_path):
    path = Path(shutil.copytree(reproduced[0], tmp_path / "w"))
    assert cli("report", "-w", path).code == 0
    page = (path / "report" / "report.html").read_text()
    assert "Table 1, preset demo" in page
    assert "All cues, conv5 + conv4" in page
    assert "8.5 ± 0.1" in page  # the paper's own


def test_the_command_line(cli, reproduced, copied, identities, tmp_path):
    asked = (
        "reproduce",
        "-w",
        copied,
        "--seeds",
        2,
        *TRAINING,
        "--truth",
        identities,
        "--out",
        tmp_path / "o",
    )
    ran = cli(*asked, "--json")
    assert ran.code == 0
    report = json.loads(ran.out)
    assert report["already_done"] is True
    assert {Path(path).name for path in report["details"]["files"].values()} >= {"table1.md", "table1.csv"}
    assert all(Path(path).is_file() for path in report["details"]["files"].values())
    assert cli(*asked).out.splitlines()[-1] == str(tmp_path / "o" / "matching.png")


def test_a_trunk_that_learns_starts_afresh_in_each_run(workspace, tmp_path):
    numbers = {"embedding.train_trunk": "true", "embedding.steps": "2", "embedding.refinement_steps": "1"}
    alone = Path(shutil.copytree(workspace, tmp_path / "alone"))
    reproduce(Workspace(workspace), recipe(**numbers), seeds=1, rows=["all", "no-refinement"])
    report = reproduce(Workspace(alone), recipe(**numbers), seeds=1, rows=["no-refinement"])
    np.testing.assert_array_equal(
        *(run_folder(path, "no-refinement", 0).read_array("vectors") for path in (workspace, alone))
    )
    assert "trunk narrow (trained)" in report.details["caption"]
    about = run_folder(alone, "no-refinement", 0).read_json("about")
    assert about["frozen"] == []


def test_train_states_the_noise_of_its_labels(cli, workspace, identities):
    ran = cli("train", "-w", workspace, *FAITHFUL, "--seed", 3, "--truth", identities, "--json")
    assert ran.code == 0
    details = json.loads(ran.out)["details"]
    assert details["noise of the pseudo-labels"]["pool lesions of known type"] == 32
    assert details["pseudo-labels from initial feature"]["without a label"] == 0
    again = cli("train", "-w", workspace, *FAITHFUL, "--seed", 3, "--truth", identities, "--json")
    assert json.loads(again.out)["already_done"] is True
    noise = json.loads(again.out)["details"]["noise of the pseudo-labels"]
    assert noise == details["noise of the pseudo-labels"]
    seen = {"before refinement", "after refinement", "labels changed", "mended", "spoilt"}
    assert seen < set(noise)


def test_abstention_without_seeds_of_two_patients_is_an_error_not_a_silence(cli, workspace):
    ran = cli("train", "-w", workspace, *FAITHFUL, "--set", "abstain=0.9")
    assert ran.code == 1
    assert "seeds of two patients" in ran.err


def test_the_caption_names_every_commit_and_says_where_one_is_unknown(reproduced):
    stated = dict(reproduced[1]["details"]["stated"])
    assert "commit abc, unknown" in caption({**stated, "commit": ["abc", "unknown"]})
    assert "commit" not in caption({**stated, "commit": ["unknown"]})
