"""The teacher's maps of all training crops, computed once and kept in half precision on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilling.crops import Crop
from lesiongraph.embedding import Trunk
from lesiongraph.embedding.trunk import MAP_STRIDES

AT_ONCE = 16


@dataclass(frozen=True)
class TaughtCrops:
    """Crops of one side with what the teacher makes of them."""

    side: int
    hu: Tensor  # (n, 3, side, side) int16
    maps: list[NDArray[np.float16]]  # four (n, h, w, C), memory-mapped

    def __len__(self) -> int:
        return len(self.hu)

    def targets(self, rows: NDArray[np.int64]) -> list[Tensor]:
        """Return the four maps (len(rows), C, h, w) float32, channels last in memory."""
        return [torch.from_numpy(one[rows]).float().permute(0, 3, 1, 2) for one in self.maps]


def half_precision() -> bool:
    """Whether this processor multiplies bfloat16 itself: then both networks learn in it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def teach(
    teacher: Trunk, crops: Sequence[Crop], folder: Path, progress: Callable[[int, int], None]
) -> list[TaughtCrops]:
    """Run the teacher over all crops, one group for each side; the arrays lie in `folder`.

    A folder that holds the maps of the very same crops and teacher already is read instead.
    """
    mark = folder / "taught.txt"
    digest = _digest(teacher, crops)
    taught = mark.is_file() and mark.read_text() == digest
    groups = []
    for side in sorted({crop.hu.shape[1] for crop in crops}):
        hu = torch.from_numpy(np.stack([crop.hu for crop in crops if crop.hu.shape[1] == side]))
        groups.append(TaughtCrops(side, hu, _room(teacher, len(hu), side, folder, empty=not taught)))
    if not taught:
        done = 0
        for group in groups:
            for start in range(0, len(group), AT_ONCE):
                _run(teacher, group, slice(start, min(start + AT_ONCE, len(group))))
                progress(done + min(start + AT_ONCE, len(group)), len(crops))
            done += len(group)
        mark.write_text(digest)
    return groups


def _run(teacher: Trunk, group: TaughtCrops, rows: slice) -> None:
    with torch.inference_mode():
        maps = teacher(group.hu[rows].float())
    for room, one in zip(group.maps, maps, strict=True):
        room[rows] = one.permute(0, 2, 3, 1).clamp(max=65504).half().numpy()


def _digest(teacher: Trunk, crops: Sequence[Crop]) -> str:
    digest = hashlib.sha256(teacher.sha256.encode())
    for crop in crops:
        digest.update(crop.hu.tobytes())
    return digest.hexdigest()


def _room(teacher: Trunk, count: int, side: int, folder: Path, *, empty: bool) -> list[NDArray[np.float16]]:
    shapes = [
        (count, side // stride, side // stride, channels)
        for stride, channels in zip(MAP_STRIDES, teacher.variant.channels, strict=True)
    ]
    return [
        np.lib.format.open_memmap(folder / f"{side}-{scale}.npy", "w+" if empty else "r", np.float16, shape)
        for scale, shape in enumerate(shapes)
    ]
