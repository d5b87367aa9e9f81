"""Names and files of the command line: checks outside the repository call them, so they do not change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_hospital import PATIENTS, every_file, tree, write_hospital, write_study

from lesiongraph.cli.app import VERBS

CATALOGUE = {
    *("lesion_id", "patient_id", "study_instance_uid", "study_date", "source", "image", "status", "reason"),
    *("x0", "y0", "x1", "y1", "long_px", "short_px", "long_mm", "short_mm", "x", "y", "z"),
    *("x_stated", "y_stated", "z_stated", "type", "subset"),
}
TABLE_1 = ["type_are", "location_are", "size_are", "purity", "nmi", "accuracy", "n", "k"]
REPORT_KEYS = {"verb", "counts", "rejected", "seconds", "versions", "rng_seed", "weights", "already_done"}
OPTIONS = {
    "implant": [
        "--backgrounds",
        "--patients",
        "--seed",
        "--out",
        "--leave-out",
        "--open-licence-only",
        "--json",
    ],
    "phantom": ["--patients", "--seed", "--out", "--json"],
    "mine": ["-w", "--roi", "--store", "--json"],
    "catalogue": ["-w", "--csv", "--export", "--store", "--json"],
    "decide": ["accept", "reject", "type", "match", "split", "list", "undo"],
    "store": ["move"],
    "locate": ["-w", "--weights", "--fit", "--design", "--json"],
    "locate-slices": ["--csv", "--window", "--json"],
    "train": ["-w", "--preset", "--set", "--init", "--json"],
    "embed": ["-w", "--json"],
    "search": ["-w", "-k", "--other-patients", "--type", "--csv", "--json"],
    "match": ["-w", "--patient", "--matcher", "--cues", "--truth", "--csv", "--json"],
    "push": ["-w", "--to", "--store", "--dry-run", "--again", "--token", "--user", "--ca", "--json"],
    "evaluate": ["-w", "--feature", "--split", "--subset", "--other-patients", "--json", "-k"],
    "reproduce": ["-w", "--preset", "--seeds", "--rows", "--set", "--truth", "--out", "--json"],
    "report": ["-w", "--json"],
    "info": ["-w", "--json"],
}


def some_lesion(workspace: Path) -> str:
    tables = list(workspace.glob("catalogue-*/lesions.parquet"))
    return str(pd.read_parquet(tables[0]).lesion_id.iloc[0])


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_verb_has_its_options(cli, verb):
    ran = cli(verb, "--help")
    assert ran.code == 0
    missing = [name for name in OPTIONS[verb] if name not in ran.out.replace(",", " ").split()]
    assert not missing


def test_the_verbs_are_those_of_the_contract():
    assert {verb.replace("_", "-") for verb in VERBS} == set(OPTIONS)


def test_catalogue_csv_has_its_columns_and_prints_its_plain_path(cli, worked_workspace, tmp_path):
    out = tmp_path / "a folder with spaces and a long name" / "catalogue.csv"
    ran = cli("catalogue", "-w", worked_workspace, "--csv", out)
    assert (ran.code, ran.out) == (0, f"{out}\n")
    table = pd.read_csv(out)
    assert set(table.columns) >= CATALOGUE
    assert set(table.status) <= {"kept", "rejected"}
    assert set(table.subset) == {"pool", "seed", "validation", "test"}
    assert table.z.between(0, 1).all()


def test_search_ranks(cli, worked_workspace, tmp_path):
    lesion, out = some_lesion(worked_workspace), tmp_path / "hits.csv"
    assert cli("search", lesion, "-w", worked_workspace, "-k", 9, "--csv", out).code == 0
    hits = pd.read_csv(out)
    assert list(hits.columns) == ["rank", "lesion", "patient", "type", "distance"]
    assert hits["rank"].tolist() == list(range(1, 10))
    assert hits.distance.is_monotonic_increasing
    assert lesion not in set(hits.lesion)


def test_search_filters(cli, worked_workspace):
    lesion = some_lesion(worked_workspace)
    asked = ("search", lesion, "-w", worked_workspace, "--json", "--other-patients", "--type", "liver")
    hits = pd.DataFrame(json.loads(cli(*asked).out)["hits"])
    catalogue = pd.read_parquet(next(worked_workspace.glob("catalogue-*/lesions.parquet")))
    own = catalogue.set_index("lesion_id").patient_id[lesion]
    assert set(hits.type) == {"liver"}
    assert own not in set(hits.patient)


def test_match_columns(cli, worked_workspace, tmp_path):
    out = tmp_path / "groups.csv"
    assert cli("match", "-w", worked_workspace, "--csv", out).code == 0
    groups = pd.read_csv(out)
    columns = ["patient", "group", "lesion", "study", "study_date", "distance"]
    assert list(groups.columns) == [*columns, "probability", "state_before", "state_after"]
    one = pd.read_csv(out)[lambda t: t.patient == PATIENTS[6]]
    assert cli("match", "-w", worked_workspace, "--patient", PATIENTS[6], "--csv", out).code == 0
    pd.testing.assert_frame_equal(pd.read_csv(out), one.reset_index(drop=True))


@pytest.mark.parametrize("feature", ["embedding", "initial", "location", "size"])
def test_evaluate_writes_table_1(cli, worked_workspace, tmp_path, feature):
    out = tmp_path / "row.json"
    asked = ("evaluate", "-w", worked_workspace, "--feature", feature, "--split", "test", "--json", out)
    ran = cli(*asked)
    assert (ran.code, ran.out) == (0, f"{out}\n")
    row = json.loads(out.read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert set(TABLE_1) <= set(row)
    assert (row["n"], row["k"]) == (8, 5)
    assert all(row[key] is None or 0 <= row[key] <= 100 for key in TABLE_1[:6])
    assert row["type_are"] is not None


def test_evaluate_takes_a_subset_and_leaves_own_patients_out(cli, worked_workspace):
    asked = ("evaluate", "-w", worked_workspace, "--split", "val", "--json", "-")
    assert json.loads(cli(*asked).out)["n"] == 8
    row = json.loads(cli(*asked, "--subset", "seed", "--other-patients").out)
    assert row["n"] == 4
    assert row["purity"] is None  # four lesions make no eight clusters
    assert row["type_are"] is None  # the seeds are one patient's: nobody else is left to find


def test_locate_slices_rows(cli, small_hospital, tmp_path):
    folder, out = small_hospital / PATIENTS[0], tmp_path / "slices.csv"
    assert cli("locate-slices", folder, "--csv", out, "--window", -175, 275).code == 0
    rows = pd.read_csv(out)
    assert list(rows.columns)[:6] == ["path", "slice", "score", "z", "confidence", "flag"]
    assert list(rows.columns)[6:] == ["z_sd", "region", "landmark"]
    assert len(rows) == 10
    assert all(Path(path).is_file() for path in rows.path)


def test_locate_slices_takes_8_bit_pngs(cli, tmp_path):
    from PIL import Image

    Image.new("L", (64, 64), 90).save(tmp_path / "slice.png")
    ran = cli("locate-slices", tmp_path / "slice.png", "--window", "-1024", "3071", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["counts"]["slices"] == 1
    assert cli("locate-slices", tmp_path / "slice.png", "--window", "100", "-100").code == 2


def test_report_prints_its_path_last(cli, workspace):
    ran = cli("report", "-w", workspace)
    assert ran.code == 0
    page = Path(ran.out.splitlines()[-1])
    assert page.read_text().lstrip().lower().startswith("<!doctype html")
    as_json = json.loads(cli("report", "-w", workspace, "--json").out)
    assert as_json["details"]["path"] == str(page)
    assert cli("embed", "-w", workspace).code == 0
    assert page.exists()  # a later stage does not sweep it away


def test_json_stands_alone_on_standard_output(cli, workspace, tmp_path):
    lesion = some_lesion(workspace)
    for arguments in (
        (
            "phantom",
            "--patients",
            1,
            "--rows",
            64,
            "--workers",
            1,
            "--seed",
            3,
            "--out",
            tmp_path / "phantom",
        ),
        ("catalogue", "-w", workspace, "--csv", tmp_path / "c.csv"),
        ("locate", "-w", workspace),
        ("embed", "-w", workspace),
        ("search", lesion, "-w", workspace, "--csv", tmp_path / "s.csv"),
        ("match", "-w", workspace, "--csv", tmp_path / "m.csv"),
    ):
        ran = cli(*arguments, "--json")
        assert ran.code == 0
        assert set(json.loads(ran.out)) >= REPORT_KEYS, arguments[0]
    assert sorted(p.name for p in tmp_path.glob("*.csv")) == ["c.csv", "m.csv", "s.csv"]


def test_each_stage_run_twice_changes_nothing_and_says_so(cli, workspace, small_hospital):
    from stages import STAGES

    for verb, *options in (("mine", str(small_hospital)), *STAGES):
        with every_file(workspace):
            ran = cli(verb, *options, "-w", workspace, "--json")
        assert ran.code == 0
        assert json.loads(ran.out)["already_done"] is True, verb


def test_a_phantom_hospital_made_twice_is_the_same(cli, tmp_path):
    asked = ("phantom", "--patients", 1, "--rows", 64, "--workers", 1, "--seed", 3, "--json")
    first = json.loads(cli(*asked, "--out", tmp_path).out)
    with every_file(tmp_path):
        again = json.loads(cli(*asked, "--out", tmp_path).out)
    assert (first["already_done"], again["already_done"]) == (False, True)
    assert again["counts"] == first["counts"]


def catalogue_rows(cli, workspace: Path) -> pd.DataFrame:
    out = workspace.with_suffix(".csv")
    assert cli("catalogue", "-w", workspace, "--csv", out).code == 0
    return pd.read_csv(out).sort_values("lesion_id", ignore_index=True)


def test_sources_add_up_in_any_order(cli, small_hospital, tmp_path):
    one, two = (small_hospital / name for name in PATIENTS[:2])
    for name, runs in {
        "together": [(one, two)],
        "turned": [(two, one)],
        "apart": [(one,), (two,)],
        "again": [(two,), (one,), (two,), (one, two)],
    }.items():
        for sources in runs:
            assert cli("mine", *sources, "-w", tmp_path / name).code == 0
    tables = {name: catalogue_rows(cli, tmp_path / name) for name in ("together", "turned", "apart", "again")}
    assert len(tables["together"]) == 8
    assert tables["together"].lesion_id.is_unique
    for name in ("turned", "apart", "again"):
        pd.testing.assert_frame_equal(tables[name], tables["together"])
    keys = {tree(tmp_path / name)["workspace.json"].split(b'"key"')[1] for name in tables}
    assert len(keys) == 1


def test_a_stage_runs_again_when_its_input_has_grown(cli, tmp_path):
    hospital = write_hospital(tmp_path / "dicom", PATIENTS[:1])
    work = tmp_path / "work"
    assert cli("mine", hospital, "-w", work).code == 0
    assert (
        json.loads(cli("locate", "-w", work, "--workers", 1, "--json").out)["counts"]["lesions located"] == 4
    )
    write_study(hospital / "more", PATIENTS[0], "20210101")
    assert cli("mine", hospital, "-w", work).code == 0
    again = json.loads(cli("locate", "-w", work, "--workers", 1, "--json").out)
    assert (again["already_done"], again["counts"]["lesions located"]) == (False, 8)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Usage"),
        (("fly",), 2, "fly"),
        (("mine",), 2, "Missing argument"),
        (("train", "--preset", "best"), 2, "demo"),
        (("train", "--set", "stepz=3"), 2, "stepz"),
        (("train", "--set", "steps"), 2, "key=value"),
        (("train", "--set", "steps=many"), 2, "expected a value like 300"),
        (("train", "--set", "cues=type,smell"), 2, "type,location,size"),
        (("train", "--set", "maps=conv1"), 2, "conv2,conv3,conv4,conv5"),
        (("train", "--set", "labeller=knn"), 2, "svm, balanced"),
        (("train", "--set", "abstain=1.5"), 2, "at most 1"),
        (("reproduce", "--rows", "all,conv6"), 2, "conv5+conv4"),
        (("reproduce", "--set", "cues=type"), 2, "--rows"),
        (("reproduce", "--seeds", "0"), 2, "--seeds"),
        (("reproduce",), 1, "lesiongraph"),
        (("evaluate", "--feature", "smell"), 2, "embedding, initial, location, size"),
        (("evaluate", "--split", "dev"), 2, "train, val, test"),
        (("locate", "--fit", "--weights", "x"), 2, "one of the two"),
        (("locate", "--fit", "--design", "x"), 2, "expected compact or paper"),
        (("locate", "--design", "paper"), 2, "give --fit too"),
        (("locate", "--steps", "5"), 2, "give --fit too"),
        (("search", "L-1", "-k", "0"), 2, "-k"),
        (("push",), 2, "--to"),
        (("push", "--to", "http://localhost/dicom-web"), 2, "dicomweb+http"),
        (("push", "--to", "dicomweb+http://localhost:9/dicom-web"), 1, "lesiongraph mine"),
        (("phantom", "--patients", "3"), 2, "--out"),
        (("catalogue",), 1, "lesiongraph mine"),
        (("match",), 1, "lesiongraph"),
    ],
)
def test_exit_codes_and_messages(cli, monkeypatch, tmp_path, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    ran = cli(*arguments)
    assert ran.code == code
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not list(tmp_path.iterdir())


def test_info_needs_no_workspace(cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    facts = json.loads(cli("info", "--json").out)
    assert facts["workspace"]["path"] == "lesiongraph-workspace"
    assert all(len(sha256) == 64 for sha256 in facts["packaged weights"].values())
    assert not list(tmp_path.iterdir())


def run_apart(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    code = "import sys; from lesiongraph.cli import main; main()"
    return subprocess.run(
        [sys.executable, *(("-X", "importtime") if "PROFILE" in environment else ()), "-c", code]
        + [str(a) for a in arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_narrow_terminal_does_not_break_paths(worked_workspace, tmp_path):
    out = tmp_path / ("a" * 40) / "catalogue.csv"
    ran = run_apart("catalogue", "-w", worked_workspace, "--csv", out, COLUMNS="20", FORCE_COLOR="1")
    assert (ran.returncode, ran.stdout) == (0, f"{out}\n")
    gone = run_apart("mine", tmp_path / "gone", "-w", tmp_path / "w", COLUMNS="20")
    assert gone.returncode == 1
    assert str(tmp_path / "gone") in gone.stderr


def test_light_verbs_do_not_load_torch(worked_workspace):
    helped = run_apart("--help", PROFILE="1")
    assert helped.returncode == 0
    assert helped.stdout.startswith("Usage: lesiongraph")
    loaded = {line.rpartition("|")[2].strip() for line in helped.stderr.splitlines()}
    assert not loaded & {"torch", "pandas", "numpy", "pydicom", "sklearn"}
    listed = run_apart("catalogue", "-w", worked_workspace, PROFILE="1")
    assert listed.returncode == 0
    assert "torch" not in {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
