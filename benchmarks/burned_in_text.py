"""How often text is suspected on real CT, and how often text drawn into it is found.

Run: ``python benchmarks/burned_in_text.py --data ../shared/data/dicom [--every 5]``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lesiongraph.imaging import body_mask, suspect_text
from lesiongraph.mining import mine_sources, open_series

TEXTS = ("DOE JOHN", "ID 4711-0815", "1957-03-12 M", "St. Mary Hospital")
SIZES_PX = (10, 14, 20)


def with_text(hu: np.ndarray, text: str, size_px: int, corner: int, *, smooth: bool) -> np.ndarray:
    """Return the slice with a text drawn into one of its four corners, as bright as the slice gets."""
    layer = Image.new("L" if smooth else "1", hu.shape[::-1])
    font = ImageFont.load_default(size_px)
    left, top, right, bottom = font.getbbox(text)
    x = 4 if corner % 2 == 0 else hu.shape[1] - (right - left) - 6
    y = 4 if corner < 2 else hu.shape[0] - (bottom - top) - 10
    ImageDraw.Draw(layer).text((x, y), text, fill=255 if smooth else 1, font=font)
    share = np.asarray(layer, float) / (255 if smooth else 1)
    return np.rint(hu + share * (max(int(hu.max()), 3071) - hu)).astype(np.int16)


def main() -> None:
    """Print one line for real slices, one for each way of drawing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="use every n-th slice of a series")
    options = parser.parse_args()
    mined = mine_sources([options.data])
    rng = np.random.default_rng(0)
    alarms, slices, hits, drawn = [], 0, {}, {}
    for _, series in mined.series.iterrows():
        of_series = mined.slices[mined.slices.series_instance_uid == series.series_instance_uid]
        reader = open_series(series.to_dict(), of_series.sort_values("slice_index"))
        for index in range(0, int(series.slices), options.every):
            hu = reader.read([index])[0]
            patient = body_mask(hu, (series.spacing_y_mm, series.spacing_x_mm)).patient
            slices += 1
            if suspect_text(hu, patient):
                alarms.append(f"{series.patient_id or 'no id'} slice {index}")
            for smooth in (False, True):
                for size_px in SIZES_PX:
                    text, corner = TEXTS[rng.integers(len(TEXTS))], int(rng.integers(4))
                    found = suspect_text(with_text(hu, text, size_px, corner, smooth=smooth), patient)
                    key = ("smooth" if smooth else "plain", size_px)
                    hits[key] = hits.get(key, 0) + int(found)
                    drawn[key] = drawn.get(key, 0) + 1
    print(f"real slices: {slices} of {len(mined.series)} series, text suspected on {len(alarms)} {alarms}")
    for key in sorted(drawn):
        print(f"text drawn, edges {key[0]}, {key[1]} px: found on {hits[key]} of {drawn[key]}")


if __name__ == "__main__":
    main()
