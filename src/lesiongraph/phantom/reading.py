"""One study before the radiologists: which lesions they mark, on which series, what they file (Sec. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from lesiongraph.lesion import Axis, RecistMark
from lesiongraph.phantom.dicom import StudyRecord, WrittenSeries
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.population import LesionCourse, PatientPlan, Visit
from lesiongraph.phantom.radiologist import (
    Section,
    choose_section,
    draw_mark,
    largest_section,
    true_diameters,
)
from lesiongraph.phantom.render import RenderedSeries
from lesiongraph.phantom.reports import DrawnMark, Report, write_gsps, write_sr
from lesiongraph.phantom.truth import TruthRow

BOTH_SERIES_PROBABILITY = 0.35  # of a study with two series, a lesion is marked on both
FIRST_SERIES_PROBABILITY = 0.7  # else on the first
WRONG_PROBABILITY = 0.03  # a wrong mark beside each right one
TICK_PROBABILITY = 0.15  # of GSPS marks
LEGACY_CODES_PROBABILITY = 0.1  # of SR objects: the axes named with SNOMED-RT codes
UNPAIRED_PROBABILITY = 0.3  # of GSPS objects: all lines of an image in one annotation
ARROW_LENGTH_PX = 25.0
AIR_BELOW_HU = -850
CORNER_PX = 12  # a corner of the image this large, all air, lies off the body

ZERO_LENGTH, OFF_BODY, SINGLE_LINE = "zero length", "off the body", "single line"


@dataclass(frozen=True)
class SeriesOnDisk:
    """A series as rendered (canonical view) and as written (stored view)."""

    written: WrittenSeries
    rendered: RenderedSeries

    def stored(self, axis: Axis) -> Axis:
        """Take an axis of the canonical view to the stored image."""
        if not self.written.flip_rows:
            return axis
        last = self.written.rows - 1
        return Axis(axis.x0, last - axis.y0, axis.x1, last - axis.y1)


class Heights(Protocol):
    """Whatever knows the relative z of a body height: the phantom's anatomy, or SSBR on real CT."""

    def z01(self, z_mm: float) -> float:
        """Return z, 0–1 from head to foot."""
        ...


@dataclass(frozen=True)
class StudyToRead:
    """All that is known about one study; `folder` is where it lies now, `place` where it will, from `out`."""

    plan: PatientPlan
    visit: Visit
    study: StudyRecord
    anatomy: Heights
    lesions: Sequence[PhantomLesion]
    series: Sequence[SeriesOnDisk]
    folder: Path
    place: str

    def truth_row(self, one: SeriesOnDisk, slice_index: int) -> TruthRow:
        """Return a row that names the study and the slice, and nothing else yet."""
        known = slice_index >= 0
        return TruthRow(
            patient_id=self.plan.patient_id,
            labelled=self.plan.labelled,
            study_instance_uid=self.study.study_instance_uid,
            study_date=self.visit.date.isoformat(),
            series_instance_uid=one.written.series_instance_uid,
            sop_instance_uid=one.written.sop_instance_uids[slice_index] if known else "",
            slice_index=slice_index,
        )

    def course(self, lesion: PhantomLesion) -> LesionCourse:
        """Return the plan of a lesion."""
        return next(course for course in self.plan.lesions if course.identity == lesion.identity)


Filed = tuple[DrawnMark, TruthRow]


def read_study(study: StudyToRead, rng: np.random.Generator) -> list[TruthRow]:
    """Mark the study's lesions, write one object a reader under `folder`, and return the truth.

    A reader who marks nothing files nothing. Lesions that nobody marked get a row with `marked` False.
    """
    rows: list[TruthRow] = []
    for reader in study.visit.readers:
        marks = [mark for lesion in study.lesions for mark in _mark_lesion(study, lesion, rng)]
        marks += [wrong for mark in marks for wrong in _wrong_marks(study, mark, rng)]
        if not marks:
            continue
        # Shuffled, so that neither the order nor the tracking UID tells which lesion is which.
        order = rng.permutation(len(marks))
        marks = [_tracked(study, marks[k], reader, number) for number, k in enumerate(order, start=1)]
        report = _file(study, reader, [mark for mark, _ in marks], rng)
        rows += [_filed(study, row, report) for _, row in marks]
    seen = {row.lesion for row in rows if not row.wrong_on_purpose}
    rows += [row for lesion in study.lesions if (row := _unmarked(study, lesion)).lesion not in seen]
    return rows


def _mark_lesion(study: StudyToRead, lesion: PhantomLesion, rng: np.random.Generator) -> list[Filed]:
    if rng.random() >= study.course(lesion).attention:
        return []
    chosen = list(study.series)
    if len(chosen) > 1 and rng.random() >= BOTH_SERIES_PROBABILITY:
        chosen = [chosen[0 if rng.random() < FIRST_SERIES_PROBABILITY else 1]]
    marks = []
    for one in chosen:
        mask = one.rendered.lesion_masks.get(lesion.identity)
        section = choose_section(mask, rng) if mask is not None else None
        if section is None:
            continue
        drawn = draw_mark(section, rng)
        if drawn.bounding_box(0).is_inside(one.written.columns, one.written.rows):
            # Else the field of view cuts the lesion: nobody measures it.
            ticks = bool(study.visit.report_kind == "GSPS" and rng.random() < TICK_PROBABILITY)
            marks.append(_right_mark(study, one, (lesion, section), drawn, ticks))
    return marks


def _right_mark(
    study: StudyToRead,
    one: SeriesOnDisk,
    seen: tuple[PhantomLesion, Section],
    drawn: RecistMark,
    ticks: bool,
) -> Filed:
    lesion, section = seen
    long_axis, short_axis = one.stored(drawn.long_axis), one.stored(drawn.short_axis)
    mark = DrawnMark(
        series=one.written,
        slice_index=section.slice_index,
        long_axis=long_axis,
        short_axis=short_axis,
        type=lesion.type if study.plan.labelled else "",
        tracking_uid="",
        ticks=ticks,
    )
    row = _describe(study, one, lesion, section)
    return mark, _with_axes(replace(row, marked=True), long_axis, short_axis)


def _describe(
    study: StudyToRead, one: SeriesOnDisk, lesion: PhantomLesion, section: Section | None
) -> TruthRow:
    """Return the truth about one lesion on one slice (None: it is not in the scan)."""
    row = study.truth_row(one, section.slice_index if section else -1)
    row = replace(
        row,
        lesion=f"{study.plan.patient_id}-{lesion.identity:02d}",
        type=lesion.type,
        organ=lesion.organ,
        z=float(study.anatomy.z01(float(lesion.centre_mm[2]))),
        x_mm=float(lesion.centre_mm[0]),
        y_mm=float(lesion.centre_mm[1]),
        z_mm=float(lesion.centre_mm[2]),
    )
    if section is None:
        return row
    true = true_diameters(section)
    x_px, y_px = section.centre
    return replace(
        row,
        x_px=x_px,
        y_px=one.written.rows - 1 - y_px if one.written.flip_rows else y_px,
        long_mm=true.long_axis.length_px * one.written.pixel_mm,
        short_mm=true.short_axis.length_px * one.written.pixel_mm,
    )


def _unmarked(study: StudyToRead, lesion: PhantomLesion) -> TruthRow:
    for one in study.series:
        mask = one.rendered.lesion_masks.get(lesion.identity)
        section = largest_section(mask) if mask is not None else None
        if section is not None:
            return _describe(study, one, lesion, section)
    return _describe(study, study.series[0], lesion, None)


def _wrong_marks(study: StudyToRead, right: Filed, rng: np.random.Generator) -> list[Filed]:
    """Now and then, a mark that mining has to reject, beside a right one."""
    if rng.random() >= WRONG_PROBABILITY:
        return []
    kinds = [ZERO_LENGTH, OFF_BODY] + [SINGLE_LINE] * (study.visit.report_kind == "GSPS")
    kind = kinds[int(rng.integers(len(kinds)))]
    mark, row = right
    one = next(s for s in study.series if s.written.series_instance_uid == row.series_instance_uid)
    axes = _wrong_axes(kind, mark, one, rng)
    if axes is None:
        return []
    wrong = replace(mark, long_axis=axes[0], short_axis=axes[1], ticks=False)
    fault = replace(row, wrong_on_purpose=kind)
    if kind == OFF_BODY:
        fault = replace(study.truth_row(one, mark.slice_index), marked=True, wrong_on_purpose=kind)
    return [(wrong, _with_axes(fault, *axes))]


def _wrong_axes(
    kind: str, mark: DrawnMark, one: SeriesOnDisk, rng: np.random.Generator
) -> tuple[Axis, Axis | None] | None:
    axis = mark.long_axis
    if kind == ZERO_LENGTH:
        point = Axis(axis.x0, axis.y0, axis.x0, axis.y0)
        return point, point
    if kind == SINGLE_LINE:
        angle = rng.uniform(0, 2 * np.pi)
        away_x, away_y = ARROW_LENGTH_PX * np.cos(angle), ARROW_LENGTH_PX * np.sin(angle)
        last_x, last_y = one.written.columns - 1, one.written.rows - 1
        tail_x = float(np.clip(axis.x0 + away_x, 0, last_x))
        tail_y = float(np.clip(axis.y0 + away_y, 0, last_y))
        return Axis(tail_x, tail_y, axis.x0, axis.y0), None
    return _axes_in_air(one, mark.slice_index)


def _axes_in_air(one: SeriesOnDisk, slice_index: int) -> tuple[Axis, Axis] | None:
    """Two crossing lines in a corner that is all air; None where no corner is."""
    image = one.rendered.hu[slice_index]
    rows, columns = image.shape
    for top in (0, rows - CORNER_PX):
        for left in (0, columns - CORNER_PX):
            if (image[top : top + CORNER_PX, left : left + CORNER_PX] < AIR_BELOW_HU).all():
                x, y, half = left + CORNER_PX / 2, top + CORNER_PX / 2, CORNER_PX / 3
                across = one.stored(Axis(x - half, y, x + half, y))
                return across, one.stored(Axis(x, y - 0.7 * half, x, y + 0.7 * half))
    return None


def _tracked(study: StudyToRead, filed: Filed, reader: int, number: int) -> Filed:
    mark, row = filed
    uid = study.study.uid("mark", reader, number)
    # A GSPS of this hospital carries no tracking UID: the truth is joined by image and coordinates.
    in_object = uid if study.visit.report_kind == "SR" else ""
    return replace(mark, tracking_uid=uid), replace(row, tracking_uid=in_object)


def _file(study: StudyToRead, reader: int, marks: Sequence[DrawnMark], rng: np.random.Generator) -> Report:
    kind = study.visit.report_kind
    path = study.folder / f"{kind.lower()}-{study.visit.readers.index(reader) + 1}.dcm"
    if kind == "SR":
        legacy = bool(rng.random() < LEGACY_CODES_PROBABILITY)
        return write_sr(path, study.study, reader, marks, legacy_codes=legacy)
    unpaired = bool(rng.random() < UNPAIRED_PROBABILITY)
    return write_gsps(path, study.study, reader, marks, one_annotation_an_image=unpaired)


def _filed(study: StudyToRead, row: TruthRow, report: Report) -> TruthRow:
    return replace(
        row,
        report_kind=report.kind,
        report_sop_instance_uid=report.sop_instance_uid,
        report_path=f"{study.place}/{report.path.name}",
    )


def _with_axes(row: TruthRow, long_axis: Axis, short_axis: Axis | None) -> TruthRow:
    row = replace(row, long_x0=long_axis.x0, long_y0=long_axis.y0, long_x1=long_axis.x1, long_y1=long_axis.y1)
    if short_axis is None:
        nan = float("nan")
        return replace(row, short_x0=nan, short_y0=nan, short_x1=nan, short_y1=nan)
    return replace(
        row, short_x0=short_axis.x0, short_y0=short_axis.y0, short_x1=short_axis.x1, short_y1=short_axis.y1
    )
