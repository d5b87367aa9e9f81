"""A NIfTI volume of any orientation → one axial series, its slices head → foot, pixels as HU on demand.

Stored orientation of a NIfTI slice, on which all catalogue coordinates lie: the volume's voxel axes are
sorted to (slice, row, column) by the body axis that each runs along (`nibabel.aff2axcodes`), nothing is
mirrored; x is the voxel index along the right–left axis, y along the front–back axis, `frame` of SLICES
along the head–foot axis. A volume stored sagittally or coronally is thus read as axial slices of its voxels.
`flip_x` / `flip_y` say, as for DICOM, whether x runs to the patient's right, y to the front.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd

from lesiongraph.errors import NotCtError, UnreadableImageError
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.limits import SIDE_MAX_PX, VOXELS_MAX
from lesiongraph.mining.marks import ImageRef

SUFFIXES = (".nii", ".nii.gz")
AIR_HU = -1024
NO_SPACING = "spacing unknown"
_LEAST_SPAN_HU = 100  # ours: noise of one tissue alone spans as much; an MR set to unit variance does not
_AIR_BELOW_HU = -500
_BELOW_HU = -20  # fat lies below; the ringing of resampled MR and PET reaches it in few voxels
_LEAST_SHARE_BELOW = 1e-3
_TO_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])  # NIfTI: x to the right, y to the front; DICOM: left, back
_DIGEST_PART_BYTES = 1 << 20


@dataclass
class NiftiVolume:
    """An opened NIfTI file: nothing of its voxels is read before `plane` is called.

    `axes` are the voxel axes (slice, row, column) of the file; `affine` (4, 4) maps voxels to LPS mm.
    """

    path: Path
    axes: tuple[int, int, int]
    codes: tuple[str, str, str]  # where the voxel axes run: R/L, A/P, S/I
    affine: np.ndarray
    shape: tuple[int, int, int]
    flags: tuple[str, ...]
    _image: Any  # nibabel types only the base class of its images
    lost_axes: tuple[int, ...] = ()  # voxel axes whose spacing the header does not tell
    _cache: np.ndarray | None = None

    def plane(self, frame: int) -> np.ndarray:
        """Return plane `frame` along the slice axis, scaled as the header says, (rows, columns).

        Raises
        ------
        UnreadableImageError
            If the file ends early or cannot be decompressed.
        """
        proxy = self._image.dataobj
        place: list[slice | int] = [slice(None)] * len(self._image.shape)
        place[self.axes[0]] = frame
        try:
            if self.path.suffix.lower() == ".gz" and self._cache is None:
                # gzip has no index: the volume is inflated once, in its own small type, and kept.
                self._cache = np.asarray(proxy.get_unscaled())
            source = proxy if self._cache is None else self._cache
            stored = np.asarray(source[tuple(place)])
        except Exception as error:  # nibabel and zlib raise many kinds on a damaged file
            raise UnreadableImageError(self.path, _cause(error, self.path)) from error
        if self._cache is not None and (proxy.slope, proxy.inter) != (1.0, 0.0):
            stored = stored * proxy.slope + proxy.inter
        stored = stored.reshape(stored.shape[:2])  # drops trailing axes of length 1
        return stored if self.axes[1] < self.axes[2] else stored.T


def is_nifti(path: Path) -> bool:
    """Whether the file name is that of a NIfTI volume."""
    return path.name.lower().endswith(SUFFIXES)


def load_nifti(path: Path, *, spacing_needed: bool = True) -> NiftiVolume:
    """Open a NIfTI file and work out its axes; no voxel is read.

    Parameters
    ----------
    path : Path
    spacing_needed : bool
        False: an affine that is not a number or has a spacing of zero is mended and flagged NO_SPACING; which
        end is the head's is then what NIfTI files usually do, and no length in mm may be taken from it.

    Raises
    ------
    UnreadableImageError
        If the file is absent, damaged, not three-dimensional, or its affine or spacing is impossible.
    """
    try:
        image: Any = nibabel.load(path)
        affine = np.array(image.affine, np.float64)
        unit = image.header.get_xyzt_units()[0]
        coded = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
        kind = image.get_data_dtype()
    except Exception as error:  # nibabel raises many kinds, KeyError among them for Analyze files
        raise UnreadableImageError(path, _cause(error, path)) from error
    if len(image.shape) < 3 or any(length != 1 for length in image.shape[3:]):
        raise UnreadableImageError(path, f"shape {image.shape}, expected three dimensions")
    if max(image.shape) > SIDE_MAX_PX or math.prod(image.shape) > VOXELS_MAX:
        raise UnreadableImageError(path, f"shape {image.shape}, at most {SIDE_MAX_PX} a side are read")
    if kind.fields is not None or kind.kind not in "iuf":
        raise UnreadableImageError(path, f"voxels of type {kind}, expected numbers")
    impossible = not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9
    if impossible and spacing_needed:
        raise UnreadableImageError(path, "affine is not a number or has a spacing of zero")
    lost: tuple[int, ...] = ()
    if impossible:
        affine, lost = _mended(affine)
    codes = nibabel.aff2axcodes(affine)  # type: ignore[no-untyped-call]
    axes = tuple(next(i for i, code in enumerate(codes) if code in ends) for ends in ("SI", "AP", "RL"))
    lps = affine.copy()
    lps[:3] = lps[:3] * _RAS_TO_LPS[:, None] * _TO_MM.get(unit, 1.0)
    return NiftiVolume(
        path=path,
        axes=(axes[0], axes[1], axes[2]),
        codes=codes,
        affine=lps,
        shape=(int(image.shape[0]), int(image.shape[1]), int(image.shape[2])),
        flags=(() if coded else ("orientation not stated",)) + ((NO_SPACING,) if impossible else ()),
        _image=image,
        lost_axes=lost,
    )


def _mended(affine: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return an affine with axes of a length, and which axes have lost theirs.

    A lost third axis is set across the other two; where more is lost, nothing is believed.
    """
    steps = affine[:3, :3]
    sizes = np.linalg.norm(steps, axis=0)  # NaN where an axis is
    known = np.flatnonzero(np.isfinite(sizes) & (sizes > 1e-6))
    mended = np.diag([-1.0, 1.0, 1.0, 1.0])  # as NIfTI files without a code: left, front, head
    if len(known) == 2:
        lost = next(axis for axis in range(3) if axis not in known)
        across = np.cross(steps[:, known[0]] / sizes[known[0]], steps[:, known[1]] / sizes[known[1]])
        if across[np.abs(across).argmax()] < 0:  # towards the right, the front or the head
            across = -across
        mended[:3, :3] = steps
        mended[:3, lost] = across
        if abs(np.linalg.det(mended[:3, :3])) < 1e-9:
            return np.diag([-1.0, 1.0, 1.0, 1.0]), (0, 1, 2)
        return mended, (int(lost),)
    return mended, (0, 1, 2)


def _cause(error: Exception, path: Path) -> str:
    """Return the error's text in one line, without the path: equal causes are counted together."""
    return " ".join(str(error).replace(str(path), path.name).split())[:200] or type(error).__name__


def nifti_uid(volume: NiftiVolume) -> str:
    """Return a series UID that follows the file wherever it lies: from its name, grid and content.

    Of the content the first, middle and last MiB are read: volumes of one grid and name differ there.
    """
    digest = hashlib.sha256(f"{volume.path.name} {volume.shape}".encode())
    digest.update(np.round(volume.affine, 4).tobytes())
    size = volume.path.stat().st_size
    digest.update(str(size).encode())
    with volume.path.open("rb") as stream:
        for start in (0, max(0, size // 2), max(0, size - _DIGEST_PART_BYTES)):
            stream.seek(start)
            digest.update(stream.read(_DIGEST_PART_BYTES))
    return "nifti-" + digest.hexdigest()[:32]


def nifti_series(volume: NiftiVolume, *, patient_id: str = "", study_date: str = "") -> ImageSeries:
    """Return the volume as a series of axial slices sorted head → foot, as DICOM's are."""
    uid = nifti_uid(volume)
    slice_axis, row_axis, column_axis = volume.axes
    steps = volume.affine[:3, :3]  # columns: one voxel along each axis, LPS mm
    sizes_mm = np.linalg.norm(steps, axis=0)
    upwards = volume.codes[slice_axis] == "S"
    normal = steps[:, slice_axis] / sizes_mm[slice_axis] * (1.0 if upwards else -1.0)  # towards the head
    count = volume.shape[slice_axis]
    frames = range(count - 1, -1, -1) if upwards else range(count)
    columns, rows = volume.shape[column_axis], volume.shape[row_axis]
    images = []
    for index, frame in enumerate(frames):
        origin = volume.affine[:3, 3] + frame * steps[:, slice_axis]
        images.append(
            ImageRef(
                sop_instance_uid=f"{uid}.{frame}",
                series_instance_uid=uid,
                slice_index=index,
                path=str(volume.path),
                frame=frame,
                columns=columns,
                rows=rows,
                spacing_x_mm=float(sizes_mm[column_axis]),
                spacing_y_mm=float(sizes_mm[row_axis]),
                position_mm=-float(origin @ normal),
                origin_mm=_triple(origin),
                column_step=_triple(steps[:, column_axis] / sizes_mm[column_axis]),
                row_step=_triple(steps[:, row_axis] / sizes_mm[row_axis]),
                instance_number=frame,
                study_instance_uid="",
                patient_id=patient_id,
                study_date=study_date,
                frame_of_reference_uid=uid,
            )
        )
    interval_mm = float(sizes_mm[slice_axis])
    return ImageSeries(
        series_instance_uid=uid,
        study_instance_uid="",
        patient_id=patient_id,
        study_date=study_date,
        frame_of_reference_uid=uid,
        description=volume.path.name,
        kernel="",
        columns=columns,
        rows=rows,
        spacing_x_mm=float(sizes_mm[column_axis]),
        spacing_y_mm=float(sizes_mm[row_axis]),
        slice_interval_mm=interval_mm if count > 1 else math.nan,
        slice_thickness_mm=math.nan,
        flip_x=volume.codes[column_axis] == "R",
        flip_y=volume.codes[row_axis] == "A",
        images=images,
        flags=volume.flags,
    )


def _triple(vector: np.ndarray) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


class NiftiReader:
    """Reads slices of a NIfTI series as HU."""

    def __init__(self, volume: NiftiVolume, frames: Mapping[int, int], *, checked: bool = False) -> None:
        self._volume = volume
        self._frames = dict(frames)
        self._checked = checked

    def read(self, slice_indices: Sequence[int]) -> np.ndarray:
        """Return (n, rows, columns) int16 HU, stored orientation (see the module).

        Raises
        ------
        UnreadableImageError
            If the file cannot be decoded.
        NotCtError
            If the volume holds no value below 0: a mask, a PET, an MR, or CT that is not in HU.
        """
        if not self._checked:
            check_ct(self._volume)
            self._checked = True
        shape = (self._volume.shape[self._volume.axes[1]], self._volume.shape[self._volume.axes[2]])
        hu = np.empty((len(slice_indices), *shape), np.int16)
        for place, index in enumerate(slice_indices):
            plane = np.nan_to_num(self._volume.plane(self._frames[int(index)]), nan=AIR_HU)
            hu[place] = np.clip(np.rint(plane), -32768, 32767).astype(np.int16)
        return hu


def check_ct(volume: NiftiVolume) -> None:
    """Check on a few planes that the volume can be CT in HU.

    Every CT has values below 0 HU, were it only fat or noise in a narrow crop; masks, PET, MR, windowed
    pictures and CT that lacks its intercept do not. MR and PET that were resampled or normalised have a few,
    or a narrow span.

    Raises
    ------
    NotCtError
        If no voxel looked at is air, and hardly one lies below -20 or all lie within 100; or all are alike.
    UnreadableImageError
        If the file cannot be decoded.
    """
    count = volume.shape[volume.axes[0]]
    planes = [volume.plane(int(i)) for i in np.unique(np.linspace(0, count - 1, min(count, 7)).round())]
    finite = [plane[np.isfinite(plane)] for plane in planes]
    low = min((float(values.min()) for values in finite if values.size), default=math.nan)
    high = max((float(values.max()) for values in finite if values.size), default=math.nan)
    if low < _AIR_BELOW_HU and high > low:  # nothing but CT is stored so low, were it only air
        return
    if not (low < 0 and high - low >= _LEAST_SPAN_HU and high > 1):
        raise NotCtError(volume.path, f"values from {low:g} to {high:g}")
    below = sum(int((values < _BELOW_HU).sum()) for values in finite) / sum(values.size for values in finite)
    if below < _LEAST_SHARE_BELOW:
        raise NotCtError(
            volume.path,
            f"values from {low:g} to {high:g}, {below:.2%} of them below {_BELOW_HU} as fat and air are",
        )


def open_nifti(series: Mapping[str, object], slices: pd.DataFrame) -> NiftiReader:
    """Return the reader of a NIfTI series (a SERIES row and its SLICES rows).

    Raises
    ------
    UnreadableImageError
        If the file is gone or is no NIfTI volume any more.
    """
    path = Path(str(slices["path"].iloc[0]))
    frames = dict(zip(slices["slice_index"].astype(int), slices["frame"].astype(int), strict=True))
    return NiftiReader(load_nifti(path), frames)
