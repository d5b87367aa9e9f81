"""Patches on disk, cut once: training never touches DICOM again.

One file: the patches' int16 pixels one after the other, then the index (a NumPy archive), then a footer of
16 bytes. One file is replaced in one step, so pixels and index cannot come from different runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import io
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from lesiongraph.errors import DiskFullError, LesionGraphError
from lesiongraph.imaging.patch import Patch
from lesiongraph.lesion import BoundingBox
from lesiongraph.recipe import ImagingRecipe

_MAGIC = b"LGPATCH1"
_FOOTER = struct.Struct("<Q8s")  # where the index starts, magic
_LAYOUT = 2  # raise it when cut_patch itself changes: old caches then no longer serve
_SEPARATOR = "\n"


class PatchStoreError(LesionGraphError):
    """A patch file is absent, damaged, or not a patch file."""

    def __init__(self, path: Path, found: str) -> None:
        self.path = path
        self.found = found
        super().__init__(f"{path}: expected a patch cache, found {found}. Run `lesiongraph embed` again.")


def patch_provenance(recipe: ImagingRecipe) -> str:
    """Return a short hash of all that decides a patch's pixels: a store with another one is stale."""
    numbers = json.dumps({"layout": _LAYOUT, **dataclasses.asdict(recipe)}, sort_keys=True)
    return hashlib.sha256(numbers.encode()).hexdigest()[:16]


class PatchWriter:
    """Writes a patch file next to its final place and moves it there when all is well.

    Memory holds the index only (some hundred bytes a lesion), never the pixels. Leaving the `with` block by
    an exception, or being killed, leaves an older file as it was.

    Parameters
    ----------
    path : Path
    provenance : str
        From `patch_provenance`.

    Raises
    ------
    DiskFullError
        If space runs out; the unfinished file is removed.
    """

    def __init__(self, path: Path, provenance: str = "") -> None:
        self.path = Path(path)
        self.provenance = provenance
        self._part = self.path.with_name(self.path.name + ".part")
        self._ids: dict[str, None] = {}
        self._numbers: list[tuple[float, ...]] = []
        self._shapes: list[tuple[int, ...]] = []
        self._contexts: list[tuple[float, ...]] = []
        self._flags: list[str] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        except OSError as error:
            raise self._translated(error) from error
        return self

    def append(self, lesion_id: str, patch: Patch) -> None:
        """Add one patch.

        Raises
        ------
        ValueError
            If the id was added before, or the pixels are not (slices, height, width) int16.
        """
        if self._file is None:
            raise ValueError("PatchWriter: use it in a `with` block")
        if lesion_id in self._ids:
            raise ValueError(f"lesion {lesion_id!r} is in the patch file already")
        if patch.hu.ndim != 3 or patch.hu.dtype != np.int16 or 0 in patch.hu.shape:
            raise ValueError(f"patch: expected (slices, h, w) int16, got {patch.hu.shape} {patch.hu.dtype}")
        try:
            self._file.write(np.ascontiguousarray(patch.hu, dtype="<i2").data)
        except OSError as error:
            raise self._translated(error) from error
        box = patch.box
        self._ids[lesion_id] = None
        self._numbers.append((box.x0, box.y0, box.x1, box.y1, patch.scale_mm))
        self._shapes.append(patch.hu.shape)
        self._contexts.append(patch.context_slices_mm)
        self._flags.append(_SEPARATOR.join(patch.flags))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is None:
            return
        try:
            if kind is None:
                self._finish(self._file)
        except OSError as error:
            raise self._translated(error) from error
        finally:
            self._close()

    def _finish(self, file: BinaryIO) -> None:
        start = file.tell()
        file.write(self._index())
        file.write(_FOOTER.pack(start, _MAGIC))
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self._part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself must survive a power cut
        finally:
            os.close(folder)

    def _index(self) -> bytes:
        # texts as JSON bytes: NumPy's fixed-width strings would take the longest id's room for each
        texts = {"lesion_ids": list(self._ids), "flags": self._flags, "provenance": self.provenance}
        width = max((len(context) for context in self._contexts), default=0)
        contexts = [context + (np.nan,) * (width - len(context)) for context in self._contexts]
        buffer = io.BytesIO()
        np.savez(
            buffer,
            texts=np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
            numbers=np.array(self._numbers, dtype=np.float64).reshape(-1, 5),
            shapes=np.array(self._shapes, dtype=np.int64).reshape(-1, 3),
            contexts=np.array(contexts, dtype=np.float64).reshape(len(contexts), width),
        )
        return buffer.getvalue()

    def _close(self) -> None:
        """Drop the unfinished file, if there is one."""
        file, self._file = self._file, None
        if file is not None and not file.closed:
            with contextlib.suppress(OSError):  # closing flushes: on a full disk it fails again
                file.close()
        self._part.unlink(missing_ok=True)

    def _translated(self, error: OSError) -> Exception:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFullError(self.path)
        return error


class PatchStore:
    """Reads a patch file; pixels are mapped, not loaded: a patch costs memory only while it is used.

    Parameters
    ----------
    path : Path
    provenance : str, optional
        If given, it must be the file's own.

    Raises
    ------
    PatchStoreError
        If the file is absent, damaged or stale.
    """

    def __init__(self, path: Path, provenance: str | None = None) -> None:
        self.path = Path(path)
        data_end, index = _read_index(self.path)
        texts = json.loads(index["texts"].tobytes())
        self.provenance: str = texts["provenance"]
        if provenance is not None and provenance != self.provenance:
            raise PatchStoreError(self.path, f"one of another recipe ({self.provenance}, not {provenance})")
        self.lesion_ids: tuple[str, ...] = tuple(texts["lesion_ids"])
        self._flags: list[str] = texts["flags"]
        self._rows = {lesion_id: row for row, lesion_id in enumerate(self.lesion_ids)}
        self._numbers, self._shapes, self._contexts = index["numbers"], index["shapes"], index["contexts"]
        self._starts = np.concatenate([[0], np.cumsum(self._shapes.prod(axis=1))])  # in int16 values
        if int(self._starts[-1]) * 2 != data_end:
            raise PatchStoreError(self.path, "an index that does not fit the pixels")
        self._pixels: NDArray[np.int16] = (
            np.memmap(self.path, dtype="<i2", mode="r", shape=(data_end // 2,))
            if data_end
            else np.empty(0, dtype=np.int16)
        )

    @classmethod
    def open_current(cls, path: Path, provenance: str) -> PatchStore | None:
        """Return the store if it is there, whole and of this provenance; None if it must be made (again)."""
        try:
            return cls(path, provenance)
        except PatchStoreError:
            return None

    def __len__(self) -> int:
        return len(self.lesion_ids)

    def __contains__(self, lesion_id: object) -> bool:
        return lesion_id in self._rows

    def __iter__(self) -> Iterator[tuple[str, Patch]]:
        for lesion_id in self.lesion_ids:
            yield lesion_id, self[lesion_id]

    def __getitem__(self, lesion_id: str) -> Patch:
        """Return one patch; its pixels are a read-only view of the file."""
        row = self._rows[lesion_id]
        x0, y0, x1, y1, scale_mm = (float(value) for value in self._numbers[row])
        pixels = self._pixels[self._starts[row] : self._starts[row + 1]]
        return Patch(
            hu=pixels.reshape(self._shapes[row]).view(np.ndarray),
            box=BoundingBox(x0, y0, x1, y1),
            scale_mm=scale_mm,
            context_slices_mm=tuple(float(value) for value in self._contexts[row]),
            flags=tuple(self._flags[row].split(_SEPARATOR)) if self._flags[row] else (),
        )


def _read_index(path: Path) -> tuple[int, dict[str, NDArray[np.generic]]]:
    """Return where the pixels end (bytes) and the index arrays."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < _FOOTER.size:
                raise PatchStoreError(path, f"{size} bytes")
            file.seek(size - _FOOTER.size)
            start, magic = _FOOTER.unpack(file.read())
            if magic != _MAGIC or start > size:
                raise PatchStoreError(path, "a file without the footer of one")
            file.seek(start)
            with np.load(io.BytesIO(file.read(size - _FOOTER.size - start)), allow_pickle=False) as archive:
                return start, {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise PatchStoreError(path, "no file") from None
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise PatchStoreError(path, f"a damaged one ({error})") from error
