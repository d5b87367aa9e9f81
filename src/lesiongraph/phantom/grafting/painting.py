"""One virtual study: the warped background with its lesions, seen through the scanner's blur and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates

from lesiongraph.phantom.canvas import Canvas
from lesiongraph.phantom.fields import FieldGrid, Floats, lattice_of
from lesiongraph.phantom.grafting.prepared import PreparedBackground
from lesiongraph.phantom.grafting.tissue_masks import Mask
from lesiongraph.phantom.grafting.warp import ImageGrid, Warp
from lesiongraph.phantom.lesion_paint import paint_lesion
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.tissues import Tissues

AIR_HU = -1000.0
TEXTURE_WAVE_MM = 9.0
SUB_SLICES = (-1 / 3, 0.0, 1 / 3)  # of the slice thickness: partial volume
LOCAL_MM = 25.0  # a lesion refers to its own tissue this far around
LOCAL_LEAST_PX = 60
Box = tuple[slice, slice]
Mask3d = tuple[tuple[int, int, int], Mask]


@dataclass(frozen=True)
class ScannerLook:
    """What differs from study to study beside the anatomy."""

    blur_mm: float  # of the lesion's edges, standard deviation
    sharpness: float  # above 0 takes blur away, below adds some
    added_noise: float  # relative to the background's own
    texture_seed: int


@dataclass
class Cut:
    """What one lesion covers on one slice."""

    box: Box
    mask: Mask


def paint_slices(
    background: PreparedBackground,
    grid: ImageGrid,
    warp: Warp,
    lesions: Sequence[PhantomLesion],
    look: ScannerLook,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int16], dict[int, Mask3d]]:
    """Return HU (n, rows, columns) and, by lesion, the offset and block of what it covers."""
    texture = FieldGrid.build(grid.x_mm, grid.y_mm, grid.z_mm, TEXTURE_WAVE_MM)
    tissues = {lesion.identity: local_tissues(background, lesion) for lesion in lesions}
    hu = np.empty((len(grid.z_mm), len(grid.y_mm), len(grid.x_mm)), np.int16)
    cuts: dict[int, list[tuple[int, Cut]]] = {}
    for i in range(len(hu)):
        slice_painter = SlicePainter(background, grid, warp, i)
        near = [one for one in lesions if abs(grid.z_mm[i] - one.centre_mm[2]) <= _reach(one, grid)]
        image = slice_painter.base
        if near:
            slice_painter.noise = texture.slice_of(lattice_of(look.texture_seed, 2), i)
        for lesion in near:
            cut = slice_painter.add(lesion, tissues[lesion.identity], look, rng)
            if cut is not None:
                cuts.setdefault(lesion.identity, []).append((i, cut))
        image = _seen(image, look, background.noise_hu, rng)
        hu[i] = np.clip(np.rint(image), -1024, 3071)
    return hu, {identity: _assembled(found) for identity, found in cuts.items()}


class SlicePainter:
    """One slice of a study: the warped background in `base`, to which lesions are added in turn."""

    def __init__(self, background: PreparedBackground, grid: ImageGrid, warp: Warp, index: int) -> None:
        self._background, self._grid, self._index = background, grid, index
        dx, dy = warp.displacement(index)
        self._x = np.asarray(grid.x_mm[None, :] + dx, np.float32)
        self._y = np.asarray(grid.y_mm[:, None] + dy, np.float32)
        self._margin_mm = warp.reach_mm
        pixel_y, pixel_x = background.volume.pixel_mm
        at = np.stack([self._y / np.float32(pixel_y), self._x / np.float32(pixel_x)])
        layers = [
            map_coordinates(background.volume.hu[k], at, np.float32, order=1, mode="constant", cval=AIR_HU)
            for k in grid.sources[index]
        ]
        self.base: Floats = np.asarray(np.mean(layers, axis=0), np.float32)
        self.noise: Floats = np.zeros_like(self.base)

    def add(
        self, lesion: PhantomLesion, tissues: Tissues, look: ScannerLook, rng: np.random.Generator
    ) -> Cut | None:
        """Paint a lesion into `base`; return what it covers, None where nothing."""
        room = self._room(lesion.type)
        change, cover = np.zeros_like(self.base), np.zeros_like(self.base)
        canvas = self._canvas(self.base.copy())
        box: Box | None = None
        for part in SUB_SLICES:
            z_mm = float(self._grid.z_mm[self._index]) + part * self._grid.thickness_mm
            painted = paint_lesion(canvas, lesion, z_mm, tissues, room)
            if painted is None:
                continue
            box, mask = painted
            change[box] += canvas.hu[box] - self.base[box]
            cover[box] += mask
            canvas.hu[box] = self.base[box]
        if box is None:
            return None
        box = _wider(box, int(np.ceil(4 * look.blur_mm / self._grid.pixel_mm)), self.base.shape)
        share = cover[box] / len(SUB_SLICES) * room[box]
        sigma = look.blur_mm / self._grid.pixel_mm
        self.base[box] += gaussian_filter(change[box] / len(SUB_SLICES) * room[box], sigma)
        # painted tissue is free of noise; give it the background's
        grain = _grain(share.shape, sigma, rng) * np.float32(self._background.noise_hu)
        self.base[box] += grain * np.sqrt(np.clip(gaussian_filter(share, sigma), 0, 1))
        seen = share > 0.5
        return Cut(box, seen) if seen.any() else None

    def _room(self, lesion_type: str) -> Floats:
        """Return 0–1 where the lesion may grow, its edge softened over a coarse pixel."""
        background = self._background
        pixel_y, pixel_x = background.volume.pixel_mm
        coarse = background.room(lesion_type, self._grid.sources[self._index][0]).astype(np.float32)
        middle = (background.step - 1) / 2
        at = np.stack([(self._y / pixel_y - middle), (self._x / pixel_x - middle)]) / background.step
        found = map_coordinates(coarse, at, np.float32, order=1, mode="constant", cval=0.0)
        return np.asarray(np.clip(2 * found - 0.5, 0, 1), np.float32)

    def _canvas(self, hu: Floats) -> Canvas:
        grid = self._grid
        return Canvas(
            hu=hu,
            x=self._x,
            y=self._y,
            left_mm=float(grid.x_mm[0]),
            top_mm=float(grid.y_mm[0]),
            pixel_mm=grid.pixel_mm,
            cos=1.0,
            sin=0.0,
            shift=(0.0, 0.0),
            margin_mm=self._margin_mm,
            noise=self.noise,
            bend=np.zeros_like(hu),
        )


def local_tissues(background: PreparedBackground, lesion: PhantomLesion) -> Tissues:
    """Return the background's tissue values with the lesion's own tissue measured around it."""
    values = dict(background.tissue_hu)
    names = {"liver": "liver", "kidney": "kidney", "soft tissue": "muscle"}
    if lesion.type not in names:
        return Tissues(values)
    volume = background.volume
    k = int(np.argmin(np.abs(volume.z_mm - lesion.centre_mm[2])))
    step = background.step
    reach = [max(1, round(LOCAL_MM / pixel / step)) for pixel in volume.pixel_mm]
    at = [round(lesion.centre_mm[1 - i] / volume.pixel_mm[i] / step) for i in (0, 1)]
    box = tuple(slice(max(0, a - r), a + r + 1) for a, r in zip(at, reach, strict=True))
    own = background.centres(lesion.type)[k][box]
    hu = volume.hu[k][::step, ::step][box][: own.shape[0], : own.shape[1]]
    own = own[: hu.shape[0], : hu.shape[1]] & (hu > -20) & (hu < 400)
    if own.sum() >= LOCAL_LEAST_PX:
        values[names[lesion.type]] = float(np.median(hu[own]))
    return Tissues(values)


def _reach(lesion: PhantomLesion, grid: ImageGrid) -> float:
    return lesion.reach_mm + grid.thickness_mm


def _seen(image: Floats, look: ScannerLook, noise_hu: float, rng: np.random.Generator) -> Floats:
    """Change the kernel a little and add some noise."""
    smooth = gaussian_filter(image, 0.8)
    image = image + np.float32(look.sharpness) * (image - smooth)
    grain = _grain(image.shape, 0.6, rng) * np.float32(noise_hu * look.added_noise)
    return np.asarray(image + grain * (image > AIR_HU + 60), np.float32)


def _grain(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> Floats:
    """Return correlated noise of unit deviation."""
    grain = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma_px)
    return np.asarray(grain / max(float(grain.std()), 1e-6), np.float32)


def _wider(box: Box, by_px: int, shape: tuple[int, ...]) -> Box:
    rows, columns = (
        slice(max(0, part.start - by_px), min(size, part.stop + by_px))
        for part, size in zip(box, shape, strict=True)
    )
    return rows, columns


def _assembled(cuts: list[tuple[int, Cut]]) -> Mask3d:
    """Join the cuts of one lesion into one block."""
    r0, c0 = (min(cut.box[axis].start for _, cut in cuts) for axis in (0, 1))
    r1, c1 = (max(cut.box[axis].stop for _, cut in cuts) for axis in (0, 1))
    first, last = cuts[0][0], cuts[-1][0]
    block = np.zeros((last - first + 1, r1 - r0, c1 - c0), bool)
    for i, cut in cuts:
        rows, columns = cut.box
        block[i - first, rows.start - r0 : rows.stop - r0, columns.start - c0 : columns.stop - c0] = cut.mask
    return (first, r0, c0), block
