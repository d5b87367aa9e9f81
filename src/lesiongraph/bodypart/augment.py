"""Random crops (the paper's) and changes of look (ours) for training slices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_TRIES = 8
_CROP_SHARE = 0.4  # of the rows; the others keep the whole slice
_FLIP_SHARE = 0.15


def augmented(batch: Tensor, min_fraction: float, look: bool, rng: np.random.Generator) -> Tensor:
    """Crop rows at random and, if asked, change their look.

    Parameters
    ----------
    batch : Tensor, shape (B, m, size, size)
        Grey levels 0..255; the m slices of a row share one crop.
    min_fraction : float
        Share of the row's summed intensity that a crop must keep.
    look : bool
        Also zoom, shift, flip, brightness, contrast, blur and noise.

    Returns
    -------
    Tensor, shape (B, m, size, size)

    Source: Sec. 4.1 ("random crops of the axial slices"); the share is the authors' code's.
    """
    theta = torch.stack([_transform(row, min_fraction, look, rng) for row in batch])  # (B, 2, 3)
    grid = torch.nn.functional.affine_grid(theta, list(batch.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(batch, grid, align_corners=False)
    return _new_look(moved, rng) if look else moved


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


def _transform(row: Tensor, min_fraction: float, look: bool, rng: np.random.Generator) -> Tensor:
    """The 2 x 3 matrix that samples the chosen part of the slice onto the whole input."""
    x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
    if rng.random() < _CROP_SHARE:
        x0, y0, x1, y1 = random_crop(row, min_fraction, rng)
    scale_x, scale_y = x1 - x0, y1 - y0
    shift_x, shift_y = x0 + x1 - 1, y0 + y1 - 1
    if look:
        if scale_x < 1:  # a zoomed view keeps its proportions in the letterbox
            scale_x = scale_y = max(scale_x, scale_y)
        zoom = rng.uniform(0.88, 1.18)
        stretch = rng.uniform(0.93, 1.07)
        scale_x, scale_y = scale_x * zoom * stretch, scale_y * zoom / stretch
        shift_x += rng.uniform(-0.08, 0.08)
        shift_y += rng.uniform(-0.08, 0.08)
        if rng.random() < _FLIP_SHARE:
            scale_x = -scale_x
    angle = rng.normal(0, 0.06) if look else 0.0
    cos, sin = np.cos(angle), np.sin(angle)
    return torch.tensor(
        [[scale_x * cos, -scale_y * sin, shift_x], [scale_x * sin, scale_y * cos, shift_y]],
        dtype=torch.float32,
    )


def _new_look(batch: Tensor, rng: np.random.Generator) -> Tensor:
    rows = batch.shape[0]
    gain = torch.tensor(rng.uniform(0.85, 1.15, (rows, 1, 1, 1)), dtype=torch.float32)
    level = torch.tensor(rng.uniform(-12, 12, (rows, 1, 1, 1)), dtype=torch.float32)
    inside = batch > 8  # air stays black: it lies far below the window
    batch = torch.where(inside, batch * gain + level, batch)
    blurred = torch.tensor(rng.random(rows) < 0.25)
    if bool(blurred.any()):
        batch[blurred] = torch.nn.functional.avg_pool2d(batch[blurred], 3, 1, 1)
    sigma = torch.tensor(rng.uniform(0, 14, (rows, 1, 1, 1)) * (rng.random((rows, 1, 1, 1)) < 0.5))
    # one draw of noise rolled per row: a batch of normal numbers would cost more than the network
    noise = torch.from_numpy(rng.standard_normal(batch.shape[1:], dtype=np.float32))
    shifts = rng.integers(0, batch.shape[-1], rows)
    rolled = torch.stack([torch.roll(noise, int(shift), dims=-1) for shift in shifts])
    return (batch + rolled * sigma.float() * inside).clamp(0, 255)
