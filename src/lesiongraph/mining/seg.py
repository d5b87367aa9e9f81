"""DICOM segmentations → marks on the slice with the longest axis, organs as landmarks (PS3.3 C.8.20)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.sr.coding import Code

from lesiongraph.errors import UnreadableImageError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.coded import code_of
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.limits import check_frame
from lesiongraph.mining.marks import FoundMark, ImageRef, Landmark, RejectedMark
from lesiongraph.mining.mask import mask_outlines
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.structures import (
    NOT_A_LESION,
    OFF_IMAGE_PLANE,
    Structure,
    compile_roi_pattern,
    flag_same_place,
    image_at,
    is_in_plane,
    landmarks_of,
    mark_of,
    names_a_lesion,
    why_no_slice,
)

# Property types that mean a lesion, beside those whose meaning says so; `Code` maps SRT onto them.
_LESION_CODES = tuple(
    Code(value, "SCT", meaning)
    for value, meaning in (
        ("108369006", "Neoplasm"),
        ("86049000", "Neoplasm, Primary"),
        ("14799000", "Neoplasm, Secondary"),
        ("27925004", "Nodule"),
        ("52988006", "Lesion"),
        ("4147007", "Mass"),
        ("367643001", "Cyst"),
    )
)
OTHER_GRID = "segment of another grid without position"
_HALF = 0.5  # a fractional segment ends where it fills half a pixel


@dataclass(frozen=True)
class _Plane:
    """Where the pixels of one frame lie in the patient; None in `origin_mm` where the object is silent."""

    origin_mm: np.ndarray | None  # (3,) centre of the first pixel
    steps_mm: np.ndarray  # (2, 3) one pixel along x, along y

    def to_patient(self, points_px: np.ndarray) -> np.ndarray:  # (N, 2) → (N, 3)
        return np.asarray(self.origin_mm + points_px @ self.steps_mm)


def read_seg(
    dataset: Dataset, archive: DicomArchive, roi_pattern: str | None = None
) -> tuple[list[FoundMark | RejectedMark], list[Landmark], Counter[str]]:
    """Read a segmentation object: BINARY, FRACTIONAL (half and more counts as inside) or LABELMAP.

    Parameters
    ----------
    dataset : Dataset
        The whole object, with pixels.
    archive : DicomArchive
        Where the images are that were segmented.
    roi_pattern : str, optional
        Regular expression on segment labels that decides alone which segments are lesions.

    Returns
    -------
    marks, landmarks, counts
        As `rtstruct.read_rtstruct` gives them.

    Raises
    ------
    UnreadableImageError
        If the pixels cannot be decoded.
    UsageError
        If `roi_pattern` is no regular expression.
    """
    pattern = compile_roi_pattern(roi_pattern)
    structures: dict[int, Structure] = {}
    lesions: set[int] = set()
    for item in dataset.get("SegmentSequence") or []:
        number = values.whole(item, "SegmentNumber")
        if number == 0:  # a labelmap may describe its background (PS3.3 C.8.20.4)
            continue
        structures[number] = structure = _structure(item, number)
        if pattern.search(structure.name) if pattern is not None else _is_lesion(item, structure):
            lesions.add(number)
    counts: Counter[str] = Counter()
    _collect(dataset, archive, structures, lesions, counts)
    marks = flag_same_place([mark_of(structures[number]) for number in structures if number in lesions])
    organs = [structures[number] for number in structures if number not in lesions]
    counts[NOT_A_LESION] += len(organs)
    return marks, [landmark for organ in organs for landmark in landmarks_of(organ)], +counts


def structure_of_segment(
    dataset: Dataset, archive: DicomArchive, number: int, frames: Sequence[int] = ()
) -> Structure | None:
    """Return one segment with its outlines, whatever it is said to be; None where there is no such segment.

    Parameters
    ----------
    dataset : Dataset
        The segmentation object, with pixels.
    archive : DicomArchive
    number : int
        Segment Number.
    frames : sequence of int
        Frames (from 0) to keep to; empty for all.

    Raises
    ------
    UnreadableImageError
        If the pixels cannot be decoded.
    """
    for item in dataset.get("SegmentSequence") or []:
        if values.whole(item, "SegmentNumber") == number:
            structure = _structure(item, number)
            _collect(dataset, archive, {number: structure}, {number}, Counter(), frames)
            return structure
    return None


def _structure(item: Dataset, number: int) -> Structure:
    label = values.text(item, "SegmentLabel") or values.text(item, "SegmentDescription")
    site = code_of(item, "AnatomicRegionSequence")
    kind = code_of(item, "SegmentedPropertyTypeCodeSequence")
    about = {
        "type": type_of_site(site) if site.value else "",
        "finding": kind.meaning if kind.value else label,
        "finding_site": site.meaning,
        "tracking_uid": values.text(item, "TrackingUID"),
    }
    return Structure(label, "SEG", f"segment {number} {label}".strip(), about=about)


def _is_lesion(item: Dataset, structure: Structure) -> bool:
    kind = code_of(item, "SegmentedPropertyTypeCodeSequence")
    if kind.value and (any(kind == known for known in _LESION_CODES) or names_a_lesion(kind.meaning)):
        return True
    return names_a_lesion(structure.name)


def _collect(
    dataset: Dataset,
    archive: DicomArchive,
    structures: dict[int, Structure],
    lesions: set[int],
    counts: Counter[str],
    only: Sequence[int] = (),
) -> None:
    """Put each frame (of `only` these, if named) on its slice and draw the lesion segments' outlines."""
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    frame_uid = values.text(dataset, "FrameOfReferenceUID")
    labelmap = values.text(dataset, "SegmentationType").upper() == "LABELMAP"
    half = _least_inside(dataset)
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if missing := max(values.whole(dataset, "NumberOfFrames", 1) - len(groups), 0):
        counts["frame of an unknown segment"] += missing
    for index, frame in enumerate(groups):
        if only and index not in only:
            continue
        number = _segment_number(frame, shared)
        if not labelmap and number not in structures:
            counts["frame of an unknown segment"] += 1
            continue
        plane = _plane(frame, shared)
        corners_mm = _corners(plane, dataset)
        image, why_absent = _image_of(frame, shared, corners_mm, archive, frame_uid)
        if not labelmap and image is None:
            _count_absent(structures[number], number in lesions, why_absent, counts)
            continue
        pixels = _frame(dataset, index)
        for segment, inside in _segments(pixels, number, half, structures, labelmap):
            if not inside.any():
                continue
            if image is None:
                _count_absent(structures[segment], segment in lesions, why_absent, counts)
                continue
            structures[segment].images.append(image)
            if segment in lesions:
                _draw(structures[segment], inside, plane, image, counts)


def _least_inside(dataset: Dataset) -> float:
    """Return the least pixel value that counts as inside.

    Occupancy and probability are read alike: half of Maximum Fractional Value (PS3.3 C.8.20.2.3).
    """
    if values.text(dataset, "SegmentationType").upper() != "FRACTIONAL":
        return 1.0
    most = values.number(dataset, "MaximumFractionalValue")
    if not most > 0:
        raise UnreadableImageError(
            values.text(dataset, "SOPInstanceUID") or "SEG", "maximum fractional value not stated"
        )
    return most * _HALF


def _count_absent(structure: Structure, is_lesion: bool, why: str, counts: Counter[str]) -> None:
    counts["contour on absent slice" if is_lesion else "organ contour on absent slice"] += 1
    structure.absent += 1
    structure.why_absent = structure.why_absent or why


def _segments(
    pixels: np.ndarray, number: int, half: float, structures: dict[int, Structure], labelmap: bool
) -> Iterator[tuple[int, np.ndarray]]:
    if not labelmap:
        yield number, pixels >= half
        return
    for segment in sorted(set(np.unique(pixels).tolist()) & structures.keys()):
        yield segment, pixels == segment


def _frame(dataset: Dataset, index: int) -> np.ndarray:
    try:
        check_frame(dataset, index)
        return np.asarray(pixel_array(dataset, index=index))
    except Exception as error:  # decoders raise many kinds
        raise UnreadableImageError(values.text(dataset, "SOPInstanceUID") or "SEG", str(error)) from error


def _draw(
    structure: Structure, inside: np.ndarray, plane: _Plane, image: ImageRef, counts: Counter[str]
) -> None:
    """Add the outlines in array coordinates of the image, whatever grid the segment lies on."""
    outlines = mask_outlines(inside)
    if plane.origin_mm is not None:
        structure.contours += [(image, image.to_array(plane.to_patient(o))[:, :2]) for o in outlines]
    elif inside.shape == (image.rows, image.columns):  # no geometry stated: only the same grid can be meant
        structure.contours += [(image, outline) for outline in outlines]
    else:
        counts[OTHER_GRID] += 1
        structure.why_unusable = OTHER_GRID


def _segment_number(frame: Dataset, shared: Dataset) -> int:
    for groups in (frame, shared):
        item = _first(groups.get("SegmentIdentificationSequence"))
        if "ReferencedSegmentNumber" in item:
            return values.whole(item, "ReferencedSegmentNumber")
    return -1


def _plane(frame: Dataset, shared: Dataset) -> _Plane:
    def item(keyword: str) -> Dataset:
        return _first(frame.get(keyword)) or _first(shared.get(keyword))

    origin = np.array(values.numbers(item("PlanePositionSequence"), "ImagePositionPatient", 3))
    steps = np.array(values.numbers(item("PlaneOrientationSequence"), "ImageOrientationPatient", 6))
    y_mm, x_mm = values.numbers(item("PixelMeasuresSequence"), "PixelSpacing", 2)
    steps_mm = steps.reshape(2, 3) * np.array([[x_mm], [y_mm]])
    known = bool(np.isfinite(origin).all() and np.isfinite(steps_mm).all())
    return _Plane(origin if known else None, steps_mm)


def _corners(plane: _Plane, dataset: Dataset) -> np.ndarray | None:
    """Return the centres of a frame's corner pixels in patient coordinates (4, 3) mm, None where unknown."""
    if plane.origin_mm is None:
        return None
    right, bottom = values.whole(dataset, "Columns", 1) - 1, values.whole(dataset, "Rows", 1) - 1
    return plane.to_patient(np.array([(0, 0), (right, 0), (0, bottom), (right, bottom)]))


def _image_of(
    frame: Dataset, shared: Dataset, corners_mm: np.ndarray | None, archive: DicomArchive, frame_uid: str
) -> tuple[ImageRef | None, str]:
    """Return the frame's slice, or None and why it is absent; of several source images the nearest.

    All corners must lie in the slice's plane: a sagittal segment crosses every axial slice.
    """
    references = [
        (
            values.text(source, "ReferencedSOPInstanceUID"),
            values.whole(source, "ReferencedFrameNumber", 1) - 1,
        )
        for groups in (frame, shared)
        for derivation in groups.get("DerivationImageSequence") or []
        for source in derivation.get("SourceImageSequence") or []
    ]
    references = [reference for reference in references if reference[0]]
    if not references:
        image = None if corners_mm is None else image_at(archive, frame_uid, corners_mm)
        return image, why_no_slice(archive, frame_uid) if corners_mm is not None else "position not stated"
    images = [image for uid, index in references if (image := archive.image(uid, index)) is not None]
    if not images:
        return None, archive.why_absent(references[0][0])
    if corners_mm is None:
        return (images[0], "") if len(images) == 1 else (None, "position not stated")
    distances = [float(np.abs(image.to_array(corners_mm)[:, 2]).max()) for image in images]
    image = images[int(np.argmin(np.nan_to_num(distances, nan=np.inf)))]
    return (image, "") if is_in_plane(archive, image, corners_mm) else (None, OFF_IMAGE_PLANE)


def _first(sequence: object) -> Dataset:
    items: list[Dataset] = list(sequence) if sequence else []  # type: ignore[call-overload]
    return items[0] if items else Dataset()
