"""RT structure sets → marks on the slice with the longest axis, organs as landmarks.

Source: DICOM PS3.3 C.8.8.5 (structure set), C.8.8.6 (contours), C.8.8.8 (what a structure is meant as).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydicom import Dataset
from skimage.measure import points_in_poly

from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, ImageRef, Landmark, RejectedMark
from lesiongraph.mining.structures import (
    NOT_A_LESION,
    OFF_IMAGE_PLANE,
    Structure,
    compile_roi_pattern,
    image_at,
    is_in_plane,
    landmarks_of,
    mark_of,
    names_a_lesion,
    why_no_slice,
)

# Contours to be combined by XOR are a region and its holes: the region's own contour has the longest axis.
_AREAS = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")
_FAR_MM = 1e5  # ours: no patient reaches 100 m
_SAME_POINT_PX = 1e-2  # ours: contour data are rounded to 1e-3 mm or finer


def read_rtstruct(
    dataset: Dataset, archive: DicomArchive, roi_pattern: str | None = None
) -> tuple[list[FoundMark | RejectedMark], list[Landmark], Counter[str]]:
    """Read an RT structure set.

    Parameters
    ----------
    dataset : Dataset
        The whole object.
    archive : DicomArchive
        Where the images are that the contours refer to.
    roi_pattern : str, optional
        Regular expression on ROI names that decides alone which structures are lesions.

    Returns
    -------
    marks : list
        One entry for each lesion structure, found or rejected.
    landmarks : list of Landmark
        The other structures' extents.
    counts : Counter
        `not a lesion structure`, `contour on absent slice`, …

    Raises
    ------
    UsageError
        If `roi_pattern` is no regular expression.
    """
    pattern = compile_roi_pattern(roi_pattern)
    counts: Counter[str] = Counter()
    interpreted = {
        values.whole(item, "ReferencedROINumber"): values.text(item, "RTROIInterpretedType").upper()
        for item in dataset.get("RTROIObservationsSequence") or []
    }
    contours = {
        values.whole(item, "ReferencedROINumber"): list(item.get("ContourSequence") or [])
        for item in dataset.get("ROIContourSequence") or []
    }
    marks: list[FoundMark | RejectedMark] = []
    landmarks: list[Landmark] = []
    for roi in dataset.get("StructureSetROISequence") or []:
        number, name = values.whole(roi, "ROINumber"), values.text(roi, "ROIName")
        structure = Structure(name, "RTSTRUCT", f"ROI {number} {name}".strip(), about={"finding": name})
        if pattern is not None:
            is_lesion = bool(pattern.search(name))
        else:
            is_lesion = interpreted.get(number) == "GTV" or names_a_lesion(name)
        frame_uid = values.text(roi, "ReferencedFrameOfReferenceUID")
        _collect(structure, contours.get(number, []), archive, frame_uid, counts, is_lesion=is_lesion)
        if is_lesion:
            marks.append(mark_of(structure))
        else:
            counts[NOT_A_LESION] += 1
            landmarks += landmarks_of(structure)
    return marks, landmarks, counts


def _collect(
    structure: Structure,
    contours: list[Dataset],
    archive: DicomArchive,
    frame_uid: str,
    counts: Counter[str],
    *,
    is_lesion: bool,
) -> None:
    """Put the contours on their slices; count those that have none or cannot be used."""
    what = "contour" if is_lesion else "organ contour"
    for contour in contours:
        kind = values.text(contour, "ContourGeometricType").upper()
        if kind not in _AREAS:
            counts[f"{what} encloses no area"] += 1
            structure.why_unusable = f"encloses no area ({kind.lower()[:24]})"
            continue
        references = _references(contour)
        # An organ's points are not needed where a reference tells its slice; parsing them takes seconds.
        points_mm = _points(contour) if is_lesion or not references else np.zeros((1, 3))
        if points_mm is None:
            counts[f"{what} unreadable"] += 1
            structure.why_unusable = "contour unreadable"
            continue
        image, why_absent = _image_of(references, points_mm, archive, frame_uid)
        if image is not None and is_lesion and not is_in_plane(archive, image, points_mm):
            image, why_absent = None, OFF_IMAGE_PLANE
        if image is None:
            counts[f"{what} on absent slice"] += 1
            structure.absent += 1
            structure.why_absent = structure.why_absent or why_absent
            continue
        structure.images.append(image)
        if is_lesion:
            structure.contours.append((image, without_keyhole(image.to_array(points_mm)[:, :2])))


def without_keyhole(points: np.ndarray) -> np.ndarray:
    """Return the outer ring of a contour (N, 2) that runs to its holes and back along one line.

    A structure set has no other way to say hole in one contour (PS3.3 C.8.8.6.3). A contour that meets itself
    but holds no hole is returned as it is.
    """
    if not np.isfinite(points).all():  # the spacing of the image is unknown
        return points
    rings: list[np.ndarray] = []
    path: list[int] = []
    met_at: dict[tuple[int, ...], int] = {}  # where along the path a place is
    places = [tuple(place) for place in np.rint(points / _SAME_POINT_PX).astype(int).tolist()]
    for index, place in enumerate(places):
        met = met_at.get(place)
        if met is None:
            met_at[place] = len(path)
            path.append(index)
            continue
        rings.append(points[path[met:]])
        for left in path[met + 1 :]:
            del met_at[places[left]]
        path = path[: met + 1]
    rings = [ring for ring in [*rings, points[path]] if len(ring) > 2]
    if len(rings) < 2:
        return points
    outer = max(rings, key=_area)
    holes = [ring for ring in rings if ring is not outer]
    return outer if all(points_in_poly(hole, outer).all() for hole in holes) else points  # type: ignore[no-untyped-call]


def _area(ring: np.ndarray) -> float:
    (x, y), (u, v) = ring.T, np.roll(ring, -1, axis=0).T
    return abs(float((x * v - u * y).sum())) / 2


def _points(contour: Dataset) -> np.ndarray | None:
    """Return the contour's points (N, 3) mm in patient coordinates; None where they are no such list."""
    try:
        flat = np.array([float(value) for value in contour.get("ContourData") or []])
    except Exception:  # pydicom raises many kinds for a damaged number
        return None
    if len(flat) == 0 or len(flat) % 3 or not (np.abs(flat) < _FAR_MM).all():
        return None
    return flat.reshape(-1, 3)


def _references(contour: Dataset) -> list[tuple[str, int]]:
    """Return (SOP Instance UID, frame from 0) of the images that the contour names."""
    references = [
        (values.text(item, "ReferencedSOPInstanceUID"), values.whole(item, "ReferencedFrameNumber", 1) - 1)
        for item in contour.get("ContourImageSequence") or []
    ]
    return [reference for reference in references if reference[0]]


def _image_of(
    references: list[tuple[str, int]], points_mm: np.ndarray, archive: DicomArchive, frame_uid: str
) -> tuple[ImageRef | None, str]:
    """Return the contour's slice, or None and why it is absent.

    The reference decides where there is one; only a contour without reference is placed by its position, so
    that a contour never slips onto another series than the one it was drawn on.
    """
    if not references:
        return image_at(archive, frame_uid, points_mm), why_no_slice(archive, frame_uid)
    for uid, frame in references:
        image = archive.image(uid, frame)
        if image is not None:
            return image, ""
    return None, archive.why_absent(references[0][0])
