"""A cohort of virtual patients: real CT and a seed → a folder of DICOM studies and, beside it, their truth.

Patients are made independently of one another, each in a folder that appears whole or not at all; a run that
was killed goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesiongraph.errors import NotEnoughDataError, UsageError
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.grafting.backgrounds import (
    BackgroundSeries,
    LeftOutSeries,
    find_backgrounds,
    licence_of_series,
)
from lesiongraph.phantom.grafting.patient import GraftedPatientTask, make_grafted_patient
from lesiongraph.phantom.grafting.plan import PREFIX, CohortOptions, patient_id_of, plan_patient
from lesiongraph.phantom.grafting.prepared import Offer, PreparedBackground, load, prepare
from lesiongraph.phantom.grafting.truth import (
    README,
    BackgroundRow,
    SiteRow,
    merge_text_tables,
    read_grafted_truth,
    write_table,
)
from lesiongraph.phantom.output_folder import alone, clear_disk_full, run_each, write_settings

Progress = Callable[[str, int, int], None]
LAYOUT_VERSION = 1


@dataclass(frozen=True)
class _Folders:
    out: Path

    @property
    def truth(self) -> Path:
        return self.out / "truth"

    @property
    def settings(self) -> Path:
        return self.truth / "cohort.json"

    @property
    def prepared(self) -> Path:
        return self.out / "prepared.part"

    @property
    def unfinished(self) -> Path:
        return self.out / "unfinished.part"


@dataclass(frozen=True)
class _Job:
    """One patient and the background he is made from; small, so that it travels to another process."""

    task: GraftedPatientTask
    background: BackgroundSeries
    prepared: Path


def generate_cohort(
    out: Path,
    patients: int,
    options: CohortOptions,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write a cohort: `out/dicom` for mining, `out/truth` for scoring only.

    Parameters
    ----------
    out
        Folder; made if absent. A cohort of the same seed and backgrounds in it is completed or enlarged.
    patients
        Number of virtual patients, 1 or more.
    options
        Folders of real CT, random seed, what to leave out.
    workers
        Processes; 1 works in this process.
    progress
        Called with a stage's name, how many are done and how many there are.

    Returns
    -------
    dict of str to int
        patients, labelled patients, backgrounds, backgrounds left out, studies, slices, lesions, marks,
        unmarked, wrong on purpose, unplaced, and `backgrounds with TYPE` for each type.

    Raises
    ------
    NotEnoughDataError
        If no series can carry lesions.
    UsageError
        If an argument is out of range, a name to leave out is met nowhere, or `out` holds something else.
    WorkspaceBusyError
        If another process is writing to `out`.
    DiskFullError
        If the disk fills up; finished patients stay.
    """
    if patients < 1 or options.rng_seed < 0 or workers < 1:
        raise UsageError(
            "implant: expected at least 1 patient, 1 worker and a seed of 0 or more, "
            f"got {patients}, {workers} and {options.rng_seed}. Choose larger ones."
        )
    found, left = find_backgrounds(
        options.folders,
        leave_out=options.leave_out,
        open_licence_only=options.open_licence_only,
        smallest_matrix=options.smallest_matrix,
        progress=progress,
    )
    folders = _Folders(Path(out))
    with clear_disk_full(folders.out):
        _claim(folders, patients, options, found)
        with alone(folders.out, folders.settings):
            return _generate(folders, patients, options, (found, left), (workers, progress))


def _generate(
    folders: _Folders,
    patients: int,
    options: CohortOptions,
    series: tuple[list[BackgroundSeries], list[LeftOutSeries]],
    how: tuple[int, Progress | None],
) -> dict[str, int]:
    found, left = series
    report = how[1] or (lambda _stage, _done, _total: None)
    shutil.rmtree(folders.unfinished, ignore_errors=True)
    offers = []
    for number, one in enumerate(found, start=1):
        offers.append(prepare(one, licence_of_series(one).name, folders.prepared))
        report("prepare backgrounds", number, len(found))
    used = [offer for offer in offers if any(offer.voxels.values())]
    if not used:
        raise NotEnoughDataError(
            "Implanting",
            "at least one CT series that shows a trunk",
            f"{len(found) + len(left)} series without one",
            "Give --backgrounds with CT of chest, abdomen or pelvis; backgrounds.csv says what was left out.",
        )
    _write_backgrounds(folders, offers, left)
    by_uid = {one.uid: one for one in found}
    tasks = [
        GraftedPatientTask(folders.out, options.rng_seed, plan_patient(index, options.rng_seed, used))
        for index in range(patients)
    ]
    jobs = [_Job(task, by_uid[task.plan.series_uid], folders.prepared) for task in tasks]
    try:
        _make_all(jobs, how[0], report)
    finally:
        shutil.rmtree(folders.unfinished, ignore_errors=True)
    for what, name in (("truth", "truth"), ("series", "series"), ("unplaced", "unplaced")):
        merge_text_tables([task.part(what) for task in tasks], folders.truth / f"{name}.csv")
    shutil.rmtree(folders.prepared, ignore_errors=True)
    return _counts(folders, used, left, patients)


def _make_all(jobs: Sequence[_Job], workers: int, report: Progress) -> None:
    waiting = sorted(
        (job for job in jobs if not job.task.folder.is_dir()), key=lambda job: job.background.uid
    )
    done = len(jobs) - len(waiting)
    report("implant", done, len(jobs))
    for number, _ in enumerate(run_each(_make, waiting, workers), start=1):
        report("implant", done + number, len(jobs))


_opened: dict[str, PreparedBackground] = {}  # the one last used by this process


def _make(job: _Job) -> None:
    key = f"{job.task.out} {job.background.uid}"
    if key not in _opened:
        _opened.clear()
        _opened[key] = load(job.background, licence_of_series(job.background).name, job.prepared)
    make_grafted_patient(job.task, _opened[key])


def _write_backgrounds(folders: _Folders, offers: Sequence[Offer], left: Sequence[LeftOutSeries]) -> None:
    """Write which background offers what, and which series were left out."""
    sites = []
    for kind in LESION_TYPES:
        offering = {offer.background for offer in offers if offer.voxels[kind]}
        scored = "yes" if len(offering) > 1 else "no: one background only"
        sites += [
            SiteRow(kind, o.background, o.uid, o.licence, o.voxels[kind], len(offering), scored)
            for o in offers
            if o.voxels[kind]
        ]
    rows = [BackgroundRow(o.background, o.uid, o.licence, o.slices, o.reason) for o in offers]
    rows += [BackgroundRow(one.background, one.series_instance_uid, "", 0, one.reason) for one in left]
    write_table(folders.truth / "sites.csv", sites, SiteRow)
    write_table(folders.truth / "backgrounds.csv", rows, BackgroundRow)


def _claim(
    folders: _Folders, patients: int, options: CohortOptions, found: Sequence[BackgroundSeries]
) -> None:
    """Make the folder ours, or make sure that it is: never mix two cohorts, never touch other files."""
    wanted = {
        "layout_version": LAYOUT_VERSION,
        "rng_seed": options.rng_seed,
        "open_licence_only": options.open_licence_only,
        "leave_out": sorted(options.leave_out),
        "series": sorted(one.uid for one in found),
    }
    if folders.settings.exists():
        _check_same(folders, patients, wanted)
        return
    if folders.out.exists() and any(folders.out.iterdir()):
        raise UsageError(
            f"{folders.out}: expected an empty folder or a cohort of grafted lesions, found other files. "
            "Choose another folder with --out."
        )
    folders.truth.mkdir(parents=True, exist_ok=True)
    (folders.truth / "README.txt").write_text(README, encoding="utf-8")
    write_settings(folders.settings, wanted)


def _check_same(folders: _Folders, patients: int, wanted: dict[str, object]) -> None:
    found = json.loads(folders.settings.read_text(encoding="utf-8"))
    if found != wanted:
        differing = ", ".join(key for key in wanted if found.get(key) != wanted[key])
        raise UsageError(
            f"{folders.out}: expected a cohort of the same seed and backgrounds, found another: {differing} "
            "differ. Choose another folder with --out."
        )
    present = [path.name for path in (folders.out / "dicom").glob(f"{PREFIX}-*")]
    if any(name > patient_id_of(patients - 1) for name in present):
        raise UsageError(
            f"{folders.out}: holds {len(present)} patients already, expected at most the {patients} asked "
            "for. Ask for as many or more, or choose another folder with --out."
        )


def _counts(
    folders: _Folders, used: Sequence[Offer], left: Sequence[LeftOutSeries], patients: int
) -> dict[str, int]:
    truth = read_grafted_truth(folders.truth / "truth.csv")
    marks = truth[truth["marked"]]
    counts = {
        "patients": patients,
        "labelled patients": int(truth.loc[truth["labelled"], "patient_id"].nunique()),
        "backgrounds": len({offer.background for offer in used}),
        "series left out": len(left),
        "studies": int(truth["study_instance_uid"].nunique()),
        "slices": _lines(folders.truth / "series.csv"),
        "lesions": int(truth.loc[truth["lesion"] != "", "lesion"].nunique()),
        "marks": int((marks["wrong_on_purpose"] == "").sum()),
        "unmarked": int((~truth["marked"]).sum()),
        "wrong on purpose": int((marks["wrong_on_purpose"] != "").sum()),
        "unplaced": _lines(folders.truth / "unplaced.csv"),
    }
    for kind in LESION_TYPES:
        counts[f"backgrounds with {kind}"] = len({o.background for o in used if o.voxels[kind]})
    return counts


def _lines(table: Path) -> int:
    return len(pd.read_csv(table))
