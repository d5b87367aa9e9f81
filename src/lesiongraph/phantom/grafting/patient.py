"""One virtual patient, from plan to files: sites, lesions over time, studies, marks, truth."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.uid import JPEGLSLossless

from lesiongraph.phantom.dicom import (
    PatientRecord,
    SeriesGeometry,
    SeriesStyle,
    StudyRecord,
    write_series,
)
from lesiongraph.phantom.grafting.framing import frame_study
from lesiongraph.phantom.grafting.painting import ScannerLook, paint_slices
from lesiongraph.phantom.grafting.placing import Unplaced, place
from lesiongraph.phantom.grafting.plan import ATTENTION, VirtualPatient
from lesiongraph.phantom.grafting.prepared import PreparedBackground
from lesiongraph.phantom.grafting.truth import GraftedRow, UnplacedRow, grafted_rows, write_table
from lesiongraph.phantom.grafting.warp import ImageGrid, Warp
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.population import LesionCourse, PatientPlan, Visit
from lesiongraph.phantom.reading import SeriesOnDisk, StudyToRead, read_study
from lesiongraph.phantom.render import RenderedSeries
from lesiongraph.phantom.truth import SliceRow

SITES, SHAPE, GRID, PIXELS, STYLE, READING, BODY = range(60, 67)  # streams of random numbers
SIZE_RANGE = (0.94, 1.06)  # of the body, across and along
CONTRAST_PHASE_FROM_HU = 95.0


@dataclass(frozen=True)
class GraftedPatientTask:
    """Where a virtual patient is written."""

    out: Path
    rng_seed: int
    plan: VirtualPatient

    @property
    def folder(self) -> Path:
        """Where the finished patient lies."""
        return self.out / "dicom" / self.plan.patient_id

    def part(self, what: str) -> Path:
        """Return the patient's own table: truth, series or unplaced."""
        return self.out / "truth" / "patients" / f"{self.plan.patient_id}-{what}.csv"

    def rng(self, *stream: int) -> np.random.Generator:
        """Return the generator of one stream of this patient."""
        return np.random.default_rng([self.rng_seed, self.plan.index, *stream])


@dataclass(frozen=True)
class _Body:
    """What all studies of a virtual patient share."""

    background: PreparedBackground
    plan: PatientPlan
    lesions: Sequence[PhantomLesion]
    warp_seed: int
    size: tuple[float, float]  # across, along


def make_grafted_patient(task: GraftedPatientTask, background: PreparedBackground) -> None:
    """Write one virtual patient; his folder appears in `dicom/` whole, as the last act."""
    part = task.out / "unfinished.part" / task.plan.patient_id
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    body, unplaced = _body(task, background)
    truth: list[GraftedRow] = []
    slices: list[SliceRow] = []
    for visit in task.plan.visits:
        rows, places = _make_study(task, body, visit, part)
        truth += rows
        slices += places
    write_table(task.part("truth"), truth, GraftedRow)
    write_table(task.part("series"), slices, SliceRow)
    write_table(task.part("unplaced"), unplaced, UnplacedRow)
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    part.replace(task.folder)


def _body(task: GraftedPatientTask, background: PreparedBackground) -> tuple[_Body, list[UnplacedRow]]:
    lesions: list[PhantomLesion] = []
    courses: list[LesionCourse] = []
    unplaced: list[UnplacedRow] = []
    studies = len(task.plan.visits)
    for number, wanted in enumerate(task.plan.wanted):
        found = place(background, wanted.type, wanted.long_axis_mm, lesions, task.rng(SITES, number))
        if isinstance(found, Unplaced):
            about = (task.plan.patient_id, background.background)
            unplaced.append(UnplacedRow(*about, found.type, found.long_axis_mm, found.reason))
            continue
        lesions.append(found)
        courses.append(
            LesionCourse(
                identity=found.identity,
                type=found.type,
                long_axis_mm=2 * found.radii_mm[0],
                first_study=wanted.first_study,
                last_study=studies,
                growth_per_month=wanted.growth_per_month,
                attention=ATTENTION,
            )
        )
    plan = PatientPlan(
        patient_id=task.plan.patient_id,
        index=task.plan.index,
        labelled=task.plan.labelled,
        visits=task.plan.visits,
        lesions=tuple(courses),
    )
    rng = task.rng(BODY)
    size = (float(rng.uniform(*SIZE_RANGE)), float(rng.uniform(*SIZE_RANGE)))
    return _Body(background, plan, lesions, int(rng.integers(2**31)), size), unplaced


def _make_study(
    task: GraftedPatientTask, body: _Body, visit: Visit, part: Path
) -> tuple[list[GraftedRow], list[SliceRow]]:
    background = body.background
    rng = task.rng(GRID, visit.number)
    present = _present(task, body, visit)
    grid = frame_study(background, body.lesions, rng)
    warp = Warp.build(grid, body.warp_seed, int(rng.integers(2**31)))
    look = ScannerLook(
        blur_mm=float(rng.uniform(0.6, 0.9)),
        sharpness=float(rng.uniform(-0.4, 0.5)),
        added_noise=float(rng.uniform(0.2, 0.7)),
        texture_seed=int(rng.integers(2**31)),
    )
    hu, masks = paint_slices(background, grid, warp, present, look, task.rng(PIXELS, visit.number))
    z01 = np.array([background.levels.z01(float(z)) for z in grid.z_mm])
    rendered = RenderedSeries(hu, grid.z_mm, z01, masks, {})
    study = _study_record(task, visit)
    folder = part / visit.date.isoformat()
    written = write_series(
        folder / "series-1",
        hu,
        _geometry(body, grid),
        (study, 1),
        _style(task.rng(STYLE, visit.number)),
    )
    one = SeriesOnDisk(written, rendered)
    place_ = f"dicom/{task.plan.patient_id}/{folder.name}"
    to_read = StudyToRead(
        body.plan, visit, study, background.levels, present, [one], folder=folder, place=place_
    )
    rows = read_study(to_read, task.rng(READING, visit.number))
    looks = {f"{task.plan.patient_id}-{one.identity:02d}": one.look for one in present}
    about = (background.background, background.uid, background.licence)
    return grafted_rows(rows, about, looks), _slice_rows(task, study, one)


def _present(task: GraftedPatientTask, body: _Body, visit: Visit) -> list[PhantomLesion]:
    present = []
    for course, lesion in zip(body.plan.lesions, body.lesions, strict=True):
        factor = course.factor(visit, body.plan.visits[course.first_study - 1])
        if factor is not None:
            present.append(lesion.scaled(factor, task.rng(SHAPE, lesion.identity, visit.number)))
    return present


def _study_record(task: GraftedPatientTask, visit: Visit) -> StudyRecord:
    rng = task.rng(BODY, 1)
    birth_year = task.plan.visits[0].date.year - int(rng.integers(35, 85))
    patient = PatientRecord(
        rng_seed=task.rng_seed,
        patient_id=task.plan.patient_id,
        sex="M" if rng.random() < 0.5 else "F",
        birth_date=f"{birth_year:04d}0101",
    )
    return StudyRecord(
        patient=patient,
        number=visit.number,
        date=visit.date.strftime("%Y%m%d"),
        time=visit.time,
        description="CT, grafted lesions",
        table_zero_mm=float(task.rng(STYLE, visit.number, 0).integers(-900, 900)),
    )


def _geometry(body: _Body, grid: ImageGrid) -> SeriesGeometry:
    across, along = body.size
    enhanced = body.background.tissue_hu["spleen"] > CONTRAST_PHASE_FROM_HU
    return SeriesGeometry(
        positions_mm=np.asarray(grid.z_mm * along, float),
        pixel_mm=round(grid.pixel_mm * across, 4),
        first_x_mm=float(grid.x_mm[0] - grid.x_mm.mean()) * across,
        first_y_mm=float(grid.y_mm[0] - grid.y_mm.mean()) * across,
        thickness_mm=grid.thickness_mm * along,
        kernel="standard",
        contrast_phase="portal" if enhanced else "none",
    )


def _style(rng: np.random.Generator) -> SeriesStyle:
    return SeriesStyle(
        flip_rows=bool(rng.random() < 0.15),
        storage="unsigned" if rng.random() < 0.7 else "signed",
        transfer_syntax_uid=str(JPEGLSLossless),
        foot_first=bool(rng.random() < 0.2),
        scrambled_names=bool(rng.random() < 0.3),
    )


def _slice_rows(task: GraftedPatientTask, study: StudyRecord, one: SeriesOnDisk) -> list[SliceRow]:
    return [
        SliceRow(
            patient_id=task.plan.patient_id,
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=one.written.series_instance_uid,
            slice_index=index,
            sop_instance_uid=uid,
            z01=float(one.rendered.z01[index]),
        )
        for index, uid in enumerate(one.written.sop_instance_uids)
    ]
