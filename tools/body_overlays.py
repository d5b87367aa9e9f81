"""Draw the body mask and the body's box over slices, to look at.

Usage: python tools/body_overlays.py OUT SOURCE... [--slices 8] [--part X0 Y0 X1 Y1]

A source is a NIfTI file, a DICOM folder or a PNG slice; each series becomes a row of OUT/overlays-N.png.
Red: body; blue: limbs; white: the box seen; yellow: the estimated box of the whole body, where the view cuts
it. With --part each slice is first cut to that part of its body's box (0 to 1; beyond is the air round it),
and the box of the uncut slice is drawn in green. The pictures show the data: mind its licence.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from lesiongraph.imaging import BodyBox, BodyMask, body_mask, canonical_view, seen_box, whole_body_box
from lesiongraph.mining import LooseSeries, open_loose

TILE_PX = 240
ROWS_A_PAGE = 8
WINDOW_HU = (-175.0, 275.0)  # what black and white of 8-bit pictures stand for
AIR_HU, WHITE_HU = -1000.0, 400.0  # the outline against air matters more than organs
RED, BLUE, WHITE, YELLOW, GREEN = (255, 60, 60), (70, 150, 255), (255, 255, 255), (255, 220, 0), (0, 220, 90)
MM_WHERE_UNKNOWN = 0.8

Part = tuple[float, float, float, float]


def main() -> None:
    """Draw every source."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--slices", type=int, default=8, help="slices of each series, evenly spread")
    parser.add_argument("--part", type=float, nargs=4, metavar=("X0", "Y0", "X1", "Y1"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    flags: Counter[str] = Counter()
    rows = []
    for source in arguments.sources:
        for loose in open_loose(source, WINDOW_HU):
            name = source.name.removesuffix(".nii.gz")
            tiles = list(_tiles(name, loose, arguments.slices, arguments.part, flags))
            rows += [
                tiles[start : start + arguments.slices] for start in range(0, len(tiles), arguments.slices)
            ]
    for page, start in enumerate(range(0, len(rows), ROWS_A_PAGE)):
        path = arguments.out / f"overlays-{page + 1}.png"
        _page(rows[start : start + ROWS_A_PAGE], arguments.slices).save(path)
        print(path)
    print(", ".join(f"{flag or 'no flag'}: {number}" for flag, number in flags.most_common()))


def _tiles(
    name: str, loose: LooseSeries, number: int, part: Part | None, flags: Counter[str]
) -> Iterator[Image.Image]:
    found = [float(str(loose.series[f"spacing_{axis}_mm"])) for axis in "yx"]
    y_mm, x_mm = (mm if mm > 0 else MM_WHERE_UNKNOWN for mm in found)
    flips = bool(loose.series["flip_x"]), bool(loose.series["flip_y"])
    indices = loose.slices.slice_index.to_numpy(int)
    for index in indices[np.unique(np.linspace(0, len(indices) - 1, number).astype(int))]:
        hu = canonical_view(loose.reader.read([int(index)])[0], *flips)
        truth = None
        if part is not None:
            hu, truth = _cut(hu, seen_box(body_mask(hu, (y_mm, x_mm)).mask), part)
        body = body_mask(hu, (y_mm, x_mm))
        flags[body.flag] += 1
        label = f"{name[-18:]} {index}{' cut' if body.flag else ''}"
        yield _tile(hu, body, whole_body_box(hu, body, (found[0], found[1])), truth, (y_mm, x_mm), label)


def _cut(hu: np.ndarray, box: BodyBox, part: Part) -> tuple[np.ndarray, BodyBox]:
    """Return part of the slice, and the body's box in it."""
    width, height = box.x1 - box.x0, box.y1 - box.y0
    x0, x1 = (round(min(max(0, box.x0 + share * width), hu.shape[1])) for share in (part[0], part[2]))
    y0, y1 = (round(min(max(0, box.y0 + share * height), hu.shape[0])) for share in (part[1], part[3]))
    moved = BodyBox(box.x0 - x0, box.y0 - y0, box.x1 - x0, box.y1 - y0)
    return np.ascontiguousarray(hu[y0:y1, x0:x1]), moved


def _tile(
    hu: np.ndarray,
    body: BodyMask,
    whole: BodyBox,
    truth: BodyBox | None,
    spacing_mm: tuple[float, float],
    label: str,
) -> Image.Image:
    """Draw one slice, scaled so that image and boxes fit."""
    y_mm, x_mm = spacing_mm
    boxes = [box for box in (whole, truth) if box is not None]
    left, top = min(0.0, *(box.x0 for box in boxes)) * x_mm, min(0.0, *(box.y0 for box in boxes)) * y_mm
    right = max(hu.shape[1], *(box.x1 for box in boxes)) * x_mm
    bottom = max(hu.shape[0], *(box.y1 for box in boxes)) * y_mm
    scale = (TILE_PX - 4) / max(right - left, bottom - top)  # px of the tile a mm
    size = max(1, round(hu.shape[1] * x_mm * scale)), max(1, round(hu.shape[0] * y_mm * scale))
    at = round(-left * scale) + 2, round(-top * scale) + 2
    tile = Image.new("RGB", (TILE_PX, TILE_PX), (40, 40, 46))
    tile.paste(Image.fromarray(_painted(hu, body, size)), at)
    draw = ImageDraw.Draw(tile)
    drawn = [(seen_box(body.mask), WHITE), *([(whole, YELLOW)] if body.flag else [])]
    for box, colour in [*drawn, *([(truth, GREEN)] if truth else [])]:
        corners = np.array([box.x0, box.y0, box.x1, box.y1]) + 0.5
        x0, y0, x1, y1 = corners * np.array([x_mm, y_mm, x_mm, y_mm]) * scale
        draw.rectangle((x0 + at[0], y0 + at[1], x1 + at[0], y1 + at[1]), outline=colour)
    draw.text((3, 2), label, fill=YELLOW)
    return tile


def _painted(hu: np.ndarray, body: BodyMask, size: tuple[int, int]) -> np.ndarray:
    """Return the slice in grey at the tile's size (rows, cols, 3) with the masks' outlines."""
    grey = np.clip((hu - AIR_HU) / (WHITE_HU - AIR_HU), 0, 1) * 255
    resized = np.asarray(Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR))
    painted = np.repeat(resized[..., None], 3, axis=2).copy()
    for mask, colour in ((body.mask, RED), (body.limbs, BLUE)):
        small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size)) > 127
        painted[small & ~ndimage.binary_erosion(small)] = colour
    return painted


def _page(rows: list[list[Image.Image]], columns: int) -> Image.Image:
    page = Image.new("RGB", (columns * TILE_PX, len(rows) * TILE_PX))
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            page.paste(tile, (column * TILE_PX, row * TILE_PX))
    return page


if __name__ == "__main__":
    main()
