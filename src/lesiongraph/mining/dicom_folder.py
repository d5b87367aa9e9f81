"""Folders of DICOM → catalogue tables: each SR, GSPS, RTSTRUCT and SEG read on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from pydicom import Dataset

from lesiongraph.lesion import LESIONS, conform
from lesiongraph.mining.assemble import (
    Row,
    landmarks_frame,
    lesion_rows,
    rejected_object,
    series_frame,
    slices_frame,
)
from lesiongraph.mining.dicom_header import read_object
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.dicom_values import lenient_reading
from lesiongraph.mining.gsps import read_gsps
from lesiongraph.mining.marks import FoundMark, Landmark, RejectedMark, SourceObject
from lesiongraph.mining.result import MiningResult
from lesiongraph.mining.rtstruct import read_rtstruct
from lesiongraph.mining.seg import read_seg
from lesiongraph.mining.sr import read_sr

Progress = Callable[[str, int, int], None]
Reading = tuple[list[FoundMark | RejectedMark], list[Landmark], Counter[str]]


def mine_dicom(
    folders: Sequence[Path], *, roi_pattern: str | None = None, progress: Progress | None = None
) -> MiningResult:
    """Read folders of DICOM as one archive and return its tables (subsets not yet assigned).

    Raises
    ------
    SourceNotFoundError
        If one of the folders is absent, empty or holds no DICOM object.
    """
    archive = DicomArchive.scan_folders(folders, progress=progress)
    counts = Counter(archive.counts)
    rows: list[Row] = []
    landmarks: list[tuple[Landmark, str]] = []
    with lenient_reading():
        for done, origin in enumerate(archive.objects, 1):
            marks, found_landmarks, found_counts = _read_object(origin, archive, roi_pattern)
            rows += marks
            if not marks:
                counts[f"{origin.modality} without marks"] += 1
            landmarks += [(landmark, origin.path) for landmark in found_landmarks]
            counts.update(found_counts)
            if progress is not None:
                progress("read marks", done, len(archive.objects))
    return MiningResult(
        lesions=conform(pd.DataFrame(rows), LESIONS),
        series=series_frame(archive),
        slices=slices_frame(archive),
        landmarks=landmarks_frame(landmarks),
        counts=counts,
    )


def _read_object(
    origin: SourceObject, archive: DicomArchive, roi_pattern: str | None
) -> tuple[list[Row], list[Landmark], Counter[str]]:
    """Read one object; whatever goes wrong inside it becomes its one rejected row."""
    try:
        dataset = read_object(Path(origin.path))
        marks, landmarks, counts = _dispatch(dataset, origin.modality, archive, roi_pattern)
        return lesion_rows(marks, origin), landmarks, counts
    except Exception as cause:  # one damaged object must not stop the run; its row says what happened
        return [rejected_object(origin, cause)], [], Counter()


def _dispatch(dataset: Dataset, modality: str, archive: DicomArchive, roi_pattern: str | None) -> Reading:
    if modality == "SR":
        return read_sr(dataset, archive), [], Counter()
    if modality == "PR":
        return read_gsps(dataset, archive), [], Counter()
    if modality == "RTSTRUCT":
        return read_rtstruct(dataset, archive, roi_pattern)
    return read_seg(dataset, archive, roi_pattern)
