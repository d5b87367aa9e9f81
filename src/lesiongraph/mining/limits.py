"""How much a file may make us hold: a small file can declare, or unpack to, any size."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import _read_file_meta_info, read_preamble

SIDE_MAX_PX = 4096  # ours: CT is read at 512 to 1024, photon-counting and micro CT at up to 3072
INFLATED_MAX_BYTES = 1 << 29  # ours: a deflated report or image of one slice is a hundredth of it
VOXELS_MAX = 1 << 31  # ours: a whole body at 1024 × 1024 × 2000
POINTS_MAX = 100_000  # ours: of one outline; more lie some hundred to a pixel
_CHUNK_BYTES = 1 << 20
_META_BYTES = 4096  # the file meta group is nearly always shorter
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_J2K_SIZE = b"\xff\x4f\xff\x51"  # SOC, SIZ: ISO/IEC 15444-1 A.5.1
_JPEG_START = b"\xff\xd8"
# SOF markers of JPEG (ISO/IEC 10918-1 B.2.2) and JPEG-LS (ISO/IEC 14495-1 C.2.2): not DHT, JPG, DAC
_FRAME_MARKERS = (*(m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC)), 0xF7)


class OwnBytesFile(io.BufferedReader):
    """A file that gives no more than it has: Python sets memory aside for all that is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes."""
        if size is not None and size > _CHUNK_BYTES:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)


class TooLargeError(ValueError):
    """A file that declares, or unpacks to, more than it may."""


def check_sides(columns: int, rows: int) -> None:
    """Check the size of one image.

    Raises
    ------
    TooLargeError
        If a side is longer than SIDE_MAX_PX.
    """
    if max(columns, rows) > SIDE_MAX_PX:
        raise TooLargeError(f"{columns} × {rows} pixels, at most {SIDE_MAX_PX} a side are read")


def check_frame(dataset: Dataset, index: int) -> None:
    """Check that one frame can be decoded in the memory that its header asks for.

    Raises
    ------
    TooLargeError
        If the header states too large an image, or the compressed stream another size than the header.
    """
    stated = (int(dataset.Columns), int(dataset.Rows))
    check_sides(*stated)
    if not getattr(dataset.file_meta.get("TransferSyntaxUID"), "is_encapsulated", False):
        return
    count = int(dataset.get("NumberOfFrames") or 1)
    frame = get_frame(dataset.PixelData, index, number_of_frames=count)
    found = stream_size(frame)
    if found is not None and found != stated:
        raise TooLargeError(
            f"compressed pixels of {found[0]} × {found[1]}, the header says {stated[0]} × {stated[1]}"
        )


def stream_size(frame: bytes) -> tuple[int, int] | None:
    """Return (columns, rows) that a JPEG, JPEG-LS or JPEG 2000 stream states; None for any other."""
    start = frame.find(_J2K_SIZE, 0, 4096)  # a JP2 file has boxes before its stream
    if start >= 0 and len(frame) >= start + 24:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return right - left, bottom - top
    if not frame.startswith(_JPEG_START):
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", frame, at + 5)
            return columns, rows
        at += 2 + (0 if marker == 0xFF else int.from_bytes(frame[at + 2 : at + 4]))
    return None


def check_inflated(path: Path) -> None:
    """Check what a file unpacks to, as `check_inflated_stream` does."""
    with path.open("rb") as file:
        check_inflated_stream(file)


def check_inflated_stream(file: BinaryIO) -> None:
    """Check what a file unpacks to if it is deflated (PS3.5 A.5), without keeping it: pydicom unpacks whole.

    Raises
    ------
    TooLargeError
        If it is more than INFLATED_MAX_BYTES.
    """
    if not _may_be_deflated(file.read(_META_BYTES)):
        return
    file.seek(0)
    read_preamble(file, force=True)
    if str(_read_file_meta_info(file).get("TransferSyntaxUID")) != _DEFLATED.decode():
        return
    unpacker, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacker.eof and (data := file.read(_CHUNK_BYTES)):
        while data and not unpacker.eof:
            total += len(unpacker.decompress(data, _CHUNK_BYTES))
            data = unpacker.unconsumed_tail
            if total > INFLATED_MAX_BYTES:
                raise TooLargeError(f"unpacks to more than {INFLATED_MAX_BYTES >> 20} MiB")


def _may_be_deflated(start: bytes) -> bool:
    """Whether the file meta group names the deflated syntax, or cannot be seen whole."""
    if start[128:132] != b"DICM":
        return True
    group_length = struct.unpack_from("<I", start, 140)[0] if start[132:136] == b"\x02\0\0\0" else _META_BYTES
    return _DEFLATED in start or group_length > _META_BYTES - 144
