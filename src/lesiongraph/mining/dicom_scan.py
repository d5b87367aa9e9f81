"""A folder of DICOM, of any nesting and file names → CT series, objects with marks, counts."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydicom import Dataset

from lesiongraph.errors import SourceNotFoundError
from lesiongraph.mining.dicom_header import LeftOutError, image_headers, read_header
from lesiongraph.mining.dicom_series import ImageHeader, ImageSeries, build_series
from lesiongraph.mining.dicom_values import lenient_reading
from lesiongraph.mining.marks import ImageRef, SourceObject
from lesiongraph.mining.rules import IMAGE_NOT_USABLE

__all__ = ["DicomArchive", "ImageSeries"]

Progress = Callable[[str, int, int], None]


class DescribedPart(Protocol):
    """Part of an archive of which the objects with marks are here, and the images by their headers."""

    def object_files(self) -> Iterable[Path]:
        """Return the files of SR, PR, RTSTRUCT and SEG."""
        ...

    def images(self) -> Iterable[tuple[Dataset, Path | None]]:
        """Yield each image's header, and the file with its pixels; None where they were not fetched."""
        ...


IMAGE_NOT_FOUND = "image not found"


@dataclass
class DicomArchive:
    """What one or several folders of DICOM hold."""

    series: dict[str, ImageSeries] = field(default_factory=dict)  # by series_instance_uid
    objects: list[SourceObject] = field(default_factory=list)  # SR, PR, RTSTRUCT, SEG
    counts: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, str] = field(default_factory=dict)  # sop_instance_uid -> why not used
    _images: dict[tuple[str, int], ImageRef] = field(default_factory=dict)

    @classmethod
    def scan(cls, folder: Path, *, masks: bool = False, progress: Progress | None = None) -> DicomArchive:
        """Read the headers below `folder`; `masks=True` also takes 8-bit images (masks marked CT).

        Raises
        ------
        SourceNotFoundError
            If the folder is absent, empty or holds no DICOM object.
        """
        return cls.scan_folders([folder], masks=masks, progress=progress)

    @classmethod
    def scan_folders(
        cls,
        folders: Sequence[Path],
        described: Sequence[DescribedPart] = (),
        *,
        masks: bool = False,
        progress: Progress | None = None,
    ) -> DicomArchive:
        """Read several folders as one archive: a mark may lie in another folder than its image.

        Parts that a PACS described, with the pixels of a few slices, are read into the same archive.

        Raises
        ------
        SourceNotFoundError
            If one of the folders is absent, empty or holds no DICOM object.
        """
        archive = cls()
        headers: dict[tuple[str, int], ImageHeader] = {}
        objects: dict[str, SourceObject] = {}
        files = [(folder, path) for folder in folders for path in files_below(folder)]
        fruitful: set[Path] = set()
        with lenient_reading():
            for done, (folder, path) in enumerate(files, 1):
                if archive._take(path, headers, objects, masks):
                    fruitful.add(folder)
                if progress is not None and (done % 200 == 0 or done == len(files)):
                    progress("read headers", done, len(files))
        for folder in folders:
            if folder not in fruitful:
                raise SourceNotFoundError(folder, "a folder with DICOM files")
        for part in described:
            archive._take_described(part, headers, objects)
        archive.objects = [objects[key] for key in sorted(objects)]
        archive._group(headers.values())
        return archive

    def image(self, sop_instance_uid: str, frame: int = 0) -> ImageRef | None:
        """Return the image of that SOP Instance UID (frame 0-based), None where it is not here."""
        return self._images.get((sop_instance_uid, frame))

    def why_absent(self, sop_instance_uid: str) -> str:
        """Return why `image` gave None, as the reason of a rejected mark."""
        reason = self.left_out.get(sop_instance_uid)
        return f"{IMAGE_NOT_USABLE}{reason}" if reason else IMAGE_NOT_FOUND

    def series_in_frame(self, frame_of_reference_uid: str) -> list[ImageSeries]:
        """Return the series of one frame of reference, the one with most images first."""
        hits = [s for s in self.series.values() if s.frame_of_reference_uid == frame_of_reference_uid]
        return sorted(hits, key=lambda s: (-len(s.images), s.series_instance_uid))

    def _take(
        self,
        path: Path,
        headers: dict[tuple[str, int], ImageHeader],
        objects: dict[str, SourceObject],
        masks: bool,
    ) -> bool:
        """Read one file into the collections; whether it is DICOM."""
        self.counts["files read"] += 1
        try:
            found = read_header(path, masks=masks)
        except LeftOutError as left_out:
            self._leave_out(left_out)
            return left_out.reason not in ("not DICOM", "empty file", "unreadable header")
        if isinstance(found, SourceObject):
            self.counts["the same object again" if found.key in objects else found.modality] += 1
            objects.setdefault(found.key, found)
            return True
        self._keep(found, headers)
        return True

    def _take_described(
        self,
        part: DescribedPart,
        headers: dict[tuple[str, int], ImageHeader],
        objects: dict[str, SourceObject],
    ) -> None:
        """Read what a PACS described: its objects are files, its images headers."""
        with lenient_reading():
            for path in part.object_files():
                self._take(path, headers, objects, masks=False)
            for dataset, pixels in part.images():
                self.counts["headers read"] += 1
                try:
                    found = image_headers(dataset, pixels)
                except LeftOutError as left_out:
                    self._leave_out(left_out)
                    continue
                self._keep(found, headers)

    def _leave_out(self, left_out: LeftOutError) -> None:
        self.counts[left_out.reason] += 1
        if left_out.sop_instance_uid:
            self.left_out[left_out.sop_instance_uid] = left_out.reason

    def _keep(self, found: Iterable[ImageHeader], headers: dict[tuple[str, int], ImageHeader]) -> None:
        for header in found:
            key = (header.image.sop_instance_uid, header.image.frame)
            self.counts["the same object again" if key in headers else "CT images"] += 1
            headers.setdefault(key, header)

    def _group(self, headers: Iterable[ImageHeader]) -> None:
        by_series: dict[str, list[ImageHeader]] = defaultdict(list)
        for header in headers:
            by_series[header.image.series_instance_uid].append(header)
        for uid in sorted(by_series):
            series, left_out = build_series(by_series[uid])
            self.left_out |= left_out
            self.counts.update(left_out.values())
            if series is not None:
                self.series[uid] = series
                self._images |= {(i.sop_instance_uid, i.frame): i for i in series.images}
        self.counts["CT series"] = len(self.series)


def files_below(folder: Path) -> Iterator[Path]:
    """Give all files below a folder (or the one file itself), in a fixed order."""
    if folder.is_file():
        yield folder.absolute()
        return
    if not folder.is_dir():
        raise SourceNotFoundError(folder, "a folder with DICOM files")
    for parent, folders, names in os.walk(folder.absolute()):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file():  # no pipes, sockets or dead links
                yield path
