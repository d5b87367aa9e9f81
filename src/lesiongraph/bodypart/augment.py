"""What a training slice may look like: the paper's random crops, and our random views.

The paper crops the m slices of a sample alike, so nothing tells the regressor that a zoomed view and the
whole slice lie at the same height: its scores of zoomed views were off by a tenth of the body. Most of our
views are drawn for each slice by itself; Eq. 2 then compares a zoomed slice with a whole one, a flipped with
a noisy one, and can only be satisfied by scores that ignore the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_TRIES = 8
_CROP_SHARE = 0.4  # of the rows; the others keep the whole slice
_ROUND = 0.35  # of the zoomed views: a round reconstruction field
_FLIPPED = 0.12
_AIR = 8  # grey levels up to this are air and stay as they are: it lies far below the window
_BONE = 190  # and from this on bone, which no growth replaces


@dataclass(frozen=True)
class Variation:
    """How far random views differ from the slice they show."""

    zoomed: float = 0.30  # share of views inside the body …
    least_side: float = 0.5  # … down to this share of its larger side
    loose: float = 0.15  # share of views wider than the body's box
    strength: float = 1.0  # of tilt, stretch, brightness, contrast agent and noise
    hidden: float = 0.15  # share of views with a hidden rectangle
    growths: float = 0.0  # share of views whose middle is filled by one smooth growth, as wide as the belly


USUAL = Variation()


def paper_crops(
    batch: Tensor, min_fraction: float, rng: np.random.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """Crop rows at random; the m slices of a row share one crop.

    Parameters
    ----------
    batch : Tensor, shape (B, m, size, size)
        Grey levels 0..255.
    min_fraction : float
        Share of the row's summed intensity that a crop must keep.
    device : torch.device or str
        Where the rows, given on the CPU, are cropped.

    Returns
    -------
    Tensor, shape (B, m, size, size)
        On the device.

    Source: Sec. 4.1 ("random crops of the axial slices"); the share is the authors' code's.
    """
    theta = torch.stack([_crop_matrix(row, min_fraction, rng) for row in batch])  # (B, 2, 3)
    grid = functional.affine_grid(theta.to(device), list(batch.shape), align_corners=False)
    return functional.grid_sample(batch.to(device), grid, align_corners=False)


def random_crop(row: Tensor, min_fraction: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Draw a rectangle (x0, y0, x1, y1) in 0..1 that keeps `min_fraction` of the row's intensity.

    After eight draws that keep too little the whole slice is used.
    """
    image = row.sum(dim=0).numpy()  # (size, size)
    total = float(image.sum())
    size = image.shape[0]
    for _ in range(_TRIES):
        width, height = rng.uniform(0.4, 1.0, 2)
        x0, y0 = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
        part = image[int(y0 * size) : int((y0 + height) * size), int(x0 * size) : int((x0 + width) * size)]
        if total > 0 and float(part.sum()) >= min_fraction * total:
            return x0, y0, x0 + width, y0 + height
    return 0.0, 0.0, 1.0, 1.0


def _crop_matrix(row: Tensor, min_fraction: float, rng: np.random.Generator) -> Tensor:
    """The 2 x 3 matrix that samples a crop onto the whole input."""
    x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
    if rng.random() < _CROP_SHARE:
        x0, y0, x1, y1 = random_crop(row, min_fraction, rng)
    return torch.tensor([[x1 - x0, 0, x0 + x1 - 1], [0, y1 - y0, y0 + y1 - 1]], dtype=torch.float32)


def random_views(
    frames: NDArray[np.uint8],
    boxes: NDArray[np.floating],
    size_px: int,
    rng: np.random.Generator,
    *,
    alike: int = 1,
    variation: Variation | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw a view of each slice: its body's box, a part of the body, or more than the body; and a new look.

    The same `rng` draws the same views on every device: only the pictures are moved.

    Parameters
    ----------
    frames : ndarray, shape (N, side, side), uint8
        Whole slices from `slice_to_learn`.
    boxes : ndarray, shape (N, 4)
        Body boxes (row0, column0, row1, column1) on them.
    size_px : int
        Side of the network's input.
    alike : int
        So many slices in a row are seen and look alike; N must be a multiple of it.
    variation : Variation, optional
        How far views may differ; `Variation()` if not given.
    device : torch.device or str
        Where the pictures are cut and changed.

    Returns
    -------
    Tensor, shape (N, 1, size_px, size_px)
        Grey levels 0..255, on the device.
    """
    far = variation or Variation()
    draw = _Draws(len(frames), rng, alike, far.strength)
    window, is_round = _windows(torch.from_numpy(np.asarray(boxes, np.float32)), draw, far)
    cut = _cut(torch.from_numpy(frames).to(device)[:, None].float(), window, is_round, size_px, draw)
    if far.growths:
        cut = _grown(cut, draw, far.growths)
    return _blotted(_new_look(cut, draw), rng, far.hidden)


def body_views(frames: NDArray[np.uint8], boxes: NDArray[np.floating], size_px: int) -> Tensor:
    """Cut each slice to its body's box, as `slice_input` does -> (N, 1, size_px, size_px)."""
    row0, column0, row1, column1 = torch.from_numpy(np.asarray(boxes, np.float32)).T
    window = torch.stack([(row0 + row1) / 2, (column0 + column1) / 2, row1 - row0, column1 - column0])
    pictures = torch.from_numpy(frames)[:, None].float()
    return _cut(pictures, window, torch.zeros(len(frames), dtype=torch.bool), size_px, None)


class _Draws:
    """Random numbers, one for each slice, in shapes that broadcast over pictures; kept on the CPU."""

    def __init__(self, n: int, rng: np.random.Generator, alike: int, strength: float) -> None:
        self.n, self.rng, self._alike, self.strength = n, rng, alike, strength

    def uniform(self, low: float, high: float) -> Tensor:
        return self._each(self.rng.uniform(low, high, self.n // self._alike))

    def normal(self, std: float) -> Tensor:
        return std * self._each(self.rng.standard_normal(self.n // self._alike))

    def _each(self, drawn: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.repeat(drawn, self._alike)).float()

    def chance(self, share: float) -> Tensor:
        return self.uniform(0, 1) < share

    def levels(self, low: float, high: float, share: float = 1.0) -> Tensor:
        """Uniform numbers, times the strength, for a share of the slices and 0 for the rest, (n, 1, 1, 1)."""
        far = self.strength
        return (self.uniform(far * low, far * high) * self.chance(share))[:, None, None, None]


def _windows(boxes: Tensor, draw: _Draws, far: Variation) -> tuple[Tensor, Tensor]:
    """Centre row, centre column, height and width of each view (4, N); which of them are round (N,)."""
    row0, column0, row1, column1 = boxes.T
    largest = torch.maximum(row1 - row0, column1 - column0)
    kind = draw.uniform(0, 1)
    zoomed, loose = kind < far.zoomed, kind > 1 - far.loose
    side = largest * draw.uniform(far.least_side, 1.0)  # a square field of view inside the body
    room_down, room_across = row1 - row0 - 0.6 * side, column1 - column0 - 0.6 * side
    middle_row = (row0 + row1) / 2 + draw.uniform(-0.5, 0.5) * room_down.clamp(min=0)
    middle_column = (column0 + column1) / 2 + draw.uniform(-0.5, 0.5) * room_across.clamp(min=0)
    edges = []
    for box, view, outwards in (
        (row0, torch.maximum(middle_row - side / 2, row0), -1),
        (column0, torch.maximum(middle_column - side / 2, column0), -1),
        (row1, torch.minimum(middle_row + side / 2, row1), 1),
        (column1, torch.minimum(middle_column + side / 2, column1), 1),
    ):
        wide = box + outwards * largest * draw.uniform(0, 0.35) * draw.uniform(0, 1)
        edge = torch.where(zoomed, view, torch.where(loose, wide, box))
        edges.append(edge + largest * draw.uniform(-0.04, 0.04))  # the box is never quite right
    top, left, bottom, right = edges
    height, width = (bottom - top).clamp(min=16), (right - left).clamp(min=16)
    window = torch.stack([(top + bottom) / 2, (left + right) / 2, height, width])
    return window, zoomed & draw.chance(_ROUND)


def _cut(pictures: Tensor, window: Tensor, is_round: Tensor, size_px: int, draw: _Draws | None) -> Tensor:
    """Resample windows to squares, proportions kept, black outside; tilted, stretched, mirrored if drawn."""
    row, column, height, width = window
    side, scale = torch.maximum(height, width), 2.0 / pictures.shape[-1]
    stretch, angle, mirror = torch.ones_like(side), torch.zeros_like(side), torch.ones_like(side)
    if draw is not None:
        stretch = draw.uniform(0.93, 1.07) ** draw.strength
        angle = draw.normal(0.07 * draw.strength)
        mirror = torch.where(draw.chance(_FLIPPED), -1.0, 1.0)
    across, down = side * stretch * scale / 2, side / stretch * scale / 2
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.stack(
        [
            torch.stack([across * mirror * cos, -down * sin, column * scale - 1], dim=1),
            torch.stack([across * sin, down * cos, row * scale - 1], dim=1),
        ],
        dim=1,
    )  # (N, 2, 3)
    device = pictures.device
    theta, window, is_round = theta.to(device), window.to(device), is_round.to(device)
    row, column, height, width = window
    grid = functional.affine_grid(theta, [len(pictures), 1, size_px, size_px], align_corners=False)
    from_row = ((grid[..., 1] + 1) / scale - row[:, None, None]) / (height / 2)[:, None, None]
    from_column = ((grid[..., 0] + 1) / scale - column[:, None, None]) / (width / 2)[:, None, None]
    inside = (from_row.abs() <= 1) & (from_column.abs() <= 1)
    inside &= (from_row**2 + from_column**2 <= 1) | ~is_round[:, None, None]
    return torch.where(inside[:, None], functional.grid_sample(pictures, grid, align_corners=False), 0.0)


def _new_look(pictures: Tensor, draw: _Draws) -> Tensor:
    """Change brightness, contrast agent, sharpness and noise."""
    body, device = pictures > _AIR, pictures.device
    changed = pictures * (1 + draw.levels(-0.18, 0.2)).to(device) + draw.levels(-16, 16).to(device)
    # contrast agent lifts what is already brighter than muscle; its lack, or soft bone, lowers it
    muscle = draw.uniform(125, 190)[:, None, None, None].to(device)
    bright = torch.sigmoid((changed - muscle) / 8)
    changed = torch.where(body, changed + draw.levels(-60, 110, 0.5).to(device) * bright, pictures)
    soft = draw.chance(0.25)  # on the CPU: asking a GPU for it would make both wait
    if bool(soft.any()):
        which = soft.nonzero()[:, 0].to(device)
        changed[which] = functional.avg_pool2d(changed[which], 3, 1, 1)
    noise = _noise(changed, draw)
    return (changed + noise * draw.levels(0, 18, 0.5).to(device) * body).clamp(0, 255)


def _grown(pictures: Tensor, draw: _Draws, share: float) -> Tensor:
    """Fill the middle of a share of the views with the even grey of a cyst or of a solid growth.

    A large even area was taken for the liver, wherever it lay. Bones are spared; where fluid lies beside the
    growth, it replaces the fat that is deep in the body.
    """
    size, device = pictures.shape[-1], pictures.device
    at = torch.linspace(0, 1, size, device=device)
    row, column, half_height, half_width, level, fluid = (
        drawn[:, None, None, None].to(device)
        for drawn in (
            draw.uniform(0.3, 0.55), draw.uniform(0.35, 0.65), draw.uniform(0.1, 0.36),
            draw.uniform(0.12, 0.4), draw.uniform(92, 140), draw.uniform(95, 115),
        )
    )  # fmt: skip
    grown, wet = draw.chance(share), draw.chance(0.5)  # on the CPU, as in `_new_look`
    body, soft = pictures > _AIR, pictures < _BONE
    distance = ((at[:, None] - row) / half_height) ** 2 + ((at[None, :] - column) / half_width) ** 2
    inside = body & soft & (distance < 1)
    filled = torch.where(inside, level + 0.15 * (pictures - level).clamp(-60, 60), pictures)
    deep = functional.avg_pool2d(body.float(), 25, 1, 12) > 0.95
    fat = body & (filled < 80) & deep & wet[:, None, None, None].to(device)
    return torch.where(grown[:, None, None, None].to(device), torch.where(fat, fluid, filled), pictures)


def _noise(pictures: Tensor, draw: _Draws) -> Tensor:
    """Unit noise (N, 1, size, size) from a few tiles: fresh numbers would cost more than the network."""
    size = pictures.shape[-1]
    tiles = torch.from_numpy(draw.rng.standard_normal((8, 1, size, size), dtype=np.float32))
    tiles = tiles.to(pictures.device)
    shift = [int(step) for step in draw.rng.integers(0, size, 2)]
    chosen: Tensor = tiles[torch.from_numpy(draw.rng.integers(0, 8, draw.n)).to(tiles.device)]
    return torch.roll(chosen, shift, (2, 3))


def _blotted(pictures: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """Hide a rectangle of some slices: no single organ may decide."""
    size = pictures.shape[-1]
    for i in np.flatnonzero(rng.random(len(pictures)) < share):
        height, width = rng.integers(size // 16, size * 5 // 16, 2)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        level = float(rng.choice([0.0, rng.uniform(60, 160)]))
        pictures[i, 0, top : top + height, left : left + width] = level
    return pictures
