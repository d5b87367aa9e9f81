"""The phantom hospital: a seed → a folder of DICOM studies and, beside it, their truth (Sec. 3).

Patients are made independently of one another, each in a folder of its own that appears whole or not at
all; a run that was killed goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesiongraph.errors import UsageError
from lesiongraph.phantom.difficulty import PLAIN, Difficulty, difficulty_named
from lesiongraph.phantom.output_folder import alone, clear_disk_full, run_each, write_settings
from lesiongraph.phantom.patient import PatientTask, make_patient
from lesiongraph.phantom.truth import README, merge_tables

Progress = Callable[[str, int, int], None]

STAGE = "phantom"
LAYOUT_VERSION = 1
SMALLEST_ROWS = 64


@dataclass(frozen=True)
class _Folders:
    out: Path

    @property
    def dicom(self) -> Path:
        return self.out / "dicom"

    @property
    def truth(self) -> Path:
        return self.out / "truth"

    @property
    def settings(self) -> Path:
        return self.out / "truth" / "hospital.json"

    @property
    def unfinished(self) -> Path:
        return self.out / "unfinished.part"


def generate_hospital(
    out: Path,
    patients: int,
    rng_seed: int,
    *,
    rows: int = 256,
    workers: int = 2,
    difficulty: str = PLAIN.name,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write a synthetic hospital: `out/dicom` for mining, `out/truth` for scoring only.

    Parameters
    ----------
    out
        Folder; made if absent. A hospital of the same seed and size in it is completed or enlarged.
    patients
        Number of patients, 1 or more.
    rng_seed
        0 or more; the same seed gives the same bytes.
    rows
        Image matrix (square), px.
    workers
        Processes; 1 works in this process.
    difficulty
        "plain", or "hard": calibrated so that neither place nor raw appearance tells the type easily.
    progress
        Called with the stage's name, patients done and patients in all.

    Returns
    -------
    dict of str to int
        patients, labelled_patients, studies, series, slices, sr, gsps, lesions, marks, labelled_marks,
        unmarked, wrong_on_purpose.

    Raises
    ------
    WorkspaceBusyError
        If another process is writing to `out`.
    UsageError
        If an argument is out of range, or `out` holds another hospital or other files.
    DiskFullError
        If the disk fills up; finished patients stay, the one under way is removed.
    """
    _check(patients, rng_seed, rows, workers)
    level = difficulty_named(difficulty)
    folders = _Folders(Path(out))
    with clear_disk_full(folders.out):
        _claim(folders, patients, _settings(rng_seed, rows, level))
        with alone(folders.out, folders.settings):
            shutil.rmtree(folders.unfinished, ignore_errors=True)
            tasks = [PatientTask(folders.out, index, rng_seed, rows, level) for index in range(patients)]
            try:
                _make_all(tasks, workers, progress)
            finally:
                shutil.rmtree(folders.unfinished, ignore_errors=True)
            truth = merge_tables([task.truth_path for task in tasks], folders.truth / "truth.csv")
            slices = merge_tables([task.slices_path for task in tasks], folders.truth / "series.csv")
    return _counts(truth, slices)


def _make_all(tasks: list[PatientTask], workers: int, progress: Progress | None) -> None:
    report = progress or (lambda _stage, _done, _total: None)
    waiting = [task for task in tasks if not task.is_done]
    done = len(tasks) - len(waiting)
    report(STAGE, done, len(tasks))
    for number, _ in enumerate(run_each(make_patient, waiting, workers), start=1):
        report(STAGE, done + number, len(tasks))


def _check(patients: int, rng_seed: int, rows: int, workers: int) -> None:
    for name, value, lowest in (
        ("patients", patients, 1),
        ("seed", rng_seed, 0),
        ("rows", rows, SMALLEST_ROWS),
        ("workers", workers, 1),
    ):
        if value < lowest:
            raise UsageError(
                f"phantom: expected {name} of at least {lowest}, got {value}. Choose a larger one."
            )


def _settings(rng_seed: int, rows: int, difficulty: Difficulty) -> dict[str, int | str]:
    """Return what makes two hospitals the same one."""
    settings: dict[str, int | str] = {"layout_version": LAYOUT_VERSION, "rng_seed": rng_seed, "rows": rows}
    if difficulty is not PLAIN:
        settings |= {"difficulty": difficulty.name, "difficulty_version": difficulty.version}
    return settings


def _claim(folders: _Folders, patients: int, wanted: dict[str, int | str]) -> None:
    """Make the folder ours, or make sure that it is: never mix two hospitals, never touch other files."""
    if folders.settings.exists():
        found = json.loads(folders.settings.read_text(encoding="utf-8"))
        if found != wanted:
            raise UsageError(
                f"{folders.out}: expected a hospital of {wanted}, found one of {found}. "
                "Choose another folder with --out."
            )
        present = [p.name for p in folders.dicom.glob("PHANTOM-*")] if folders.dicom.exists() else []
        if len(present) > patients:
            raise UsageError(
                f"{folders.out}: holds {len(present)} patients already, more than the {patients} asked for. "
                "Ask for as many or more, or choose another folder with --out."
            )
        return
    if folders.out.exists() and any(folders.out.iterdir()) and not _is_our_empty_start(folders):
        raise UsageError(
            f"{folders.out}: expected an empty folder or a phantom hospital, found other files. "
            "Choose another folder with --out."
        )
    folders.truth.mkdir(parents=True, exist_ok=True)
    (folders.truth / "README.txt").write_text(README, encoding="utf-8")
    write_settings(folders.settings, wanted)


def _is_our_empty_start(folders: _Folders) -> bool:
    """Whether the folder is what a run leaves that was killed before it wrote its settings."""
    allowed = {folders.truth, folders.truth / "README.txt", folders.truth / "hospital.json.part"}
    return all(path in allowed for path in folders.out.rglob("*"))


def _counts(truth: pd.DataFrame, slices: pd.DataFrame) -> dict[str, int]:
    marks = truth[truth["marked"]]
    right = marks[marks["wrong_on_purpose"] == ""]
    reports = marks.drop_duplicates("report_sop_instance_uid")["report_kind"].value_counts()
    labelled = truth[truth["labelled"]]
    return {
        "patients": int(slices["patient_id"].nunique()),
        "labelled_patients": int(labelled["patient_id"].nunique()),
        "studies": int(slices["study_instance_uid"].nunique()),
        "series": int(slices["series_instance_uid"].nunique()),
        "slices": len(slices),
        "sr": int(reports.get("SR", 0)),
        "gsps": int(reports.get("GSPS", 0)),
        "lesions": int(truth.loc[truth["lesion"] != "", "lesion"].nunique()),
        "marks": len(right),
        "labelled_marks": int(right["labelled"].sum()),
        "unmarked": int((~truth["marked"]).sum()),
        "wrong_on_purpose": len(marks) - len(right),
    }
