"""What RTSTRUCT, SEG and masks have in common: which structures are lesions, on which slice they are marked.

One structure (an ROI, a segment) is one lesion; its mark is taken on the slice where its long axis is
longest (paper Sec. 3 for the two diameters; facts §3). A structure that is no lesion becomes a landmark.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from lesiongraph.errors import UsageError
from lesiongraph.lesion import RecistMark, Spacing
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND, DicomArchive
from lesiongraph.mining.marks import FoundMark, ImageRef, Landmark, RejectedMark, place_axes
from lesiongraph.mining.mask import polygon_diameters

NOT_A_LESION = "not a lesion structure"
HALF_ABSENT = "more than half of the contours absent"
SEVERAL_PIECES = "several pieces"  # flag: the structure holds pieces apart, of which the longest is marked
OFF_SLICES = "not in the plane of a slice"
OFF_IMAGE_PLANE = "not in the plane of its image"
UNPLACED = "pixel spacing unknown"  # contours in mm cannot be put on such an image
WITHOUT_CONTOURS = "structure without contours"
PLANE_TOLERANCE_MM = 0.5  # ours: a contour without reference belongs to the slice this near to its plane
BORDER_TOLERANCE_PX = 0.01  # ours: geometry headers are rounded to about 1e-4 px
SAME_PLANE = 0.5  # ours: what refers to an image lies within this share of the slice interval of its plane
SAME_PLANE_MM = 1.0  # ours: the same where the interval is unknown, or smaller
PIECE_MIN_PX = 2.0  # ours: smaller pieces are specks of the drawing tool
PIECE_GAP = 2  # ours: pieces within this many slices are one; some draw on every other slice
_EDGE_PX = 1e-6  # keeps the ends of an axis along the border on the image when they are worked out
_LESION_WORDS = re.compile(
    r"(?<![a-z])[ip]?gtv|tumou?r|nodul|lesion|(?<![a-z])mass(es)?(?![a-z])|metasta|(?<![a-z])mets?(?![a-z])|neoplas",
    re.IGNORECASE,
)
# Planning systems name what is left of an organ after its lesion: "Lung-GTV", "liver minus tumour".
_LEFTOVER_WORDS = re.compile(
    r"(?<![a-z])(minus|without|w/?o|excl[a-z]*|sub(tract[a-z]*)?|no|non|not)(?![a-z])"
    r"|(?<![a-z])(lungs?|liver|brain|body|external|kidneys?)\s*[-–]\s*[ip]?gtv",
    re.IGNORECASE,
)


def compile_roi_pattern(roi_pattern: str | None) -> re.Pattern[str] | None:
    """Return the user's `--roi` expression, compiled; None where none was given.

    Raises
    ------
    UsageError
        If it is no regular expression.
    """
    if roi_pattern is None:
        return None
    try:
        return re.compile(roi_pattern, re.IGNORECASE)
    except re.error as error:
        raise UsageError(
            f"--roi {roi_pattern!r}: expected a regular expression, found {error}. Correct the pattern."
        ) from error


def names_a_lesion(name: str) -> bool:
    """Whether a structure's name says that it is meant as a lesion.

    GTV, tumour, nodule, lesion, mass, metastasis, neoplasm, in any case, alone or in a compound
    ("livertumor1", "LungMass_2"); not "massage", and not what is left of an organ ("Lung-GTV").
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_.]+", " ", name)
    return bool(_LESION_WORDS.search(words)) and not _LEFTOVER_WORDS.search(words)


@dataclass
class Structure:
    """One ROI or segment on its way to a mark: its contours on slices present, and how many are absent.

    `contours` holds (slice, outline in array coordinates (N, 2) px); it may stay empty for a landmark.
    """

    name: str
    source: str
    source_item: str
    images: list[ImageRef] = field(default_factory=list)
    contours: list[tuple[ImageRef, np.ndarray]] = field(default_factory=list)
    absent: int = 0
    why_absent: str = ""
    why_unusable: str = ""  # of contours that cannot give diameters on any slice
    about: dict[str, str] = field(default_factory=dict)  # type, finding, finding_site, tracking_uid

    @property
    def total(self) -> int:
        """All its contours, on slices present or absent."""
        return len(self.images) + self.absent


def mark_of(structure: Structure) -> FoundMark | RejectedMark:
    """Return the mark of a lesion: the diameters on the slice with the longest axis."""
    best = _longest(structure.contours)
    if best is None:
        why = structure.why_absent if structure.absent else structure.why_unusable
        reason = why or (UNPLACED if structure.contours else WITHOUT_CONTOURS)
        return RejectedMark(
            reason,
            structure.source,
            structure.source_item,
            type=structure.about.get("type", ""),
            finding=structure.about.get("finding", ""),
            finding_site=structure.about.get("finding_site", ""),
            tracking_uid=structure.about.get("tracking_uid", ""),
        )
    image, mark = best
    placed = place_axes(
        mark.long_axis,
        mark.short_axis,
        image,
        source=structure.source,
        source_item=structure.source_item,
        **structure.about,
    )
    if not isinstance(placed, FoundMark):
        return placed
    told = [HALF_ABSENT] if structure.absent * 2 > structure.total else []
    told += [SEVERAL_PIECES] if _pieces(structure.contours) > 1 else []
    return dataclasses.replace(placed, flags=(*placed.flags, *told))


def _pieces(contours: Sequence[tuple[ImageRef, np.ndarray]]) -> int:
    """Return how many pieces outlines make: their boxes meet on no slice, nor on slices close by."""
    boxes = [
        (image.series_instance_uid, image.slice_index, points.min(axis=0), points.max(axis=0))
        for image, points in contours
        if len(points) and (points.max(axis=0) - points.min(axis=0)).max() >= PIECE_MIN_PX
    ]
    joined = nx.Graph()
    joined.add_nodes_from(range(len(boxes)))
    order = sorted(range(len(boxes)), key=lambda i: boxes[i][:2])
    for rank, i in enumerate(order):
        for j in order[rank + 1 :]:
            series, slice_index, low, high = boxes[j]
            if series != boxes[i][0] or slice_index - boxes[i][1] > PIECE_GAP:
                break
            if (low <= boxes[i][3]).all() and (high >= boxes[i][2]).all():
                joined.add_edge(i, j)
    return nx.number_connected_components(joined) if boxes else 0


def spacing_of(image: ImageRef) -> Spacing:
    """Return the in-plane spacing, square pixels of 1 mm where it is unknown: then px are compared."""
    if math.isfinite(image.spacing_x_mm) and math.isfinite(image.spacing_y_mm):
        return image.spacing
    return Spacing(math.nan, 1.0, 1.0)


def _longest(contours: Sequence[tuple[ImageRef, np.ndarray]]) -> tuple[ImageRef, RecistMark] | None:
    best: tuple[ImageRef, RecistMark] | None = None
    best_mm = -1.0
    for image, points in contours:
        mark = polygon_diameters(_snapped(points, image), spacing_of(image))
        long_mm = mark.long_axis.length_mm(spacing_of(image))
        if long_mm > best_mm + 1e-9:  # of equals the first: the order of the object decides
            best, best_mm = (image, mark), long_mm
    return best


def _snapped(points: np.ndarray, image: ImageRef) -> np.ndarray:
    """Return the outline with what lies a rounding error off the image brought back onto its border."""
    edge = 0.5 - _EDGE_PX
    inside = np.clip(points, -edge, [image.columns - 1 + edge, image.rows - 1 + edge])
    return np.where(np.abs(points - inside) <= BORDER_TOLERANCE_PX, inside, points)


def landmarks_of(structure: Structure) -> list[Landmark]:
    """Return the organ's extent on each series that shows it."""
    found = []
    for uid in sorted({image.series_instance_uid for image in structure.images}):
        indices = [i.slice_index for i in structure.images if i.series_instance_uid == uid]
        top, bottom = float(min(indices)), float(max(indices))
        found.append(Landmark(uid, structure.name, top, bottom, (top + bottom) / 2))
    return found


def image_at(archive: DicomArchive, frame_of_reference_uid: str, points_mm: np.ndarray) -> ImageRef | None:
    """Return the slice of that frame of reference in whose plane points (N, 3) mm lie, None if none does."""
    for series in archive.series_in_frame(frame_of_reference_uid):
        distances = [float(np.abs(image.to_array(points_mm)[:, 2]).max()) for image in series.images]
        nearest = int(np.argmin(distances))  # NaN where positions are unknown
        if distances[nearest] <= PLANE_TOLERANCE_MM:
            return series.images[nearest]
    return None


def why_no_slice(archive: DicomArchive, frame_of_reference_uid: str) -> str:
    """Return why `image_at` gave None: images of that frame of reference are absent, or none lies there."""
    return OFF_SLICES if archive.series_in_frame(frame_of_reference_uid) else IMAGE_NOT_FOUND


def is_in_plane(archive: DicomArchive, image: ImageRef, points_mm: np.ndarray) -> bool:
    """Whether points (N, 3) mm lie on an image that they refer to; True where its position is unknown."""
    series = archive.series.get(image.series_instance_uid)
    interval_mm = series.slice_interval_mm if series is not None else math.nan
    reach = max(SAME_PLANE * interval_mm if math.isfinite(interval_mm) else 0.0, SAME_PLANE_MM)
    distance = float(np.abs(image.to_array(points_mm)[:, 2]).max())
    return not math.isfinite(distance) or distance <= reach + 1e-6


def flag_same_place(marks: Sequence[FoundMark | RejectedMark]) -> list[FoundMark | RejectedMark]:
    """Flag marks of one object that lie where an earlier one lies: several readers mark one nodule.

    The same place: the box centres are nearer than half the smaller long axis. All marks are kept.
    """
    flagged: list[FoundMark | RejectedMark] = []
    for mark in marks:
        first = next((other for other in flagged if _same_place(mark, other)), None)
        if isinstance(mark, FoundMark) and first is not None:
            mark = dataclasses.replace(mark, flags=(*mark.flags, f"same place as {first.source_item}"))
        flagged.append(mark)
    return flagged


def _same_place(a: FoundMark | RejectedMark, b: FoundMark | RejectedMark) -> bool:
    if not (isinstance(a, FoundMark) and isinstance(b, FoundMark) and a.mark and b.mark):
        return False
    if a.image.series_instance_uid != b.image.series_instance_uid:
        return False
    spacing = spacing_of(a.image)
    (ax, ay), (bx, by) = a.box.centre, b.box.centre
    apart_mm = math.hypot(
        (ax - bx) * spacing.x_mm, (ay - by) * spacing.y_mm, a.image.position_mm - b.image.position_mm
    )
    return apart_mm < min(m.long_axis.length_mm(spacing) for m in (a.mark, b.mark)) / 2
