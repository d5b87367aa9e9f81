"""Training volumes whose pictures lie in a file: an archive's slices need more room than memory has.

A slice to learn from takes 53 kB (its input and its frame); 800 volumes of 250 slices are 10 GB. A step
looks at 80 of them, so they are mapped from the file and the system keeps what it has room for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart.volumes import TrainingVolume


class VolumeStore:
    """Writes volumes behind each other into one file, and gives them back mapped.

    One file, because each mapping holds a file open and there may be hundreds of volumes.

    Parameters
    ----------
    path : Path
        Is written anew; may be deleted once the volumes are no longer used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._volumes: list[TrainingVolume] = []  # without pixels
        self._shapes: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = []
        path.write_bytes(b"")

    def add(self, volume: TrainingVolume) -> None:
        """Append a volume's slices and frames to the file.

        Raises
        ------
        OSError
            If the disk is full.
        """
        with self._path.open("ab") as stream:
            stream.write(np.ascontiguousarray(volume.slices, np.uint8).data)
            if volume.frames is not None:
                stream.write(np.ascontiguousarray(volume.frames, np.uint8).data)
        frames = None if volume.frames is None else volume.frames.shape
        self._shapes.append((volume.slices.shape, frames))
        self._volumes.append(replace(volume, slices=np.empty((0, 0, 0), np.uint8), frames=None))

    def volumes(self) -> list[TrainingVolume]:
        """Return all volumes in the order they came; their slices and frames are read when looked at."""
        if not self._volumes:
            return []
        # "c": torch warns of arrays that cannot be written; what is written stays in memory
        pixels = np.asarray(np.memmap(self._path, np.uint8, "c"))
        found, at = [], 0
        for volume, (slices, frames) in zip(self._volumes, self._shapes, strict=True):
            seen, at = _part(pixels, at, slices)
            if frames is not None:
                whole, at = _part(pixels, at, frames)
                volume = replace(volume, frames=whole)
            found.append(replace(volume, slices=seen))
        return found


def _part(pixels: NDArray[np.uint8], at: int, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], int]:
    end = at + int(np.prod(shape))
    return pixels[at:end].reshape(shape), end
