"""Contact sheets of a cohort of grafted lesions, one picture a type: do they look like lesions there?

    python tools/grafted_sheets.py COHORT OUT [--most 40]

Each tile shows 110 mm round the box in the canonical view, in the window usual for the type; short ticks
point at the lesion. Pictures of backgrounds that are not CC BY do not go into docs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from lesiongraph.imaging import canonical_view
from lesiongraph.lesion import LESION_TYPES, BoundingBox
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.phantom.grafting import read_grafted_truth

WINDOWS = {"lung": (-550.0, 1500.0), "bone": (300.0, 1400.0)}
USUAL_WINDOW = (50.0, 400.0)
ACROSS_MM, TILE_PX, COLUMNS = 110.0, 220, 8


def main() -> None:
    """Write one sheet a type."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--most", type=int, default=40)
    given = parser.parse_args()
    found = mine_sources([given.cohort / "dicom"])
    series = found.series.set_index("series_instance_uid", drop=False)
    truth = read_grafted_truth(given.cohort / "truth" / "truth.csv")
    truth = truth[(truth["wrong_on_purpose"] == "") & (truth["slice_index"] >= 0)]
    given.out.mkdir(parents=True, exist_ok=True)
    for kind in LESION_TYPES:
        rows = truth[truth["type"] == kind]
        rows = rows.iloc[np.linspace(0, len(rows) - 1, min(given.most, len(rows))).astype(int)]
        tiles = [
            _tile(row, series.loc[row["series_instance_uid"]], found.slices)
            for row in rows.to_dict("records")
        ]
        if tiles:
            _sheet(tiles).save(given.out / f"{kind.replace(' ', '-')}.png")


def _tile(row: dict, series: pd.Series, slices: pd.DataFrame) -> Image.Image:
    own = slices[slices["series_instance_uid"] == series["series_instance_uid"]].sort_values("slice_index")
    stored = open_series(series.to_dict(), own).read([int(row["slice_index"])])[0]
    hu = canonical_view(stored, bool(series["flip_x"]), bool(series["flip_y"]))
    at = BoundingBox(row["x_px"], row["y_px"], row["x_px"], row["y_px"])
    x, y = at.flipped(hu.shape[1], hu.shape[0], bool(series["flip_x"]), bool(series["flip_y"])).centre
    half = int(ACROSS_MM / 2 / series["spacing_x_mm"])
    padded = np.pad(hu, half, constant_values=-1000)
    crop = padded[round(y) : round(y) + 2 * half + 1, round(x) : round(x) + 2 * half + 1]
    level, width = WINDOWS.get(row["type"], USUAL_WINDOW)
    grey = np.clip((crop - level) / width + 0.5, 0, 1) * 255
    tile = Image.fromarray(grey.astype(np.uint8)).resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(tile)
    reach = row["long_mm"] / 2 / ACROSS_MM * TILE_PX + 6
    for sign in (-1, 1):
        near, far = TILE_PX / 2 + sign * reach, TILE_PX / 2 + sign * (reach + 9)
        draw.line([(near, TILE_PX / 2), (far, TILE_PX / 2)], fill=255)
    draw.text((3, 2), f"{row['background'][:9]} {row['look']} {row['long_mm']:.0f}", fill=255)
    return tile


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * TILE_PX, rows * TILE_PX))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, ((number % COLUMNS) * TILE_PX, (number // COLUMNS) * TILE_PX))
    return sheet


if __name__ == "__main__":
    main()
