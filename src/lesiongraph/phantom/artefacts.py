"""How the scanner spoils a slice: noise that grows with what the beam crosses, streaks, hardening, kernel.

The model is cheap and only roughly physical: the beam is taken along rows and columns. Noise of a
projection grows with exp(path / 2) (Beer-Lambert law, photon statistics); dose modulation tames it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from lesiongraph.phantom.fields import Floats

_WATER_PER_MM = 0.019  # attenuation at about 70 keV
_TYPICAL_PATH = 6.0  # a trunk of 310 mm
_LONGEST_PATH = 12.0
_MOST_NOISE_HU, _MOST_STREAKS_HU = 80.0, 40.0  # beyond, no one would read the slice
_TILES = 3


@dataclass(frozen=True)
class ScannerLook:
    """What one series' scanner does to every slice."""

    noise_hu: float
    streaks: float  # horizontal streaks over the noise, 0 to about 2
    unmodulated: float  # 0: dose follows the body perfectly, 1: not at all
    hardening: float  # darkness between dense bones, HU per mm of bone
    blur_mm: float
    sharpen: float
    gain: float
    offset_hu: float
    cut_hu: tuple[float, float]  # stored range
    metal: float  # HU of streaks round an implant

    @classmethod
    def sample(cls, rng: np.random.Generator, noise_hu: float, kernel: str) -> ScannerLook:
        """Draw a scanner; `kernel` "sharp" is noisier and enhances edges."""
        sharp = kernel == "sharp"
        poor = rng.random() < 0.2
        return cls(
            noise_hu=noise_hu * (1.6 if sharp else 1.0),
            streaks=float(rng.uniform(0.4, 1.4)) if poor else float(rng.uniform(0, 0.3)),
            unmodulated=float(rng.uniform(0.2, 0.9)),
            hardening=float(rng.uniform(0, 2.5)) if rng.random() < 0.5 else 0.0,
            blur_mm=0.0 if sharp else float(rng.uniform(0, 2.0)),
            sharpen=float(rng.uniform(0.2, 1.2)) if sharp else 0.0,
            gain=float(np.clip(rng.normal(1, 0.03), 0.9, 1.1)),
            offset_hu=float(rng.normal(0, 7)),
            cut_hu=((-1024, 3071), (-1000, 1000), (-160, 240), (-1024, 1023))[
                int(rng.choice(4, p=(0.7, 0.1, 0.1, 0.1)))
            ],
            metal=float(rng.uniform(80, 600)),
        )


class Scanner:
    """Spoils the slices of one series, one after the other."""

    def __init__(
        self, look: ScannerLook, shape: tuple[int, int], pixel_mm: float, rng: np.random.Generator
    ) -> None:
        self._look, self._shape, self._pixel_mm, self._rng = look, shape, pixel_mm, rng
        size = (shape[0] + 96, shape[1] + 96)
        grain = float(rng.uniform(0.2, 1.1)) / max(pixel_mm, 0.5) + 0.1
        self._grain = [self._tile(size, (grain, grain)) for _ in range(_TILES)]
        self._lines = [self._tile(size, (0.6, 40.0 / pixel_mm)) for _ in range(_TILES)]
        rows, columns = np.ogrid[: shape[0], : shape[1]]
        self._rows, self._columns = rows.astype(np.float32), columns.astype(np.float32)

    def spoil(self, hu: Floats, metal: list[tuple[float, float, float, float]]) -> Floats:
        """Return the slice (rows, columns) as this scanner would show it."""
        look = self._look
        dense = np.clip((hu + 1000) / 1000, 0, 2.5) * np.float32(_WATER_PER_MM * self._pixel_mm)
        across, down = dense.sum(1, keepdims=True), dense.sum(0, keepdims=True)
        if look.hardening:
            hu = hu - self._hardening(hu)
        for source in metal:
            hu = hu + self._metal_streaks(source)
        if look.blur_mm:
            hu = gaussian_filter(hu, look.blur_mm / self._pixel_mm)
        if look.sharpen:
            hu = hu + np.float32(look.sharpen) * (hu - gaussian_filter(hu, 1.2 / self._pixel_mm + 0.3))
        hu = hu + self._noise(across, down, np.clip((hu + 1000) / 800, 0.3, 1))
        hu = np.where(hu > -900, (hu + 1000) * np.float32(look.gain) - 1000 + np.float32(look.offset_hu), hu)
        return np.asarray(np.clip(hu, *look.cut_hu), np.float32)

    def _noise(self, across: Floats, down: Floats, body: Floats) -> Floats:
        """Noise (rows, columns) for paths along the rows (rows, 1) and columns (1, columns).

        `body` (rows, columns) says how much of the streaks each pixel takes.
        """
        look, power = self._look, np.float32(self._look.unmodulated)
        # Of each row: the excess over a usual trunk decides how starved its projections are.
        starved = np.exp(0.5 * power * (np.clip(across, 2, _LONGEST_PATH) - _TYPICAL_PATH))
        overhead = np.exp(0.5 * power * (np.clip(down, 2, _LONGEST_PATH) - _TYPICAL_PATH))
        noise = np.float32(look.noise_hu)
        grain = np.minimum(noise * np.sqrt((starved**2 + overhead**2) / 2), _MOST_NOISE_HU)
        lines = np.minimum(noise * starved * np.float32(look.streaks), _MOST_STREAKS_HU)
        return np.asarray(self._cut(self._grain) * grain + self._cut(self._lines) * lines * body, np.float32)

    def _hardening(self, hu: Floats) -> Floats:
        """HU lost between dense parts of a row: the lesser of the bone to the left and to the right."""
        bone = np.clip((hu - 300) / 700, 0, 3) * np.float32(self._pixel_mm)
        left = np.cumsum(bone, axis=1)
        lost = np.minimum(left, left[:, -1:] - left) * np.float32(self._look.hardening)
        return np.asarray(
            gaussian_filter(np.where(hu > -300, np.minimum(lost, 120), 0), (1.0, 2.0)), np.float32
        )

    def _metal_streaks(self, source: tuple[float, float, float, float]) -> Floats:
        """Bright and dark rays (rows, columns) from a dense piece (row, column, radius px, strength)."""
        row, column, radius, strength = source
        y, x = self._rows - np.float32(row), self._columns - np.float32(column)
        turn = np.arctan2(y, x)
        rays = np.zeros(self._shape, np.float32)
        for _ in range(7):  # a ray passes through: what it does on one side it does on the other
            lobes, phase = 2 * int(self._rng.integers(1, 19)), np.float32(self._rng.uniform(0, 2 * np.pi))
            rays += np.float32(self._rng.uniform(0.2, 0.9)) * np.cos(lobes * turn + phase)
        reach = (np.float32(radius + 1) / (np.hypot(x, y) + np.float32(radius + 1))) ** 0.9
        return np.asarray(np.float32(self._look.metal * strength / 2) * rays * reach, np.float32)

    def _tile(self, size: tuple[int, int], sigma: tuple[float, float]) -> Floats:
        tile = gaussian_filter(self._rng.standard_normal(size, dtype=np.float32), sigma, mode="wrap")
        return np.asarray(tile / tile.std(), np.float32)

    def _cut(self, tiles: list[Floats]) -> Floats:
        r, c = self._rng.integers(0, 97, 2)
        tile = tiles[int(self._rng.integers(len(tiles)))]
        return tile[r : r + self._shape[0], c : c + self._shape[1]]
