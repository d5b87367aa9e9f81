"""Training lesions on the device: drawn by type and instance, cut, seen through another scanner."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from embedding_lesions import LesionSet
from lesiongraph.embedding.batching import PatchBatch, PatchLike
from lesiongraph.lesion import LESION_TYPES

BLOCK_VALUES = 2**30  # of one tensor: GPU kernels index within 32 bits at their best
SIDE_STEP_PX = 16  # few distinct shapes, since cuDNN plans each anew
CHUNK_SHARES = (0.75, 0.1875, 0.0625)  # of a batch by size: lesions of 50 mm and more are few
MOST_CUT_PX = 15  # the margin round a lesion is 50 mm
LEAST_MARGIN_PX = 20
BOX_JITTER_PX = 1.5
PLACE_JITTER, SIZE_JITTER = 0.015, 0.08  # about z_sd, and a reader's error
UNTOLD_SHARE, BLIND_SHARE = 0.2, 0.1  # lesions without a location, batches without place and size


class DeviceLesions:
    """Every patch end to end in a few int16 tensors of the device: a batch costs no copy from the host.

    Parameters
    ----------
    lesions : LesionSet
    device : torch.device
    """

    def __init__(self, lesions: LesionSet, device: torch.device) -> None:
        self.device = device
        patches = lesions.patches
        self.extents = np.array([patch.hu.shape[1:] for patch in patches], dtype=np.int64)  # (N, 2)
        self.boxes = np.array([[p.box.x0, p.box.y0, p.box.x1, p.box.y1] for p in patches], dtype=np.float32)
        self.places = torch.from_numpy(lesions.places()).float().to(device)  # (N, 5)
        codes = [LESION_TYPES.index(name) for name in lesions.types]
        self.types = torch.tensor(codes, device=device)  # (N,)
        _, numbers = np.unique(lesions.instances, return_inverse=True)
        self.instances = torch.from_numpy(numbers.astype(np.int64)).to(device)  # (N,)
        self._store(lesions.patches)

    def __len__(self) -> int:
        return len(self.extents)

    def batch(self, rows: NDArray[np.int64], cut: NDArray[np.int64] | None = None) -> PatchBatch:
        """Return lesions padded to one square.

        Parameters
        ----------
        rows : (B,) int
        cut : (B, 4) int, optional
            Pixels left out at the left, top, right and bottom.
        """
        cut = np.zeros((len(rows), 4), dtype=np.int64) if cut is None else cut
        extents = self.extents[rows] - cut[:, 1::-1] - cut[:, :1:-1]
        side = SIDE_STEP_PX * -(-int(extents.max()) // SIDE_STEP_PX)
        hu = torch.zeros((len(rows), 3, side, side), device=self.device)
        for number, block in enumerate(self._blocks):
            chosen = np.flatnonzero(self._block_of[rows] == number)
            if len(chosen):
                hu[self._sent(chosen)] = self._cut_out(
                    block, rows[chosen], extents[chosen], cut[chosen], side
                )
        boxes = torch.from_numpy(self.boxes[rows] - np.tile(cut[:, :2], 2).astype(np.float32))
        return PatchBatch(hu, torch.from_numpy(extents), boxes)

    def _store(self, patches: list[PatchLike]) -> None:
        values = 3 * self.extents.prod(1)
        before = np.cumsum(values) - values
        self._block_of = before // BLOCK_VALUES  # (N,)
        self._starts = np.zeros(len(values), dtype=np.int64)  # (N,) within the block
        self._blocks = []
        for number in range(int(self._block_of.max()) + 1):
            rows = np.flatnonzero(self._block_of == number)
            self._starts[rows] = before[rows] - before[rows[0]]
            flat = np.concatenate([patches[row].hu.reshape(-1) for row in rows])
            self._blocks.append(torch.from_numpy(flat).to(self.device))

    def _cut_out(
        self,
        block: Tensor,
        rows: NDArray[np.int64],
        extents: NDArray[np.int64],
        cut: NDArray[np.int64],
        side: int,
    ) -> Tensor:
        height, width = self.extents[rows].T
        # the first value wanted, a slice's values, a line's values, and how much is wanted
        starts = self._starts[rows] + cut[:, 1] * width + cut[:, 0]
        stated = np.stack([starts, height * width, width, extents[:, 0], extents[:, 1]])
        first, plane, line, tall, wide = self._sent(stated)[:, :, None, None, None]
        y, x = (
            torch.arange(side, device=self.device).view(shape) for shape in ((1, 1, -1, 1), (1, 1, 1, -1))
        )
        inside = (y < tall) & (x < wide)
        place = first + torch.arange(3, device=self.device).view(1, 3, 1, 1) * plane + y * line + x
        return block[torch.where(inside, place, 0)].float() * inside

    def _sent(self, values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)


class Draw:
    """Batches of as many lesions of each type; of each its views, beside it another of its body and type.

    Lesions of a body and type go in pairs, those left over with one of another body. With two visits a batch
    holds two views of each lesion; one that shows in one visit only is taken twice.
    """

    def __init__(self, lesions: LesionSet, rng: np.random.Generator) -> None:
        self._rng = rng
        self.views = min(2, max(lesions.visits) + 1)
        self._pairs = [self._paired(lesions, name) for name in LESION_TYPES]  # each (pairs, 2, views)

    def rows(self, batch: int) -> NDArray[np.int64]:
        """Draw about `batch` rows, as many of each type."""
        each = max(1, batch // (len(self._pairs) * 2 * self.views))
        drawn = [
            pairs[self._rng.choice(len(pairs), each, replace=each > len(pairs))] for pairs in self._pairs
        ]
        return np.concatenate([one.reshape(-1) for one in drawn])

    def _paired(self, lesions: LesionSet, lesion_type: str) -> NDArray[np.int64]:
        rows_of: dict[str, list[int]] = {}
        for row, (found, instance) in enumerate(zip(lesions.types, lesions.instances, strict=True)):
            if found == lesion_type:
                rows_of.setdefault(instance, []).append(row)
        if not rows_of:
            raise ValueError(f"no lesion of type {lesion_type} to train on: render more bodies")
        of_body: dict[str, list[list[int]]] = {}
        for rows in rows_of.values():
            seen = [rows[i % len(rows)] for i in range(self.views)]
            of_body.setdefault(lesions.owners[rows[0]], []).append(seen)
        paired = [lesion for one in of_body.values() for lesion in one[: len(one) // 2 * 2]]
        paired += [one[-1] for one in of_body.values() if len(one) % 2]
        if len(paired) % 2:
            paired.append(paired[0])
        return np.array(paired, dtype=np.int64).reshape(-1, 2, self.views)


def in_chunks(lesions: DeviceLesions, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Deal a batch's positions into chunks of similar size, of the same counts in every batch."""
    order = np.argsort(lesions.extents[rows].max(1), kind="stable")
    ends = np.round(np.cumsum(CHUNK_SHARES) * len(rows)).astype(int)[:-1]
    return [chunk for chunk in np.split(order, ends) if len(chunk)]


def draw_cut(lesions: DeviceLesions, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw how much is left out on each side (B, 4) of half the patches, never close to the lesion."""
    boxes, extents = lesions.boxes[rows], lesions.extents[rows]
    ends = extents[:, ::-1] - 1 - boxes[:, 2:]
    room = np.concatenate([boxes[:, :2], ends], axis=1) - LEAST_MARGIN_PX  # (B, 4)
    most = np.clip(np.floor(room), 0, MOST_CUT_PX).astype(np.int64)
    return rng.integers(0, most + 1) * (rng.random((len(rows), 1)) < 0.5)


def through_another_scanner(hu: Tensor, strength: float) -> Tensor:
    """Return HU with another gain, offset, kernel and noise for each lesion."""
    one = (len(hu), 1, 1, 1)
    blurred = functional.avg_pool2d(hu, 3, stride=1, padding=1, count_include_pad=False)
    softness = torch.rand(one, device=hu.device) * 1.2 - 0.5  # below 0 a sharper kernel
    hu = hu + strength * softness.clamp(min=-0.5 / max(strength, 1.0)) * (blurred - hu)
    hu = hu * (1 + 0.03 * strength * torch.randn(one, device=hu.device))
    hu = hu + 12 * strength * torch.randn(one, device=hu.device)
    return hu + torch.randn_like(hu) * (18 * strength * torch.rand(one, device=hu.device))


def boxed_by_another_hand(boxes: Tensor) -> Tensor:
    """Return boxes whose corners moved; one that would be turned inside out stays."""
    moved = boxes + BOX_JITTER_PX * torch.randn_like(boxes)
    sound = ((moved[:, 2:] - moved[:, :2]) > 2).all(1, keepdim=True)
    return torch.where(sound, moved, boxes)


def blurred_places(places: Tensor, blind: bool) -> Tensor:
    """Return what the head is told: places as unsure as they are, some not known, or none of a batch."""
    count, device = len(places), places.device
    location = places[:, :3] + PLACE_JITTER * torch.randn(count, 3, device=device)
    sizes = places[:, 3:] * torch.exp(SIZE_JITTER * torch.randn(count, 2, device=device))
    untold = torch.rand(count, 1, device=device) < UNTOLD_SHARE
    seen = torch.cat([location.masked_fill(untold, float("nan")), sizes], dim=1)
    return seen * float("nan") if blind else seen
