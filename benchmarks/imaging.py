"""Body masks and patches a second on one thread, each against a floor of its own.

    python benchmarks/imaging.py

Floor for a body mask: scipy at full resolution (threshold, 7×7 opening, largest component, fill).
Floor for a patch: resize three whole slices to 1 mm/px with `scipy.ndimage.zoom`, then crop.
Input: a made-up chest of 512×512 with noise; no data needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import ndimage

from lesiongraph.imaging import body_mask, cut_patch
from lesiongraph.lesion import BoundingBox
from provenance import print_header

SPACING = (0.75, 0.75)
BOX = BoundingBox(330.0, 240.0, 360.0, 270.0)


def make_chest() -> np.ndarray:
    rng = np.random.default_rng(0)
    hu = rng.normal(-1000, 15, (5, 512, 512))
    y, x = np.ogrid[:512, :512]
    hu[:, ((y - 250) / 140) ** 2 + ((x - 256) / 210) ** 2 <= 1] = 40
    for centre in (160, 350):
        hu[:, ((y - 245) / 90) ** 2 + ((x - centre) / 65) ** 2 <= 1] = -850
    hu[:, 420:425] = 200  # the table
    return (hu + rng.normal(0, 20, hu.shape)).astype(np.int16)


class Slices:
    """A reader of an array."""

    def __init__(self, volume: np.ndarray) -> None:
        self.volume = volume

    def read(self, indices: list[int]) -> np.ndarray:
        """Return the slices, (n, rows, cols) int16 HU."""
        return self.volume[list(indices)]


def plain_mask(hu: np.ndarray) -> np.ndarray:
    opened = ndimage.binary_opening(hu > -768, np.ones((7, 7)))
    labels, _ = ndimage.label(opened)
    largest = np.argmax(np.bincount(labels.ravel())[1:]) + 1
    return ndimage.binary_fill_holes(labels == largest)


def plain_patch(volume: np.ndarray) -> np.ndarray:
    slices = volume[1:4].astype(np.float32)
    slices[0] = 0.4 * slices[0] + 0.6 * slices[1]
    slices[2] = 0.4 * slices[2] + 0.6 * slices[1]
    resized = np.stack([ndimage.zoom(hu, SPACING, order=1, grid_mode=True, mode="nearest") for hu in slices])
    return resized[:, 130:254, 197:321].astype(np.int16)


def best_ms(call: Callable[[], object], repeats: int = 40) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def main() -> None:
    volume = make_chest()
    reader = Slices(volume)
    series = {
        "spacing_y_mm": SPACING[0],
        "spacing_x_mm": SPACING[1],
        "slice_interval_mm": 5.0,
        "flip_x": False,
        "flip_y": False,
    }
    slices = pd.DataFrame({"slice_index": range(5), "position_mm": np.arange(5) * 5.0})
    rows = [
        ("body mask", lambda: body_mask(volume[2], SPACING), lambda: plain_mask(volume[2])),
        ("patch", lambda: cut_patch(reader, series, slices, 2, BOX), lambda: plain_patch(volume)),
    ]
    print_header(numpy=np.__version__)
    print("best of 40")
    print(f"{'':12}{'ours ms':>10}{'ours /s':>10}{'floor ms':>10}{'ratio':>8}")
    for name, ours, floor in rows:
        our_ms, floor_ms = best_ms(ours), best_ms(floor)
        print(f"{name:12}{our_ms:10.2f}{1000 / our_ms:10.0f}{floor_ms:10.2f}{floor_ms / our_ms:8.1f}")


if __name__ == "__main__":
    main()
