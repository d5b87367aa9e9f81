"""Compare distances between landmarks in the real volumes with the phantom's template and training bodies.

python tools/phantom_proportions.py --data ../shared/data --bodies 400
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.phantom.anatomy import TEMPLATE_LANDMARKS, Anatomy
from lesiongraph.phantom.training_body import landmark_heights_mm, sample_pose, sample_training_anatomy
from lesiongraph.phantom.training_bones import seat_heights_mm
from ssbr_landmarks import BY_EYE, read_landmarks, slice_positions_mm, with_positions

PAIRS = (
    ("lung apex", "carina"),
    ("carina", "liver dome"),
    ("carina", "kidney hilum"),
    ("liver dome", "kidney hilum"),
    ("kidney hilum", "iliac crest"),
    ("liver dome", "iliac crest"),
    ("iliac crest", "sacral promontory"),
    ("sacral promontory", "femoral head top"),
    ("iliac crest", "femoral head top"),
    ("femoral head top", "pubic symphysis top"),
    ("femoral head top", "ischial tuberosity"),
)
# Landmarks that the phantom knows by another point: template heights where these first (last) show.
DRAWN_MM = {
    "lung apex": 98.0,
    "femoral head top": 631.0,
    "pubic symphysis top": 668.0,
    "ischial tuberosity": 738.0,
}


def real_heights(data: Path) -> pd.DataFrame:
    """Return mm from the first slice, one row a volume, one column a landmark."""
    rows = read_landmarks()
    rows = with_positions(rows[rows.source == BY_EYE], slice_positions_mm(data))
    table = rows.pivot_table(index="volume", columns="landmark", values="position_mm")
    table["kidney hilum"] = table[["kidney hilum left", "kidney hilum right"]].mean(axis=1)
    return table


def training_heights(bodies: int) -> pd.DataFrame:
    """Return mm from the vertex of as many training bodies."""
    rows = []
    for seed in range(bodies):
        rng = np.random.default_rng(seed)
        anatomy = sample_training_anatomy(rng)
        rows.append(landmark_heights_mm(anatomy, sample_pose(rng, "")) | _drawn(anatomy))
    return pd.DataFrame(rows)


def _drawn(anatomy: Anatomy) -> dict[str, float]:
    heights = {name: float(anatomy.patient_z(z)) for name, z in DRAWN_MM.items()}
    heights["ischial tuberosity"] = float(seat_heights_mm(anatomy, heights["ischial tuberosity"]))
    return heights


def main() -> None:
    """Print one row a distance: real, training bodies, template."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bodies", type=int, default=400)
    arguments = parser.parse_args()
    real, drawn = real_heights(arguments.data), training_heights(arguments.bodies)
    template = TEMPLATE_LANDMARKS | DRAWN_MM
    print(f"{'mm':42} real: n mean (min-max)   training: mean +- sd   template")
    for upper, lower in PAIRS:
        apart = (real[lower] - real[upper]).dropna()
        ours = drawn[lower] - drawn[upper]
        seen = f"{len(apart):3} {apart.mean():5.0f} ({apart.min():.0f}-{apart.max():.0f})"
        usual = f"{ours.mean():.0f} +- {ours.std():.0f}"
        print(f"{upper + ' to ' + lower:42} {seen:22} {usual:>14} {template[lower] - template[upper]:17.0f}")


if __name__ == "__main__":
    main()
