"""Made-up real CT for the tests of grafting: two phantom bodies, each with one series and no marks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesiongraph.phantom.anatomy import sample_anatomy
from lesiongraph.phantom.dicom import (
    PatientRecord,
    SeriesGeometry,
    SeriesStyle,
    StudyRecord,
    write_series,
)
from lesiongraph.phantom.render import render
from lesiongraph.phantom.scan import ScanPlan

ROWS, PIXEL_MM, INTERVAL_MM = 128, 3.2, 8.0
NAMES = ("0017", "BACK-2")  # a patient id of digits alone must stay text


def write_backgrounds(out: Path) -> Path:
    """Write both bodies from neck to kidneys below `out`."""
    for number, name in enumerate(NAMES):
        anatomy = sample_anatomy(np.random.default_rng([7, number]))
        top, bottom = (float(z) for z in anatomy.patient_z([80, 520]))
        plan = ScanPlan(
            top_mm=top,
            bottom_mm=bottom,
            slice_interval_mm=INTERVAL_MM,
            rows=ROWS,
            columns=ROWS,
            pixel_mm=PIXEL_MM,
            centre_x_mm=0.0,
            centre_y_mm=0.0,
            arms_up=True,
            table=False,
            contrast_phase="portal",
            noise_hu=8.0,
            kernel="smooth",
        )
        rendered = render(anatomy, [], plan, np.random.default_rng(number))
        geometry = SeriesGeometry(rendered.positions_mm, PIXEL_MM, 0.0, 0.0, INTERVAL_MM, "smooth", "portal")
        patient = PatientRecord(1, name, "F", "19500101")
        study = StudyRecord(patient, 1, "20100101", "080000", "CT", 0.0)
        style = SeriesStyle(flip_rows=number == 1)
        write_series(out / name / "images", rendered.hu, geometry, (study, 1), style)
    return out
