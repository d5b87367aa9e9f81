"""A folder of DICOM, of any nesting and file names → CT series, other objects, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lesiongraph.mining.marks import ImageRef, SourceObject


@dataclass
class ImageSeries:
    """One CT series of one orientation, its images sorted head → foot."""

    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    study_date: str  # YYYY-MM-DD, "" unknown
    frame_of_reference_uid: str
    description: str
    kernel: str
    columns: int
    rows: int
    spacing_x_mm: float
    spacing_y_mm: float
    slice_interval_mm: float  # NaN unknown
    slice_thickness_mm: float
    flip_x: bool
    flip_y: bool
    images: list[ImageRef]  # images[i].slice_index == i
    flags: tuple[str, ...] = ()


@dataclass
class DicomArchive:
    """What a folder of DICOM holds."""

    series: dict[str, ImageSeries] = field(default_factory=dict)  # by series_instance_uid
    objects: list[SourceObject] = field(default_factory=list)  # SR, PR, RTSTRUCT, SEG
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def scan(
        cls,
        folder: Path,
        *,
        masks: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> DicomArchive:
        """Read the headers below `folder`; `masks=True` also takes 8-bit images (masks marked CT).

        Raises
        ------
        SourceNotFoundError
            If the folder is absent, empty or holds no DICOM object.
        """
        raise NotImplementedError

    def image(self, sop_instance_uid: str, frame: int = 0) -> ImageRef | None:
        """Return the image of that SOP Instance UID (frame 0-based), None where it is not here."""
        raise NotImplementedError
