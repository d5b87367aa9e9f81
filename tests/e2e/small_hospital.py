"""Eight patients in ten seconds: hand-made CT with marks as SR, enough for every stage to run.

The phantom hospital is the real thing, and takes its time; here only the flow through the stages matters.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "mining"))

from dicom_files import (
    bidirectional,
    code_item,
    ct_slice,
    save,
    sr_document,
    uid,
)

SITE = ("363698007", "SCT", "Finding Site")
SITES = {"lung": ("39607008", "SCT", "Lung"), "liver": ("10200004", "SCT", "Liver")}
SIZE_PX, SLICES, SPACING_MM, INTERVAL_MM = 64, 10, 6.0, 20.0
STUDIES = ("20200110", "20200415")
PATIENTS = tuple(f"SMALL-{n}" for n in range(1, 9))
TYPED = PATIENTS[:4]  # dealt to test, seed, test, validation
# (column, row, slice, half of the long axis in px, type) in each study
LESIONS = ((18, 30, 2, 2, "lung"), (45, 34, 3, 3, "lung"), (22, 28, 7, 2, "liver"), (27, 36, 8, 4, "liver"))


def write_hospital(out: Path, patients: Sequence[str] = PATIENTS) -> Path:
    """Write all patients below `out`."""
    for number, patient in enumerate(patients, start=1):
        for study, date in enumerate(STUDIES if patient not in TYPED else STUDIES[:1]):
            write_study(out / patient / date, patient, date, shift=(number + study) % 3)
    return out


def write_study(folder: Path, patient: str, date: str, shift: int = 0) -> None:
    """Write one study: ten slices and the report on them."""
    rng = np.random.default_rng([int(date), *patient.encode()])
    about = {"PatientID": patient, "StudyInstanceUID": uid(patient, date), "StudyDate": date}
    names = []
    for index in range(SLICES):
        ds = ct_slice(
            -index * INTERVAL_MM,
            number=index + 1,
            stored=_pixels(index, shift, rng),
            series=f"{patient} {date}",
            PixelSpacing=[SPACING_MM, SPACING_MM],
            SliceThickness=INTERVAL_MM,
            **about,
        )
        names.append(str(ds.SOPInstanceUID))
        save(ds, folder / f"ct-{index}")
    groups = [_group(mark, names, shift, typed=patient in TYPED) for mark in LESIONS]
    report = sr_document(groups, name=f"report {patient} {date}")
    for name, value in about.items():
        setattr(report, name, value)
    save(report, folder / "report.sr")


def _pixels(index: int, shift: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    hu = np.full((SIZE_PX, SIZE_PX), -1000.0)
    hu[((x - 32) / 26) ** 2 + ((y - 32) / 18) ** 2 < 1] = 40
    if index < 5:
        for centre in (20, 44):
            hu[((x - centre) / 9) ** 2 + ((y - 32) / 11) ** 2 < 1] = -850
    for column, row, key, half, kind in LESIONS:
        if abs(key - index) <= 1:
            near = (x - column) ** 2 + (y - row - shift) ** 2 <= half**2
            hu[near] = 60 if kind == "lung" else -10
    return np.clip(np.rint(hu + rng.normal(0, 8, hu.shape)) + 1024, 0, 4095).astype(np.uint16)


def _group(mark: tuple[int, int, int, int, str], names: Sequence[str], shift: int, *, typed: bool) -> object:
    column, row, key, half, kind = mark
    x, y = column + 0.5, row + shift + 0.5
    extra = [code_item(SITE, SITES[kind])] if typed else []
    long, short = (x - half, y, x + half, y), (x, y - half + 0.5, x, y + half - 0.5)
    return bidirectional(names[key], long, short, extra)


@contextmanager
def every_file(folder: Path):
    """Check that a folder's files are the same after the block, apart from locks and run reports."""
    before = tree(folder)
    yield
    assert tree(folder) == before


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a workspace, apart from locks, run reports and scratch."""
    if not folder.is_dir():
        return {"": folder.read_bytes()} if folder.exists() else {}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != ".lock"
        and path.relative_to(folder).parts[0] not in ("runs", "scratch")
    }
