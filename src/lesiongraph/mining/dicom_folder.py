"""Folders of DICOM → catalogue tables: each SR, GSPS, RTSTRUCT and SEG read on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydicom import Dataset

from lesiongraph.lesion import KEPT, LESIONS, REJECTED, conform
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.assemble import (
    Row,
    landmarks_frame,
    lesion_rows,
    rejected_object,
    series_frame,
    slices_frame,
)
from lesiongraph.mining.dicom_header import read_object
from lesiongraph.mining.dicom_scan import DescribedPart, DicomArchive
from lesiongraph.mining.dicom_values import lenient_reading
from lesiongraph.mining.gsps import read_gsps
from lesiongraph.mining.marks import FoundMark, Landmark, RejectedMark, SourceObject
from lesiongraph.mining.own_reports import OwnMark, take_original_ids, take_repeated_ids
from lesiongraph.mining.result import REPLACED, MiningResult
from lesiongraph.mining.rtstruct import read_rtstruct
from lesiongraph.mining.seg import read_seg
from lesiongraph.mining.sr import read_sr

Progress = Callable[[str, int, int], None]
Reading = tuple[list[FoundMark | RejectedMark], list[Landmark], Counter[str]]


def mine_dicom(
    folders: Sequence[Path],
    described: Sequence[DescribedPart] = (),
    *,
    roi_pattern: str | None = None,
    progress: Progress | None = None,
) -> MiningResult:
    """Read folders of DICOM, and parts a PACS described, as one archive; return its tables without subsets.

    Raises
    ------
    SourceNotFoundError
        If one of the folders is absent, empty or holds no DICOM object.
    """
    archive = DicomArchive.scan_folders(folders, described, progress=progress)
    gathered = _Gathered(counts=Counter(archive.counts))
    with lenient_reading():
        for done, origin in enumerate(archive.objects, 1):
            _read_object(origin, archive, roi_pattern, gathered)
            if progress is not None:
                progress("read marks", done, len(archive.objects))
    take_original_ids(gathered.repeated, gathered.by_object)
    take_repeated_ids(gathered.successors, gathered.by_object)
    for row in gathered.rows:
        _complete(row, archive, gathered.superseded)
    return MiningResult(
        lesions=conform(pd.DataFrame(gathered.rows), LESIONS),
        series=series_frame(archive),
        slices=slices_frame(archive),
        landmarks=landmarks_frame(gathered.landmarks),
        counts=gathered.counts,
    )


@dataclass
class _Gathered:
    counts: Counter[str]
    rows: list[Row] = field(default_factory=list)
    landmarks: list[tuple[Landmark, str]] = field(default_factory=list)
    superseded: set[str] = field(default_factory=set)  # paths of objects that a later version replaces
    by_object: dict[str, list[Row]] = field(default_factory=dict)
    repeated: list[tuple[Row, OwnMark]] = field(default_factory=list)  # rows of reports of ours
    successors: list[tuple[Row, set[str]]] = field(default_factory=list)  # others' rows, what they follow


def _read_object(
    origin: SourceObject, archive: DicomArchive, roi_pattern: str | None, gathered: _Gathered
) -> None:
    """Read one object; whatever goes wrong inside it becomes its one rejected row."""
    try:
        dataset = read_object(Path(origin.path))
        marks, landmarks, counts = _dispatch(dataset, origin.modality, archive, roi_pattern)
        rows = lesion_rows(marks, origin)
        earlier = _predecessors(dataset)
    except Exception as cause:  # one damaged object must not stop the run; its row says what happened
        gathered.rows.append(rejected_object(origin, cause))
        return
    gathered.rows += rows
    gathered.by_object[origin.key] = rows
    gathered.repeated += [(row, mark.own) for row, mark in zip(rows, marks, strict=True) if mark.own]
    if earlier:
        gathered.successors += [(row, earlier) for row, mark in zip(rows, marks, strict=True) if not mark.own]
    gathered.landmarks += [(landmark, origin.path) for landmark in landmarks]
    gathered.counts.update(counts)
    if not rows:
        gathered.counts[f"{origin.modality} without marks"] += 1
    gathered.superseded |= {
        other.path
        for other in archive.objects
        if other.key in earlier and other.study_instance_uid == origin.study_instance_uid
    }


def _predecessors(dataset: Dataset) -> set[str]:
    """Return the SOP Instance UIDs of the documents that this one says it contains (PS3.3 C.17.2)."""
    return {
        values.text(reference, "ReferencedSOPInstanceUID")
        for study in dataset.get("PredecessorDocumentsSequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    }


def _complete(row: Row, archive: DicomArchive, superseded: set[str]) -> None:
    """Add what only the whole archive knows: sex and age from the images, and replaced reports.

    An amended report repeats the marks of its earlier version. A predecessor in another study is the
    report of an earlier visit: its marks stand.
    """
    if row["source_path"] in superseded and row["status"] == KEPT:
        row |= {"status": REJECTED, "reason": REPLACED}
    series = archive.series.get(str(row["series_instance_uid"]))
    if series is not None:
        row["patient_sex"] = row["patient_sex"] or series.patient_sex
        if row["patient_age"] != row["patient_age"]:  # NaN: the report does not state it
            row["patient_age"] = series.patient_age


def _dispatch(dataset: Dataset, modality: str, archive: DicomArchive, roi_pattern: str | None) -> Reading:
    if modality == "SR":
        return read_sr(dataset, archive), [], Counter()
    if modality == "PR":
        return read_gsps(dataset, archive), [], Counter()
    if modality == "RTSTRUCT":
        return read_rtstruct(dataset, archive, roi_pattern)
    return read_seg(dataset, archive, roi_pattern)
