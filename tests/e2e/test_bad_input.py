"""Bad input: a clear error or a counted rejection, the right exit code, the workspace as it was before."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_hospital import PATIENTS, STUDIES, every_file, tree, write_study

from dicom_files import ct_slice, save  # isort: skip (found by small_hospital)

PATIENT, DATE = PATIENTS[0], STUDIES[0]
MARKS = 4


@pytest.fixture
def study(tmp_path) -> Path:
    """One study of ten slices (ct-0 … ct-9, marks on 2, 3, 7 and 8) that a test may spoil."""
    folder = tmp_path / "study"
    write_study(folder, PATIENT, DATE)
    return folder


@pytest.fixture
def mined(cli, tmp_path, study):
    """Mine the study; return (report, catalogue)."""

    def run() -> tuple[dict, pd.DataFrame]:
        ran = cli("mine", study, "-w", tmp_path / "w", "--json")
        assert ran.code == 0, ran.err
        csv = tmp_path / "catalogue.csv"
        assert cli("catalogue", "-w", tmp_path / "w", "--csv", csv).code == 0
        return json.loads(ran.out), pd.read_csv(csv, keep_default_na=False)

    return run


def alter(path: Path, **changes: object) -> None:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom knows that NaN is no decimal string
        ds = pydicom.dcmread(path)
        for name, value in changes.items():
            setattr(ds, name, value)
        ds.save_as(path)


# --- files of a DICOM folder ------------------------------------------------------------------------


def test_other_files_are_counted(mined, study):
    (study / "notes.txt").write_text("not DICOM")
    (study / "empty").touch()
    report, catalogue = mined()
    assert report["counts"]["not DICOM"] >= 1
    assert report["counts"]["marks kept"] == len(catalogue) == MARKS


@pytest.mark.parametrize("key_slice", [True, False])
def test_a_header_cut_in_the_middle(mined, study, key_slice):
    path = study / ("ct-2" if key_slice else "ct-5")
    path.write_bytes(path.read_bytes()[:300])
    report, catalogue = mined()
    assert len(catalogue) == MARKS
    assert (catalogue.status == "rejected").sum() == key_slice
    assert sum(report["rejected"].values()) == key_slice


@pytest.mark.parametrize("key_slice", [True, False])
def test_pixels_cut_in_the_middle(mined, study, key_slice):
    path = study / ("ct-2" if key_slice else "ct-4")
    path.write_bytes(path.read_bytes()[:-3000])
    report, catalogue = mined()
    assert len(catalogue) == MARKS
    assert report["counts"]["truncated file"] == 1
    assert report["counts"]["marks kept"] == MARKS - key_slice
    rejected = catalogue.reason[catalogue.status == "rejected"]
    assert rejected.str.contains("truncated file").sum() == len(rejected) == key_slice


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_pixels_that_go_bad_after_mining(cli, tmp_path, mined, study, damage):
    mined()
    path = study / "ct-2"
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-3000])
    located = json.loads(cli("locate", "-w", tmp_path / "w", "--workers", 1, "--json").out)
    assert located["counts"]["slices unreadable"] == 1
    assert located["counts"]["lesions located"] == MARKS - 1
    embedded = json.loads(cli("embed", "-w", tmp_path / "w", "--json").out)
    assert embedded["counts"]["patches"] == MARKS - 1
    assert sum(embedded["rejected"].values()) == 1


def test_a_missing_slice(cli, tmp_path, mined, study):
    (study / "ct-4").unlink()
    _, catalogue = mined()
    assert (catalogue.status == "kept").all()
    assert cli("locate", "-w", tmp_path / "w", "--workers", 1).code == 0
    assert cli("embed", "-w", tmp_path / "w").code == 0


def test_a_mark_on_an_image_that_is_not_there(mined, study):
    (study / "ct-2").unlink()
    report, catalogue = mined()
    assert catalogue.status.tolist().count("rejected") == 1
    assert "image" in catalogue.reason[catalogue.status == "rejected"].item()
    assert sum(report["rejected"].values()) == 1


def test_a_series_of_two_orientations(mined, study):
    turned = ct_slice(-500, orientation=(0, 1, 0, 0, 0, -1), stored=np.full((64, 64), 1000, np.uint16),
                      series=f"{PATIENT} {DATE}", PatientID=PATIENT, PixelSpacing=[6, 6])  # fmt: skip
    save(turned, study / "turned")
    report, catalogue = mined()
    assert (catalogue.status == "kept").all()
    assert len(catalogue) == MARKS
    assert report["counts"]["CT images"] + report["counts"].get("not axial", 0) >= 10


@pytest.mark.parametrize("spacing", [[0, 0], [-6, -6], ["NaN", "NaN"], []])
def test_spacing_that_is_no_spacing(mined, study, spacing):
    for path in study.glob("ct-*"):
        alter(path, PixelSpacing=spacing)
    report, catalogue = mined()
    assert (catalogue.status == "rejected").all()
    assert report["counts"]["marks kept"] == 0
    assert "spacing" in catalogue.reason[0]


@pytest.mark.parametrize("modality", ["MR", "PT"])
def test_other_modalities_carry_no_lesions_here(mined, study, modality):
    for path in study.glob("ct-*"):
        alter(path, Modality=modality)
    report, catalogue = mined()
    assert not (catalogue.status == "kept").any()
    assert sum(report["rejected"].values()) == MARKS


# --- sources ----------------------------------------------------------------------------------------


def test_an_empty_folder_and_a_source_that_is_not_there(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "gone", "gone.csv"):
        ran = cli("mine", tmp_path / source, "-w", tmp_path / "w")
        assert ran.code == 1
        assert str(tmp_path / source) in ran.err
        assert not (tmp_path / "w").exists(), "nothing was mined: no workspace is left behind"


def test_a_bad_source_beside_a_good_one_changes_nothing(cli, tmp_path, workspace, study):
    with every_file(workspace):
        assert cli("mine", study, tmp_path / "gone", "-w", workspace).code == 1


def write_csv(folder: Path, rows: list[dict[str, object]], without: str = "") -> Path:
    known = ["image", "mask", "patient", "study_date", "type", "sop_instance_uid", "x0", "y0", "x1", "y1"]
    columns = [name for name in known if name != without]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "images.csv", index=False)
    return folder / "images.csv"


def nifti(path: Path, values: np.ndarray) -> str:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(values, np.diag([-6.0, -6.0, 20.0, 1.0])), path)
    return path.name


def test_a_table_without_a_column(cli, tmp_path):
    ran = cli("mine", write_csv(tmp_path, [], without="patient"), "-w", tmp_path / "w")
    assert ran.code == 1
    assert "patient" in ran.err


def test_a_bad_row_is_one_rejection(cli, tmp_path, study):
    box = {"patient": "P", "study_date": "2020-01-10", "x0": 10, "y0": 10, "x1": 20, "y1": 20}
    rows = [
        {"image": "study", "sop_instance_uid": "1.2.3", **box},  # no such slice
        {"image": "nowhere.nii.gz", "mask": "gone.nii.gz", "patient": "P", "study_date": "2020-01-10"},
        {"image": "study", "patient": "P", "study_date": "2020-01-10"},  # neither mask nor box
    ]
    ran = cli("mine", write_csv(tmp_path, rows), "-w", tmp_path / "w", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert sum(report["rejected"].values()) == 2
    assert report["counts"]["images without marks"] == 1
    assert report["counts"]["marks kept"] == 0


def test_an_image_that_is_a_mask_or_a_pet(cli, tmp_path):
    mask = np.zeros((32, 32, 6), np.int16)
    mask[10:16, 10:16, 2:4] = 1
    pet = np.abs(np.random.default_rng(0).normal(2, 2, mask.shape))
    rows = [
        {"image": nifti(tmp_path / f"{name}.nii.gz", values), "mask": nifti(tmp_path / "m.nii.gz", mask),
         "patient": name, "study_date": "2020-01-10"}
        for name, values in {"mask": mask, "pet": pet}.items()
    ]  # fmt: skip
    ran = cli("mine", write_csv(tmp_path, rows), "-w", tmp_path / "w", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["counts"]["marks kept"] == 0
    assert sum(report["rejected"].values()) == 2
    for name in ("mask", "pet"):
        slices = cli("locate-slices", tmp_path / f"{name}.nii.gz", "--json")
        assert slices.code == 1 or json.loads(slices.out)["counts"]["scored"] == 0
        assert "Traceback" not in slices.err


DL_INFO = (
    "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,Bounding_boxes,"
    "Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,Possibly_noisy,Slice_range,"
    "Spacing_mm_px_,Image_size,DICOM_windows,Patient_gender,Patient_age,Train_Val_Test\n"
)
DL_ROW = (
    '{name},1,1,1,109,"233.537, 95.0204, 234.057, 106.977, 231.169, 101.605, 236.252, 101.143",'
    '"226.169, 90.0204, 241.252, 111.977","11.9677, 5.10387","0.44666, 0.283794, 0.434454",3,0,"103, 115",'
    '"{spacing}","512, 512","-175, 275",F,62,2\n'
)


@pytest.mark.parametrize("spacing", ["NaN, NaN, NaN", "-0.5, -0.5, 5", "0, 0, 5"])
def test_deeplesion_without_usable_spacing(cli, tmp_path, spacing):
    good = DL_ROW.format(name="000001_01_01_109.png", spacing="0.8, 0.8, 5")
    bad = DL_ROW.format(name="000001_01_01_110.png", spacing=spacing).replace(",109,", ",110,")
    (tmp_path / "DL_info.csv").write_text(DL_INFO + good + bad)
    ran = cli("mine", tmp_path, "-w", tmp_path / "w", "--json")
    assert ran.code == 0, ran.err
    cli("catalogue", "-w", tmp_path / "w", "--csv", tmp_path / "c.csv")
    catalogue = pd.read_csv(tmp_path / "c.csv")
    assert len(catalogue) == 2
    told = catalogue.set_index("lesion_id").loc["000001_01_01_110_1"]
    assert told.status == "rejected" or (math.isnan(told.long_mm) and "spacing" in told["flags"])


def test_deeplesion_rows_that_cannot_be_read(cli, tmp_path):
    row = DL_ROW.format(name="000001_01_01_109.png", spacing="0.8, 0.8, 5")
    (tmp_path / "DL_info.csv").write_text(DL_INFO + row + row.replace("233.537", "abc"))
    ran = cli("mine", tmp_path, "-w", tmp_path / "w", "--json")
    assert ran.code in (0, 1)
    assert "Traceback" not in ran.err
    if ran.code == 0:
        assert sum(json.loads(ran.out)["rejected"].values()) == 1
    (tmp_path / "DL_info.csv").write_text("a,b\n1,2\n")
    ran = cli("mine", tmp_path, "-w", tmp_path / "w2")
    assert ran.code == 1
    assert "File_name" in ran.err


# --- names and numbers on the command line ------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "L-nobody"), "L-nobody"),
        (("search", "L-nobody", "--type", "brain"), "soft tissue"),
        (("match", "--patient", "nobody"), "nobody"),
        (("train", "--set", "warp=9"), "warp"),
        (("evaluate", "--subset", "holdout"), "pool, seed, validation, test"),
    ],
)
def test_unknown_names(cli, worked_workspace, arguments, said):
    with every_file(worked_workspace):
        ran = cli(*arguments, "-w", worked_workspace)
    assert ran.code == 2
    assert said in ran.err


def test_a_subset_without_lesions(cli, worked_workspace):
    ran = cli("evaluate", "-w", worked_workspace, "--split", "train")
    assert ran.code == 1
    assert "typed lesions" in ran.err


# --- the workspace -----------------------------------------------------------------------------------

VERBS = (
    ("mine", "SOURCE"),
    ("catalogue",),
    ("locate",),
    ("train",),
    ("embed",),
    ("match",),
    ("info",),
    ("report",),
)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("kind", ["another version", "not a workspace", "a file", "pointer damaged"])
def test_workspaces_that_are_none(cli, small_hospital, tmp_path, verb, kind):
    path = tmp_path / "w"
    if kind == "a file":
        path.write_text("hello")
    else:
        path.mkdir()
        name = "holiday.txt" if kind == "not a workspace" else "workspace.json"
        (path / name).write_text('{"layout": 99, "stages": {}}' if kind == "another version" else "hello")
    with every_file(path):
        ran = cli(*(str(small_hospital) if word == "SOURCE" else word for word in verb), "-w", path)
    assert ran.code == 1
    assert str(path) in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("pattern", "verb"),
    [
        ("catalogue-*/lesions.parquet", "catalogue"),
        ("locations-*/locations.parquet", "catalogue"),
        ("embedding-*/vectors.npy", "match"),
        ("embedding-*/origin.json", "match"),
        ("model-*/about.json", "train"),
        ("patches-*/patches", "embed"),
        ("patches-*/summary.json", "embed"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_result_is_named_and_can_be_made_again(cli, workspace, pattern, verb, damage):
    from stages import STAGES

    path = next(workspace.glob(pattern))
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    options = next((list(options) for name, *options in STAGES if name == verb), [])
    ran = cli(verb, *options, "-w", workspace)
    assert ran.code == 1
    assert str(path) in ran.err
    assert "Traceback" not in ran.err


def test_a_deleted_result_is_made_again(cli, workspace, worked_workspace):
    shutil.rmtree(next(workspace.glob("locations-*")))
    ran = cli("locate", "--workers", 1, "-w", workspace, "--json")
    assert json.loads(ran.out)["already_done"] is False
    was = pd.read_parquet(next(worked_workspace.glob("locations-*/locations.parquet")))
    pd.testing.assert_frame_equal(pd.read_parquet(next(workspace.glob("locations-*/locations.parquet"))), was)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x10" + b"\0" * 40])
def test_damaged_weights(cli, workspace, small_hospital, tmp_path, content):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(content)
    for arguments in (
        ("locate", "-w", workspace, "--weights", weights),
        ("locate", "-w", workspace, "--weights", tmp_path / "gone"),
        ("locate-slices", small_hospital / PATIENT, "--weights", weights),
        ("train", "-w", workspace, "--preset", "fast", "--vgg16", weights),
    ):
        with every_file(workspace):
            ran = cli(*arguments)
        assert ran.code == 1
        assert "Traceback" not in ran.err
        assert str(tmp_path) in ran.err


def test_a_training_that_diverges(cli, workspace):
    with every_file(workspace):
        ran = cli(
            "train",
            "-w",
            workspace,
            "--preset",
            "demo",
            "--set",
            "learning_rate=1e30",
            "--set",
            "t_low=0.5",
            "--set",
            "t_high=0.5",
        )
    assert ran.code == 1
    assert "learning rate" in ran.err
    assert "Traceback" not in ran.err


# --- the disk ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: `small_disk(kilobytes)`; needs the right to mount."""
    mounted: list[Path] = []

    def mount(kilobytes: int, *options: str) -> Path:
        path = tmp_path / f"disk-{len(mounted)}"
        path.mkdir()
        size = ",".join([f"size={kilobytes}k", *options])
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(path)], capture_output=True)
        if done.returncode:
            pytest.skip("no right to mount a small file system here")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def stages_run(small_hospital: Path) -> dict[str, tuple[str, ...]]:
    from stages import STAGES

    return {"mine": ("mine", str(small_hospital))} | {verb: (verb, *options) for verb, *options in STAGES}


NEEDS = {"mine": (), "locate": ("catalogue",), "train": ("catalogue", "locations"),
         "embed": ("catalogue", "locations", "patches", "initial", "model"),
         "match": ("catalogue", "locations", "patches", "initial", "model", "embedding")}  # fmt: skip


def workspace_before(verb: str, worked: Path, path: Path) -> Path:
    """Copy what a stage needs, and no more."""
    path.mkdir()
    stages = json.loads((worked / "workspace.json").read_text())["stages"]
    kept = {name: stages[name] for name in NEEDS[verb]}
    (path / "workspace.json").write_text(json.dumps({"layout": 1, "stages": kept}))
    for entry in kept.values():
        shutil.copytree(worked / entry["folder"], path / entry["folder"])
    return path


@pytest.mark.parametrize("verb", list(NEEDS))
@pytest.mark.parametrize("room_kb", [4, 20, 100])
def test_a_full_disk(cli, small_hospital, worked_workspace, tmp_path, small_disk, verb, room_kb):
    sizes = workspace_before(verb, worked_workspace, tmp_path / "sizes")
    used = sum(4096 * (1 + path.stat().st_size // 4096) for path in sizes.rglob("*")) // 1024
    path = workspace_before(verb, worked_workspace, small_disk(used + 12 + room_kb) / "w")
    filler = path.parent / "filler"
    free = shutil.disk_usage(path).free - room_kb * 1024
    if free > 0:
        filler.write_bytes(b"\0" * free)
    command = stages_run(small_hospital)[verb]
    before = tree(path)
    ran = cli(*command, "-w", path)
    if ran.code == 0:
        assert room_kb > 4  # there was room enough for this stage
        return
    assert ran.code == 1
    assert "no space left" in ran.err
    assert "Traceback" not in ran.err
    assert tree(path) == before
    filler.unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=64m", str(path.parent)], check=True)
    assert cli(*command, "-w", path).code == 0, "with room again, it goes through"


@pytest.mark.parametrize("verb", list(NEEDS))
def test_a_read_only_workspace(cli, small_hospital, worked_workspace, small_disk, verb):
    path = workspace_before(verb, worked_workspace, small_disk(65536) / "w")
    subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
    with every_file(path):
        ran = cli(*stages_run(small_hospital)[verb], "-w", path)
    assert ran.code == 1
    assert str(path) in ran.err
    assert "Traceback" not in ran.err
