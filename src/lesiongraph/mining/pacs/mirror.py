"""The mirror of a PACS below a workspace: what was fetched of it, as it was admitted.

    mirror/<name of the source>/
        source.json                     the address, and where its log of changes was at the last whole walk
        mined.json                      which version of each study the catalogue holds
        studies/<study>/
            study.json                  what the PACS said of the study when it was fetched
            objects/<instance>.dcm      SR, PR, RTSTRUCT, SEG, whole
            headers/<series>.gz         the headers of all images of a series
            images/<instance>.dcm       the slices whose pixels were needed

Names are hashes of admitted UIDs; each file is written beside its place and renamed.
"""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from lesiongraph.errors import DiskFullError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.pacs.address import PacsAddress
from lesiongraph.mining.pacs.pacs import UNKNOWN, Mark

FOLDER = "mirror"
_LENGTH = struct.Struct("<I")
_NAME_LENGTH = 24  # 96 bits: no two of a PACS's objects share a name


def name_of(*parts: str) -> str:
    """Return the name under which an admitted UID (or patient id) is kept."""
    return values.short_hash(*parts, length=_NAME_LENGTH)


@dataclass
class StudyState:
    """What is known of a mirrored study.

    Attributes
    ----------
    patient : str
        Name of the admitted patient id; studies of one patient are mined together.
    series, instances, modalities
        As the PACS's search stated them: where they are the same again, the study is taken as unchanged.
    counts : dict of str to int
        Name of each series → number of instances stated.
    version : int
        Raised each time something new was fetched.
    waiting : bool
        Whether a mark of it refers to an image that is not here.
    demand : str
        What was asked of its pixels: another demand makes it incomplete.
    lacks_some : bool
        Whether something of it could not be had when it was last asked for.
    """

    patient: str = ""
    series: int = UNKNOWN
    instances: int = UNKNOWN
    modalities: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    version: int = 0
    waiting: bool = False
    demand: str = ""
    lacks_some: bool = False


class MirroredStudy:
    """The folder of one study."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def is_done(self) -> bool:
        """Whether it was once fetched to its end."""
        return (self.path / "study.json").is_file()

    def state(self) -> StudyState:
        """Return what is known of it; nothing where it was never fetched to its end, or cannot be read."""
        try:
            return StudyState(**json.loads((self.path / "study.json").read_text()))
        except (OSError, ValueError, TypeError):
            return StudyState()

    def save_state(self, state: StudyState) -> None:
        """Keep what is known of it: from now on the study counts as fetched."""
        write_json(self.path / "study.json", asdict(state))

    def object_path(self, instance: str) -> Path:
        """Where an object is, or would be."""
        return self.path / "objects" / f"{name_of(instance)}.dcm"

    def image_path(self, instance: str) -> Path:
        """Where an image with its pixels is, or would be."""
        return self.path / "images" / f"{name_of(instance)}.dcm"

    def object_files(self) -> list[Path]:
        """Return the files of its objects with marks, in a fixed order."""
        return sorted((self.path / "objects").glob("*.dcm"))

    def images(self) -> Iterator[tuple[Dataset, Path | None]]:
        """Yield the header of each of its images, and the file of its pixels where they are here."""
        here = {path.name for path in (self.path / "images").glob("*.dcm")}
        for headers in sorted((self.path / "headers").glob("*.gz")):
            for dataset in _read_headers(headers):
                path = self.image_path(values.text(dataset, "SOPInstanceUID"))
                yield dataset, path if path.name in here else None

    def has_headers(self, series: str) -> bool:
        """Whether the headers of a series are here."""
        return self._headers_path(series).is_file()

    def add_headers(self, series: str, headers: Mapping[str, bytes]) -> None:
        """Keep the headers of a series; those of images that the PACS no longer lists stay.

        Parameters
        ----------
        headers : mapping
            Admitted SOP Instance UID → the header, `encoded`.
        """
        path = self._headers_path(series)
        known = _read_headers(path) if path.is_file() else ()
        by_uid = {values.text(dataset, "SOPInstanceUID"): encoded(dataset) for dataset in known}
        write_bytes(path, _packed((by_uid | dict(headers)).values()))

    def _headers_path(self, series: str) -> Path:
        return self.path / "headers" / f"{name_of(series)}.gz"


@dataclass(frozen=True)
class Walk:
    """How the last walk over a PACS (over a window of dates) that came to its end, ended.

    Attributes
    ----------
    mark : Mark or None
        Where the PACS's log of changes was when it began; None where the PACS keeps none.
    lacks_some : bool
        Whether something could not be had: the log will not name it again, a search must.
    searched_s : float
        When the PACS was last searched, in seconds since 1970.
    """

    mark: Mark | None = None
    lacks_some: bool = False
    searched_s: float = 0.0


class Mirror:
    """The mirror of one source.

    Parameters
    ----------
    workspace : Path
    address : PacsAddress
    """

    def __init__(self, workspace: Path, address: PacsAddress) -> None:
        self.address = address
        text = str(address)
        slug = re.sub(r"[^a-z0-9]+", "-", text.lower().partition("://")[2]).strip("-")
        self.path = workspace / FOLDER / f"{slug[:60]}-{values.short_hash(text, length=6)}"

    def study(self, study: str) -> MirroredStudy:
        """Return the folder of an admitted Study Instance UID."""
        return self.study_named(name_of(study))

    def study_named(self, name: str) -> MirroredStudy:
        """Return the folder of that name."""
        return MirroredStudy(self.path / "studies" / name)

    def studies(self) -> Iterator[MirroredStudy]:
        """Yield the studies that were fetched to their end."""
        for path in sorted((self.path / "studies").glob("*")):
            study = MirroredStudy(path)
            if study.is_done:
                yield study

    def by_patient(self) -> dict[str, list[MirroredStudy]]:
        """Return the studies fetched, by name of their patient."""
        found: dict[str, list[MirroredStudy]] = {}
        for study in self.studies():
            found.setdefault(study.state().patient or study.name, []).append(study)
        return found

    def walk(self, name: str) -> Walk:
        """Return what is known of a walk (a window) that came to its end; nothing where none did."""
        known = self._read("source").get("walks", {}).get(name) or {}
        mark = Mark(int(known["sequence"]), str(known["stamp"])) if "sequence" in known else None
        return Walk(mark, bool(known.get("lacks_some", False)), float(known.get("searched_s", 0.0)))

    def save_walk(self, name: str, walk: Walk) -> None:
        """Keep it."""
        walks = self._read("source").get("walks", {})
        place = asdict(walk.mark) if walk.mark is not None else {}
        walks[name] = place | {"lacks_some": walk.lacks_some, "searched_s": walk.searched_s}
        write_json(self.path / "source.json", {"address": str(self.address), "walks": walks})

    @property
    def has_log(self) -> bool:
        """Whether the PACS was found to keep a log of changes."""
        walks = self._read("source").get("walks", {})
        return any("sequence" in (known or {}) for known in walks.values())

    def not_mined(self) -> dict[str, int]:
        """Return the studies (name → version) that the catalogue does not hold as they are now."""
        mined = self._read("mined")
        versions = {study.name: study.state().version for study in self.studies()}
        return {name: version for name, version in versions.items() if mined.get(name) != version}

    def save_mined(self, versions: dict[str, int]) -> None:
        """Keep that the catalogue holds these studies."""
        write_json(self.path / "mined.json", self._read("mined") | versions)

    def forget_mined(self) -> None:
        """Have all studies mined again: the catalogue they were mined into is gone."""
        (self.path / "mined.json").unlink(missing_ok=True)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def write_dataset_file(path: Path, dataset: Dataset) -> None:
    """Write a whole object as a DICOM file, in the transfer syntax it came in."""
    meta = dataset.file_meta
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID  # admission may have changed it
    if "SOPClassUID" in dataset:
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    buffer = io.BytesIO()
    with values.lenient_reading():
        dataset.save_as(buffer, enforce_file_format=True)
    write_bytes(path, buffer.getvalue())


def write_json(path: Path, value: object) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), lasting=True)


def write_bytes(path: Path, data: bytes, *, lasting: bool = False) -> None:
    """Write a file, whole or not at all; `lasting` waits until the disk has it.

    Raises
    ------
    DiskFullError
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(path.parent) from error
        raise


def _packed(headers: Iterable[bytes]) -> bytes:
    """Return encoded data sets one after the other, each preceded by its length, compressed."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        for header in headers:
            file.write(_LENGTH.pack(len(header)) + header)
    return buffer.getvalue()


def encoded(dataset: Dataset) -> bytes:
    """Return a header as the mirror keeps it: without file meta, explicit little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    with values.lenient_reading():
        write_dataset(buffer, dataset)
    return buffer.getvalue()


def _read_headers(path: Path) -> Iterator[Dataset]:
    data = gzip.decompress(path.read_bytes())
    place = 0
    with values.lenient_reading():
        while place < len(data):
            (length,) = _LENGTH.unpack_from(data, place)
            place += _LENGTH.size
            yield read_dataset(
                io.BytesIO(data[place : place + length]), is_implicit_VR=False, is_little_endian=True
            )
            place += length
