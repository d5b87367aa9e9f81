"""A mask volume, NIfTI or DICOM, and a CT series → marks.

Masks and slices are paired by position, each through its own geometry; a mask that states none is paired by
Instance Number, and then only on the same grid. Which voxels are one lesion: where the mask holds several
labels, each label; where it holds one, each 3-D piece (26-connected). Pieces of fewer than
`PIECE_MIN_VOXELS` voxels are specks of the drawing tool: they are told in one rejected row.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.utils import pixel_array
from scipy import ndimage

from lesiongraph.errors import UnreadableImageError
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.dicom_series import ImageSeries
from lesiongraph.mining.dicom_values import lenient_reading
from lesiongraph.mining.limits import check_frame
from lesiongraph.mining.marks import FoundMark, ImageRef, RejectedMark
from lesiongraph.mining.mask import mask_outlines
from lesiongraph.mining.nifti import is_nifti, load_nifti, nifti_series
from lesiongraph.mining.structures import Structure, mark_of

PIECE_MIN_VOXELS = 4  # ours: fewer cannot show two diameters
LABELS_MAX = 64  # ours: more values than this are a picture, not labels
BETWEEN_SHARE = 0.49  # ours: a mask plane within this share of the interval lies on its slice
PAIRED_BY_NUMBER = "mask paired by slice number"
_HALF = 0.5  # a probability map's lesion ends here


@dataclass
class MaskVolume:
    """The planes of a mask from its first to its last that is not empty, head → foot, as labels.

    `labels` is (planes, rows, columns), 0 outside, cut to the columns and rows in use; its first pixel is
    pixel `corner` (x, y) of the plane. `images[i]` says where plane i lies. `digest` names the content.
    """

    name: str
    images: list[ImageRef]
    labels: np.ndarray
    corner: tuple[int, int]
    digest: str


def load_mask(path: Path) -> list[MaskVolume]:
    """Read a mask from a NIfTI file or a folder of DICOM: one volume a series.

    Raises
    ------
    SourceNotFoundError
        If the folder holds no DICOM image.
    UnreadableImageError
        If pixels cannot be decoded, or their values are no labels.
    """
    if is_nifti(path):
        volume = load_nifti(path)
        images = nifti_series(volume).images
        return [_volume(path, images, (volume.plane(image.frame) for image in images))]
    archive = DicomArchive.scan(path, masks=True)
    return [
        _volume(path, series.images, (_stored(image) for image in series.images))
        for series in archive.series.values()
    ]


def _stored(image: ImageRef) -> np.ndarray:
    """Return the stored values of a DICOM mask: its rescale, if any, is not meant."""
    try:
        with lenient_reading():
            dataset = pydicom.dcmread(image.path)
            check_frame(dataset, image.frame)
            return np.asarray(pixel_array(dataset, index=image.frame))
    except Exception as error:  # decoders raise many kinds
        raise UnreadableImageError(image.path, " ".join(str(error).split())[:200]) from error


def _volume(path: Path, images: Sequence[ImageRef], planes: Iterable[np.ndarray]) -> MaskVolume:
    labels = [_as_labels(values, path) for values in planes]
    used = [i for i, plane in enumerate(labels) if plane.any()]
    if not used:
        return MaskVolume(path.name, [], np.zeros((0, 0, 0), np.uint8), (0, 0), "")
    stack = np.stack(labels[used[0] : used[-1] + 1])
    rows, columns = (np.flatnonzero(stack.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    top, left = int(rows[0]), int(columns[0])
    stack = stack[:, top : rows[-1] + 1, left : columns[-1] + 1]
    values = np.unique(stack)
    if len(values) > LABELS_MAX:
        raise UnreadableImageError(path, f"mask of {len(values)} values, expected labels")
    digest = hashlib.sha256(f"{stack.shape} {stack.dtype} {used[0]} {top} {left}".encode() + stack.tobytes())
    return MaskVolume(path.name, list(images[used[0] : used[-1] + 1]), stack, (left, top), digest.hexdigest())


def _as_labels(values: np.ndarray, path: Path) -> np.ndarray:
    """Return whole labels; a map of fractions of one counts as inside from a half on."""
    values = np.nan_to_num(np.asarray(values))
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
        raise UnreadableImageError(path, f"mask with values from {values.min():g} to {values.max():g}")
    whole = np.rint(values)
    if (whole != values).any():
        if values.max() > 1:
            raise UnreadableImageError(path, "mask with fractional values above 1")
        whole = values >= _HALF
    return np.asarray(whole, np.uint8 if whole.max(initial=0) < 256 else np.uint16)


def marks_of_mask(
    mask: MaskVolume, candidates: Sequence[ImageSeries], about: Mapping[str, str], counts: Counter[str]
) -> list[FoundMark | RejectedMark]:
    """Return the marks of one mask on the series, among the candidates, that it fits best.

    Parameters
    ----------
    mask : MaskVolume
    candidates : sequence of ImageSeries
        The series that the mask may have been drawn on.
    about : mapping
        `type` and `finding` of the marks.
    counts : Counter
        `mask plane on absent slice` is counted here.
    """
    if len(mask.images) == 0:
        return [_rejected("mask is empty", mask.name, about)]
    pairings = [_pair(mask.images, series) for series in candidates]
    pairing = max(pairings, key=lambda found: sum(image is not None for image in found.images))
    if not any(pairing.images):
        return [_rejected(IMAGE_NOT_FOUND, mask.name, about)]
    drawn = np.asarray(mask.labels.any(axis=(1, 2)))
    counts["mask plane on absent slice"] += sum(
        bool(here) and image is None for here, image in zip(drawn, pairing.images, strict=True)
    )
    marks: list[FoundMark | RejectedMark] = []
    specks = 0
    for item, stack, inside in _pieces(mask):
        if int(inside.sum()) < PIECE_MIN_VOXELS:
            specks += 1
            continue
        marks.append(_mark(mask, item, stack, inside, pairing, about))
    if specks:
        counts["mask pieces too small"] += specks
        item = f"{mask.name} {specks} pieces below {PIECE_MIN_VOXELS} voxels"
        marks.append(_rejected("too small", item, about))
    return marks


def _rejected(reason: str, item: str, about: Mapping[str, str]) -> RejectedMark:
    return RejectedMark(reason, "mask", item, type=about.get("type", ""), finding=about.get("finding", ""))


@dataclass(frozen=True)
class _Pairing:
    """The slice of each plane of a mask, None where it is absent, and whether positions told."""

    images: list[ImageRef | None]
    by_position: bool


def _pair(planes: Sequence[ImageRef], series: ImageSeries) -> _Pairing:
    if all(np.isfinite(image.origin_mm).all() for image in (*planes, *series.images)):
        paired = _nearest(planes, series)
        if any(paired):
            return _Pairing(paired, by_position=True)
    # Without common positions only the number of the slice is left, and the grids must be one.
    by_number = {image.instance_number: image for image in series.images}
    numbered = [by_number.get(plane.instance_number) for plane in planes]
    same_grid = [
        image if image and (image.rows, image.columns) == (plane.rows, plane.columns) else None
        for image, plane in zip(numbered, planes, strict=True)
    ]
    return _Pairing(same_grid, by_position=False)


def _nearest(planes: Sequence[ImageRef], series: ImageSeries) -> list[ImageRef | None]:
    """Return for each plane the slice nearest to its centre: within half an interval, and with it inside."""
    first = series.images[0]
    normal = np.cross(first.column_step, first.row_step)
    heights = np.array([image.origin_mm for image in series.images]) @ normal  # (n,)
    interval_mm = series.slice_interval_mm if np.isfinite(series.slice_interval_mm) else 1.0
    paired: list[ImageRef | None] = []
    for plane in planes:
        centre = _to_patient(np.array([[(plane.columns - 1) / 2, (plane.rows - 1) / 2]]), plane)
        distances = np.abs(heights - float(centre[0] @ normal))
        image = series.images[int(np.argmin(distances))]
        x, y = image.to_array(centre)[0, :2]
        beneath = -0.5 <= x <= image.columns - 0.5 and -0.5 <= y <= image.rows - 0.5
        # A plane exactly between two slices was drawn on neither, hence not quite half.
        near = float(distances.min()) < BETWEEN_SHARE * interval_mm
        paired.append(image if near and beneath else None)
    return paired


def _pieces(mask: MaskVolume) -> list[tuple[str, slice, np.ndarray]]:
    """Return (name, planes, inside) of each lesion of a mask; `inside` is (planes, rows, columns) bool."""
    labels = [int(label) for label in np.unique(mask.labels) if label]
    if len(labels) > 1:
        found = []
        for label in labels:
            inside = mask.labels == label
            used = np.flatnonzero(inside.any(axis=(1, 2)))
            stack = slice(int(used[0]), int(used[-1]) + 1)
            found.append((f"{mask.name} label {label}", stack, inside[stack]))
        return found
    numbered, count = ndimage.label(mask.labels, structure=np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(numbered)
    found = []
    for piece in range(1, count + 1):
        stack = boxes[piece - 1][0]
        found.append((f"{mask.name} piece {piece}", stack, numbered[stack] == piece))
    return found


def _mark(
    mask: MaskVolume,
    item: str,
    stack: slice,
    inside: np.ndarray,
    pairing: _Pairing,
    about: Mapping[str, str],
) -> FoundMark | RejectedMark:
    """Return the mark of one lesion: its outlines, carried from the mask's grid onto the image's."""
    structure = Structure(item, "mask", item, about=dict(about), why_absent=IMAGE_NOT_FOUND)
    for plane, drawn, image in zip(mask.images[stack], inside, pairing.images[stack], strict=True):
        if not drawn.any():
            continue
        if image is None:
            structure.absent += 1
            continue
        structure.images.append(image)
        for outline in mask_outlines(drawn):
            points = outline + np.array(mask.corner)
            if pairing.by_position:
                points = image.to_array(_to_patient(points, plane))[:, :2]
            structure.contours.append((image, points))
    mark = mark_of(structure)
    if isinstance(mark, FoundMark) and not pairing.by_position:
        mark = dataclasses.replace(mark, flags=(*mark.flags, PAIRED_BY_NUMBER))
    return mark


def _to_patient(points: np.ndarray, plane: ImageRef) -> np.ndarray:  # (N, 2) px → (N, 3) mm
    """Return pixels of a plane in patient coordinates (DICOM PS3.3 C.7.6.2.1.1)."""
    return np.asarray(
        np.array(plane.origin_mm)
        + points[:, :1] * plane.spacing_x_mm * np.array(plane.column_step)
        + points[:, 1:] * plane.spacing_y_mm * np.array(plane.row_step)
    )
