"""Sources of any kind → one catalogue: dispatch, merge, subsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.mining.deeplesion import mine_deeplesion
from lesiongraph.mining.dicom_folder import mine_dicom
from lesiongraph.mining.dicom_scan import DescribedPart
from lesiongraph.mining.mask_csv import mine_mask_csv
from lesiongraph.mining.result import MiningResult, merge_results
from lesiongraph.mining.structures import compile_roi_pattern
from lesiongraph.mining.subsets import assign_subsets

DEEPLESION_TABLE = "DL_info.csv"
PATIENTS_READ = "read marks of patients"
Progress = Callable[[str, int, int], None]


def mine_sources(
    sources: Sequence[Path],
    *,
    mirrored: Sequence[Sequence[DescribedPart]] | None = None,
    roi_pattern: str | None = None,
    progress: Progress | None = None,
) -> MiningResult:
    """Read all sources into one catalogue, each mark once, with its subset.

    Parameters
    ----------
    sources : sequence of Path
        A folder with DL_info.csv (DeepLesion release), a CSV of images and masks, or a folder of DICOM.
        Folders of DICOM are read as one archive, so reports and images may lie apart.
    mirrored : sequence of sequences, optional
        What was fetched of a PACS, the studies of one patient together. A patient is read at a time, so that
        memory stays flat; beside folders of DICOM all is read as one archive. May be empty: nothing is new.
    roi_pattern : str, optional
        Regular expression: which structures are lesions, instead of the built-in rule.
    progress : callable, optional
        Called with (stage, done, total).

    Raises
    ------
    SourceNotFoundError
        If a source does not exist or holds nothing of the kind.
    UsageError
        If no source is given, or `roi_pattern` is no regular expression.
    """
    if not sources and mirrored is None:
        raise UsageError("No source given; expected at least one folder or CSV to mine.")
    compile_roi_pattern(roi_pattern)  # here, since an error inside one object only rejects that object
    results: list[MiningResult] = []
    dicom_folders: list[Path] = []
    for done, source in enumerate(sources, 1):
        if _is_deeplesion(source):
            results.append(mine_deeplesion(source))
        elif is_table(source):  # a DeepLesion release was taken above
            results.append(mine_mask_csv(source))
        elif source.exists() and source.suffix.lower() != ".csv":
            dicom_folders.append(source)
            continue
        else:
            raise SourceNotFoundError(
                source, "a folder of DICOM, a folder with DL_info.csv, or a CSV of images and masks"
            )
        if progress is not None:
            progress("read tables", done, len(sources))
    if dicom_folders:
        folders = list(dict.fromkeys(folder.absolute() for folder in dicom_folders))
        parts = [part for group in mirrored or () for part in group]
        results.append(mine_dicom(folders, parts, roi_pattern=roi_pattern, progress=progress))
    else:
        results += _mine_mirrored(mirrored or (), roi_pattern, progress)
    merged = merge_results(results)
    merged.lesions = assign_subsets(merged.lesions)
    return merged


def _mine_mirrored(
    mirrored: Sequence[Sequence[DescribedPart]], roi_pattern: str | None, progress: Progress | None
) -> Iterator[MiningResult]:
    for done, group in enumerate(mirrored, 1):
        yield mine_dicom([], group, roi_pattern=roi_pattern)
        if progress is not None:
            progress(PATIENTS_READ, done, len(mirrored))


def is_table(source: Path) -> bool:
    """Whether a source is a table that names files (a DeepLesion release, a CSV of masks), not DICOM."""
    return _is_deeplesion(source) or (source.suffix.lower() == ".csv" and source.is_file())


def _is_deeplesion(source: Path) -> bool:
    return (source / DEEPLESION_TABLE).is_file()
