"""DICOM segmentations → marks on the slice with the longest axis, organs as landmarks (PS3.3 C.8.20)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.sr.coding import Code

from lesiongraph.errors import UnreadableImageError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.limits import check_frame
from lesiongraph.mining.marks import FoundMark, ImageRef, Landmark, RejectedMark
from lesiongraph.mining.mask import mask_outlines
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.structures import (
    NOT_A_LESION,
    Structure,
    compile_roi_pattern,
    flag_same_place,
    image_at,
    landmarks_of,
    mark_of,
    names_a_lesion,
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
        structures[number] = structure = _structure(item, number)
        if pattern.search(structure.name) if pattern is not None else _is_lesion(item, structure):
            lesions.add(number)
    counts: Counter[str] = Counter()
    _collect(dataset, archive, structures, lesions, counts)
    marks = flag_same_place([mark_of(structures[number]) for number in structures if number in lesions])
    organs = [structures[number] for number in structures if number not in lesions]
    counts[NOT_A_LESION] += len(organs)
    return marks, [landmark for organ in organs for landmark in landmarks_of(organ)], +counts


def _structure(item: Dataset, number: int) -> Structure:
    label = values.text(item, "SegmentLabel") or values.text(item, "SegmentDescription")
    site = _code(item, "AnatomicRegionSequence")
    kind = _code(item, "SegmentedPropertyTypeCodeSequence")
    about = {
        "type": type_of_site(site) if site else "",
        "finding": kind.meaning if kind else label,
        "finding_site": site.meaning if site else "",
        "tracking_uid": values.text(item, "TrackingUID"),
    }
    return Structure(label, "SEG", f"segment {number} {label}".strip(), about=about)


def _code(item: Dataset, keyword: str) -> Code | None:
    for code in item.get(keyword) or []:
        return Code(
            values.text(code, "CodeValue") or values.text(code, "LongCodeValue"),
            values.text(code, "CodingSchemeDesignator"),
            values.text(code, "CodeMeaning"),
        )
    return None


def _is_lesion(item: Dataset, structure: Structure) -> bool:
    kind = _code(item, "SegmentedPropertyTypeCodeSequence")
    if kind and (any(kind == known for known in _LESION_CODES) or names_a_lesion(kind.meaning)):
        return True
    return names_a_lesion(structure.name)


def _collect(
    dataset: Dataset,
    archive: DicomArchive,
    structures: dict[int, Structure],
    lesions: set[int],
    counts: Counter[str],
) -> None:
    """Put each frame on its slice and draw the outlines of the lesion segments."""
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    frame_uid = values.text(dataset, "FrameOfReferenceUID")
    labelmap = values.text(dataset, "SegmentationType").upper() == "LABELMAP"
    half = 1.0
    if values.text(dataset, "SegmentationType").upper() == "FRACTIONAL":
        half = values.number(dataset, "MaximumFractionalValue") * _HALF
    for index, frame in enumerate(dataset.get("PerFrameFunctionalGroupsSequence") or []):
        number = _segment_number(frame, shared)
        if not labelmap and number not in structures:
            counts["frame of an unknown segment"] += 1
            continue
        plane = _plane(frame, shared)
        image, why_absent = _image_of(frame, shared, plane, archive, frame_uid)
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
                structures[segment].contours += _outlines(inside, plane, image, counts)


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
    for segment in structures:
        yield segment, pixels == segment


def _frame(dataset: Dataset, index: int) -> np.ndarray:
    try:
        check_frame(dataset, index)
        return np.asarray(pixel_array(dataset, index=index))
    except Exception as error:  # decoders raise many kinds
        raise UnreadableImageError(values.text(dataset, "SOPInstanceUID") or "SEG", str(error)) from error


def _outlines(
    inside: np.ndarray, plane: _Plane, image: ImageRef, counts: Counter[str]
) -> list[tuple[ImageRef, np.ndarray]]:
    """Return the outlines in array coordinates of the image, whatever grid the segment lies on."""
    outlines = mask_outlines(inside)
    if plane.origin_mm is not None:
        return [(image, image.to_array(plane.to_patient(points))[:, :2]) for points in outlines]
    if inside.shape == (image.rows, image.columns):  # no geometry stated: only the same grid can be meant
        return [(image, points) for points in outlines]
    counts["segment of another grid without position"] += 1
    return []


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


def _image_of(
    frame: Dataset, shared: Dataset, plane: _Plane, archive: DicomArchive, frame_uid: str
) -> tuple[ImageRef | None, str]:
    """Return the frame's slice, or None and why it is absent; of several source images the nearest."""
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
    here = None if plane.origin_mm is None else plane.origin_mm[None]
    if not references:
        image = None if here is None else image_at(archive, frame_uid, here)
        return image, IMAGE_NOT_FOUND
    images = [image for uid, index in references if (image := archive.image(uid, index)) is not None]
    if not images:
        return None, archive.why_absent(references[0][0])
    if here is None:
        return images[0], ""
    distances = [abs(float(image.to_array(here)[0, 2])) for image in images]
    return images[int(np.argmin(np.nan_to_num(distances, nan=np.inf)))], ""


def _first(sequence: object) -> Dataset:
    items: list[Dataset] = list(sequence) if sequence else []  # type: ignore[call-overload]
    return items[0] if items else Dataset()
