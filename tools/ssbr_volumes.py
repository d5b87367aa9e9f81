"""The real volumes as HU, with patient, positions and the landmarks marked on them.

`train_ssbr.py`, figures and benchmarks all read them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lesiongraph.mining import hu_from_8bit, mine_sources, open_series

LANDMARKS = Path(__file__).resolve().parent / "ssbr_landmarks.csv"
# Non-commercial and no-derivatives licences: neither trained on nor shown in documents.
CLOSED = ("LUNG1", "MIDRC", "3Dircadb1")
# The tumour region of Lung_Dx-A0001_s3 again, with another kernel: the same patient counts once.
REPEATED = ("Lung_Dx-A0001_s2",)
KIDNEYS = ("kidney hilum left", "kidney hilum right")
_DATE_OR_SERIES = re.compile(r"(_1960\d{4}|_s\d|_tcia)$")


@dataclass(frozen=True)
class RealVolume:
    """One real series.

    `hu` (n, rows, columns) int16, canonical view, head to foot; `position_mm` (n,), NaN where the interval
    is not recorded; `open_licence`: may be trained on and shown.
    """

    name: str
    hu: NDArray[np.int16]
    spacing_mm: tuple[float, float]  # row, column
    position_mm: NDArray[np.float64]

    @property
    def patient(self) -> str:
        """The volume's patient: several dates or series of one patient share it."""
        return patient_of(self.name)

    @property
    def open_licence(self) -> bool:
        """Whether weights and pictures made from it may be published (with attribution)."""
        return not self.name.startswith(CLOSED)


def patient_of(name: str) -> str:
    """Patient of a volume's or a training volume's name ("folder patient", "stem")."""
    return _DATE_OR_SERIES.sub("", name.split()[0])


def real_volumes(data: Path) -> Iterator[RealVolume]:
    """Read every real CT volume of the data folder, one at a time, DICOM last."""
    yield from nifti_volumes(data)
    yield from sarcoma_volumes(data)
    yield from png_volumes(data)
    folders = sorted(path for path in (data / "dicom").iterdir() if path.is_dir())
    yield from dicom_volumes([path for path in folders if path.name not in REPEATED])


def nifti_volumes(data: Path) -> Iterator[RealVolume]:
    """Read the volumes kept as NIfTI."""
    for path in sorted((data / "volumes").glob("*.nii.gz")):
        yield _nifti(path, path.name.removesuffix(".nii.gz"))


def sarcoma_volumes(data: Path) -> Iterator[RealVolume]:
    """Read the cropped sarcoma volumes."""
    for path in sorted((data / "sts").glob("*/ct.nii.gz")):
        yield _nifti(path, path.parent.name)


def png_volumes(data: Path) -> Iterator[RealVolume]:
    """Read the 8-bit slices that the regressor's authors published; their interval is not recorded."""
    root = data / "ssbr/official_train_slices"
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        pages = sorted(folder.glob("*.png"), key=lambda page: int(page.stem))
        hu = np.stack([hu_from_8bit(np.asarray(Image.open(page).convert("L")), -175, 275) for page in pages])
        yield RealVolume(f"ssbr-{folder.name}", hu, (1.0, 1.0), np.full(len(hu), np.nan))


def dicom_volumes(folders: list[Path]) -> Iterator[RealVolume]:
    """Read every CT series of DICOM folders through `mining`."""
    mined = mine_sources(folders)
    for series in mined.series.to_dict("records"):
        slices = mined.slices[mined.slices.series_instance_uid == series["series_instance_uid"]]
        slices = slices.sort_values("slice_index")
        hu = open_series(series, slices).read(slices.slice_index.tolist())
        hu = hu[:, :: -1 if series["flip_y"] else 1, :: -1 if series["flip_x"] else 1]
        spacing = (float(series["spacing_y_mm"]), float(series["spacing_x_mm"]))
        name = Path(slices.path.iloc[0]).parent.name
        yield RealVolume(name, hu, spacing, slices.position_mm.to_numpy(dtype=float))


def _nifti(path: Path, name: str) -> RealVolume:
    image = nib.as_closest_canonical(nib.load(path))  # axes now grow to the right, front and head
    hu = np.asarray(image.dataobj).astype(np.int16)[::-1, ::-1, ::-1].transpose(2, 1, 0)
    x, y, z = (float(size) for size in image.header.get_zooms()[:3])
    return RealVolume(name, np.ascontiguousarray(hu), (y, x), z * np.arange(len(hu)))


def read_landmarks(path: Path = LANDMARKS) -> dict[str, dict[str, float]]:
    """Read volume name -> landmark -> (fractional) slice index, head to foot.

    A landmark known from two sources (eye and mask) lies at their mean, and so does "kidney hilum" between
    the two sides: they lie within a vertebra of each other.
    """
    if not path.exists():
        return {}
    rows = pd.read_csv(path)
    marks: dict[str, dict[str, float]] = {}
    for (volume, landmark), index in rows.groupby(["volume", "landmark"]).slice_index.mean().items():
        marks.setdefault(str(volume), {})[str(landmark)] = float(index)
    for own in marks.values():
        sides = [own.pop(side) for side in KIDNEYS if side in own]
        if sides:
            own["kidney hilum"] = float(np.mean(sides))
    return marks
