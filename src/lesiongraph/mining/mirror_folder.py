"""Folders of DICOM → a copy below the workspace that has passed the door, for mining to read instead.

Neither the names of the copies nor anything in them comes from a path of the source.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.mining.arrival import Arrival
from lesiongraph.mining.dicom_header import LeftOutError, read_header, read_object
from lesiongraph.mining.dicom_scan import files_below
from lesiongraph.mining.dicom_values import lenient_reading, text
from lesiongraph.mining.marks import SourceObject

Progress = Callable[[str, int, int], None]
NOT_COPIED = "files not copied"
COPIED = "objects copied"
AGAIN = "the same object again"


def mirror_folders(
    folders: Sequence[Path], mirror: Path, arrival: Arrival, *, progress: Progress | None = None
) -> Counter[str]:
    """Copy what mining reads of these folders into `mirror`, each object once, through `arrival`.

    Images that mining leaves out (scouts, other modalities, damaged ones) are copied without their pixels:
    a mark on one of them is then rejected for the same reason.

    Parameters
    ----------
    folders : sequence of Path
        Folders (or files) of DICOM.
    mirror : Path
        Made where absent; an object that is there already is written anew, in one step.
    arrival : Arrival
        What each data set passes.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Counter of str
        `objects copied`, and `files not copied: <why>`.

    Raises
    ------
    SourceNotFoundError
        If one of the folders is absent or holds no DICOM object.
    UsageError
        If a folder is the mirror itself: its objects have passed the door already.
    """
    files = [(folder, path) for folder in folders for path in _outside(folder, mirror)]
    counts: Counter[str] = Counter()
    written: set[str] = set()
    fruitful: set[Path] = set()
    with lenient_reading():
        for done, (folder, path) in enumerate(files, 1):
            reason = _copy(path, mirror, arrival, written)
            counts[reason or COPIED] += 1
            if reason in ("", AGAIN):
                fruitful.add(folder)
            if progress is not None and (done % 50 == 0 or done == len(files)):
                progress("de-identify", done, len(files))
    for folder in folders:
        if folder not in fruitful:
            raise SourceNotFoundError(folder, "a folder with DICOM files")
    return counts


def _outside(folder: Path, mirror: Path) -> Iterator[Path]:
    if folder.resolve().is_relative_to(mirror.resolve()):
        raise UsageError(
            f"{folder}: expected the source itself, found its de-identified copy. Give the source."
        )
    for path in files_below(folder):
        if not path.resolve().is_relative_to(mirror.resolve()):
            yield path


def _copy(path: Path, mirror: Path, arrival: Arrival, written: set[str]) -> str:
    """Copy one file; return why it was not copied, "" where it was."""
    try:
        dataset = _read(path)
    except LeftOutError as left_out:
        return f"{NOT_COPIED}: {left_out.reason}"
    except Exception:  # pydicom raises many kinds on a damaged file; its text may quote the file
        return f"{NOT_COPIED}: unreadable object"
    uid = str(dataset.SOPInstanceUID)
    if uid in written:
        return AGAIN
    written.add(uid)
    write_object(arrival.admit(dataset), mirror)
    return ""


def _read(path: Path) -> Dataset:
    """Read what mining needs of a file, with the UIDs that mining makes up where a file has none."""
    try:
        found = read_header(path)
    except LeftOutError as left_out:
        if not left_out.sop_instance_uid:
            raise
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)
    if isinstance(found, SourceObject):
        dataset = read_object(path)
        dataset.SOPInstanceUID = text(dataset, "SOPInstanceUID") or found.key
        return dataset
    dataset = pydicom.dcmread(path, force=True)
    dataset.SOPInstanceUID = text(dataset, "SOPInstanceUID") or found[0].image.sop_instance_uid
    dataset.SeriesInstanceUID = text(dataset, "SeriesInstanceUID") or found[0].image.series_instance_uid
    return dataset


def write_object(dataset: Dataset, mirror: Path) -> Path:
    """Write an admitted data set below `mirror`, all of it or nothing; return where.

    The file is named after a hash of its UID: a UID read from a file may hold path separators.
    """
    name = hashlib.sha256(text(dataset, "SOPInstanceUID").encode()).hexdigest()[:32]
    path = mirror / name[:2] / f"{name}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(_encoded(dataset))
    part.replace(path)
    return path


def _encoded(dataset: Dataset) -> bytes:
    if "TransferSyntaxUID" not in dataset.file_meta:  # files of before DICOM part 10 state none
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = explicit if implicit is False else ImplicitVRLittleEndian
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
