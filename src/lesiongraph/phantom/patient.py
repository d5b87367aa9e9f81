"""One patient of the phantom hospital, from plan to files: anatomy, lesions over time, scans, truth."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from lesiongraph.phantom.anatomy import Anatomy, sample_anatomy
from lesiongraph.phantom.belonging import belongs
from lesiongraph.phantom.dicom import (
    PatientRecord,
    SeriesGeometry,
    SeriesStyle,
    StudyRecord,
    outside_circle,
    write_series,
)
from lesiongraph.phantom.difficulty import PLAIN, Difficulty
from lesiongraph.phantom.lesions import PhantomLesion, place_lesion
from lesiongraph.phantom.population import LesionCourse, PatientPlan, Visit, plan_patient
from lesiongraph.phantom.reading import SeriesOnDisk, StudyToRead, read_study
from lesiongraph.phantom.render import RenderedSeries, render
from lesiongraph.phantom.scan import REGIONS, ScanPlan, sample_scan
from lesiongraph.phantom.truth import SliceRow, TruthRow, write_rows

COVERED_FRACTION = 0.8  # a scan will do where it shows this share of the lesions
SHORTEST_SCAN_PROBABILITY = 0.7  # how often the shortest of those that will do is chosen
OTHER_KERNEL = {"smooth": "sharp", "sharp": "smooth"}
MOST_SLICES = 120  # keeps a study modest; a longer scan gets a wider interval …
MOST_THIN_SLICES = 400  # … but for some that were planned thin
THIN_BELOW_MM = 2.0
KEEP_THIN_PROBABILITY = 0.15
WIDEST_INTERVAL_MM = 5.0
TRANSFER_SYNTAXES = {
    str(ExplicitVRLittleEndian): 0.85,
    str(RLELossless): 0.05,
    str(JPEGLSLossless): 0.06,
    str(JPEG2000Lossless): 0.04,
}
STORAGES = {"unsigned": 0.6, "signed": 0.25, "padded": 0.15}
FLIPPED_ROWS_PROBABILITY = 0.15
FOOT_FIRST_PROBABILITY = 0.2
SCRAMBLED_NAMES_PROBABILITY = 0.3

# Streams of random numbers within a patient: adding a draw to one leaves the others as they are.
ANATOMY, PLACEMENT, SHAPE, SCAN, NOISE, STYLE, READING, PROTOCOL, KINSHIP = range(10, 19)


@dataclass(frozen=True)
class PatientTask:
    """One patient to make; small, so that it travels to another process."""

    out: Path
    index: int
    rng_seed: int
    rows: int
    difficulty: Difficulty = PLAIN

    @property
    def patient_id(self) -> str:
        """PHANTOM-0001 for index 0."""
        return f"PHANTOM-{self.index + 1:04d}"

    @property
    def folder(self) -> Path:
        """Where the finished patient lies."""
        return self.out / "dicom" / self.patient_id

    @property
    def truth_path(self) -> Path:
        """The patient's own truth table."""
        return self.out / "truth" / "patients" / f"{self.patient_id}.csv"

    @property
    def slices_path(self) -> Path:
        """The patient's own slice table."""
        return self.out / "truth" / "patients" / f"{self.patient_id}-series.csv"

    @property
    def is_done(self) -> bool:
        """Whether the patient is finished: the folder is moved into place last."""
        return self.folder.is_dir()

    def anatomy(self) -> Anatomy:
        """Return the patient's anatomy, the same in every study."""
        level = self.difficulty
        return sample_anatomy(self.rng(ANATOMY), spread=level.anatomy_spread, node_spread=level.node_spread)

    def rng(self, *stream: int) -> np.random.Generator:
        """Return the generator of one stream of this patient."""
        return np.random.default_rng([self.rng_seed, self.index, *stream])


def make_patient(task: PatientTask) -> None:
    """Write one patient's DICOM and truth; the folder appears in `dicom/` whole, as the last act."""
    part = task.out / "unfinished.part" / task.patient_id
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    plan = plan_patient(task.index, task.rng_seed, task.difficulty)
    anatomy = task.anatomy()
    lesions = _place_lesions(task, plan, anatomy)
    truth: list[TruthRow] = []
    slices: list[SliceRow] = []
    for visit in plan.visits:
        present = _lesions_at(task, plan, lesions, visit)
        study_truth, study_slices = _make_study(task, plan, (anatomy, present), visit, part)
        truth += study_truth
        slices += study_slices
    write_rows(task.truth_path, truth, TruthRow)
    write_rows(task.slices_path, slices, SliceRow)
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    part.replace(task.folder)


def _place_lesions(
    task: PatientTask, plan: PatientPlan, anatomy: Anatomy
) -> list[tuple[LesionCourse, PhantomLesion]]:
    """Put each lesion where it first appears, away from the others where a few tries allow it."""
    placed: list[tuple[LesionCourse, PhantomLesion]] = []
    for course in plan.lesions:
        rng = task.rng(PLACEMENT, course.identity)
        for _ in range(task.difficulty.placement_tries):
            lesion = place_lesion(anatomy, course.type, course.long_axis_mm, course.identity, rng)
            free = not any(_touch(lesion, other) for _, other in placed)
            if free and (not task.difficulty.own_places or belongs(anatomy, lesion)):
                break
        placed.append((course, _like_kin(task, lesion, placed)))
    return placed


def _like_kin(
    task: PatientTask, lesion: PhantomLesion, placed: Sequence[tuple[LesionCourse, PhantomLesion]]
) -> PhantomLesion:
    """Give a lesion, often, the look of the patient's first of its type."""
    kin = next((other for _, other in placed if other.type == lesion.type), None)
    rng = task.rng(KINSHIP, lesion.identity)
    if kin is None or rng.random() >= task.difficulty.kinship:
        return lesion
    return lesion.resembling(kin, rng)


def _touch(one: PhantomLesion, other: PhantomLesion) -> bool:
    distance = np.linalg.norm(np.subtract(one.centre_mm, other.centre_mm))
    return bool(distance < one.reach_mm + other.reach_mm)


def _lesions_at(
    task: PatientTask,
    plan: PatientPlan,
    lesions: Sequence[tuple[LesionCourse, PhantomLesion]],
    visit: Visit,
) -> list[PhantomLesion]:
    present = []
    for course, lesion in lesions:
        factor = course.factor(visit, plan.visits[course.first_study - 1])
        if factor is not None:
            present.append(lesion.scaled(factor, task.rng(SHAPE, course.identity, visit.number)))
    return present


def _make_study(
    task: PatientTask,
    plan: PatientPlan,
    body: tuple[Anatomy, list[PhantomLesion]],
    visit: Visit,
    part: Path,
) -> tuple[list[TruthRow], list[SliceRow]]:
    anatomy, lesions = body
    study = _study_record(task, plan, anatomy, visit)
    folder = part / visit.date.isoformat()
    storage = _draw(STORAGES, task.rng(STYLE, visit.number))
    series = []
    for number, scan in enumerate(_plan_scans(task, body, visit), start=1):
        rendered = render(anatomy, lesions, scan, task.rng(NOISE, visit.number, number))
        style = _draw_style(storage, task.rng(STYLE, visit.number, number))
        geometry = _geometry(rendered, scan)
        written = write_series(folder / f"series-{number}", rendered.hu, geometry, (study, number), style)
        if storage == "padded":
            _hide_outside_circle(rendered)
        series.append(SeriesOnDisk(written, rendered))
    to_read = StudyToRead(
        plan=plan,
        visit=visit,
        study=study,
        anatomy=anatomy,
        lesions=lesions,
        series=series,
        folder=folder,
        place=f"dicom/{task.patient_id}/{folder.name}",
    )
    truth = read_study(to_read, task.rng(READING, visit.number))
    return truth, [row for one in series for row in _slice_rows(task, study, one)]


def _study_record(task: PatientTask, plan: PatientPlan, anatomy: Anatomy, visit: Visit) -> StudyRecord:
    birth_year = plan.visits[0].date.year - anatomy.age
    patient = PatientRecord(
        rng_seed=task.rng_seed,
        patient_id=task.patient_id,
        sex=anatomy.sex,
        birth_date=f"{birth_year:04d}0101",
    )
    return StudyRecord(
        patient=patient,
        number=visit.number,
        date=visit.date.strftime("%Y%m%d"),
        time=visit.time,
        description="CT follow-up" if visit.number > 1 else "CT staging",
        table_zero_mm=float(task.rng(STYLE, visit.number, 0).integers(-900, 900)),
    )


def _plan_scans(task: PatientTask, body: tuple[Anatomy, list[PhantomLesion]], visit: Visit) -> list[ScanPlan]:
    """Plan the study's one or two series; the second repeats the first another way."""
    rng = task.rng(SCAN, visit.number, len(REGIONS))
    first = _modest(_as_usual(task, body[0], _choose_scan(task, body, visit), visit), rng)
    if visit.series == 1:
        return [first]
    other = _sample_scan(task, body[0], rng, first.region)
    # The same patient on the same table: only the reconstruction, the interval and the phase differ.
    second = replace(
        first,
        slice_interval_mm=other.slice_interval_mm,
        contrast_phase=other.contrast_phase,
        noise_hu=other.noise_hu,
        kernel=OTHER_KERNEL[first.kernel],
    )
    return [first, _modest(second, rng)]


def _as_usual(task: PatientTask, anatomy: Anatomy, scan: ScanPlan, visit: Visit) -> ScanPlan:
    """Scan as the patient is usually scanned: a follow-up mostly repeats the protocol before it."""
    if task.rng(PROTOCOL, visit.number).random() >= task.difficulty.usual_protocol_share:
        return scan
    usual = _sample_scan(task, anatomy, task.rng(PROTOCOL), scan.region)
    return replace(
        scan,
        slice_interval_mm=usual.slice_interval_mm,
        contrast_phase=usual.contrast_phase,
        noise_hu=usual.noise_hu,
        kernel=usual.kernel,
        oral_contrast=usual.oral_contrast,
    )


def _sample_scan(task: PatientTask, anatomy: Anatomy, rng: np.random.Generator, region: str) -> ScanPlan:
    return sample_scan(anatomy, rng, rows=task.rows, region=region, difficulty=task.difficulty)


def _choose_scan(task: PatientTask, body: tuple[Anatomy, list[PhantomLesion]], visit: Visit) -> ScanPlan:
    anatomy, lesions = body
    heights = np.array([lesion.centre_mm[2] for lesion in lesions])
    scans = [
        _sample_scan(task, anatomy, task.rng(SCAN, visit.number, k), region)
        for k, region in enumerate(REGIONS)
    ]
    shown = [
        float(np.mean((scan.top_mm < heights) & (heights < scan.bottom_mm))) if len(heights) else 1.0
        for scan in scans
    ]
    enough = [scan for scan, share in zip(scans, shown, strict=True) if share >= COVERED_FRACTION]
    rng = task.rng(SCAN, visit.number)
    if not enough:
        return scans[int(np.argmax(shown))]
    if rng.random() < SHORTEST_SCAN_PROBABILITY:
        return min(enough, key=lambda scan: scan.bottom_mm - scan.top_mm)
    return enough[int(rng.integers(len(enough)))]


def _modest(scan: ScanPlan, rng: np.random.Generator) -> ScanPlan:
    """Widen the interval of a scan that would have too many slices, to a multiple of half a mm."""
    thin = scan.slice_interval_mm <= THIN_BELOW_MM and rng.random() < KEEP_THIN_PROBABILITY
    most = MOST_THIN_SLICES if thin else MOST_SLICES
    smallest_mm = min((scan.bottom_mm - scan.top_mm) / most, WIDEST_INTERVAL_MM)
    if scan.slice_interval_mm >= smallest_mm:
        return scan
    return replace(scan, slice_interval_mm=float(np.ceil(2 * smallest_mm) / 2))


def _geometry(rendered: RenderedSeries, scan: ScanPlan) -> SeriesGeometry:
    return SeriesGeometry(
        positions_mm=np.asarray(rendered.positions_mm, float),
        pixel_mm=scan.pixel_mm,
        first_x_mm=scan.centre_x_mm - (scan.columns - 1) / 2 * scan.pixel_mm,
        first_y_mm=scan.centre_y_mm - (scan.rows - 1) / 2 * scan.pixel_mm,
        thickness_mm=scan.slice_interval_mm,
        kernel=str(scan.kernel),
        contrast_phase=str(scan.contrast_phase),
    )


def _draw_style(storage: str, rng: np.random.Generator) -> SeriesStyle:
    return SeriesStyle(
        flip_rows=bool(rng.random() < FLIPPED_ROWS_PROBABILITY),
        storage=storage,
        transfer_syntax_uid=_draw(TRANSFER_SYNTAXES, rng),
        foot_first=bool(rng.random() < FOOT_FIRST_PROBABILITY),
        scrambled_names=bool(rng.random() < SCRAMBLED_NAMES_PROBABILITY),
    )


def _draw(weights: dict[str, float], rng: np.random.Generator) -> str:
    shares = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def _hide_outside_circle(rendered: RenderedSeries) -> None:
    """Nobody marks what the scanner did not reconstruct."""
    outside = outside_circle(*rendered.hu.shape[1:])
    for identity, ((first, row, column), block) in rendered.lesion_masks.items():
        hidden = outside[row : row + block.shape[1], column : column + block.shape[2]]
        rendered.lesion_masks[identity] = ((first, row, column), block & ~hidden)


def _slice_rows(task: PatientTask, study: StudyRecord, one: SeriesOnDisk) -> list[SliceRow]:
    return [
        SliceRow(
            patient_id=task.patient_id,
            study_instance_uid=study.study_instance_uid,
            series_instance_uid=one.written.series_instance_uid,
            slice_index=index,
            sop_instance_uid=uid,
            z01=float(one.rendered.z01[index]),
        )
        for index, uid in enumerate(one.written.sop_instance_uids)
    ]
