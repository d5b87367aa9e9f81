"""Body masks and patches a second on one thread; x and y in views that cut the body, against the truth.

    python benchmarks/imaging.py [--data DIR] [--per-series 8]

Floor for a body mask: scipy at full resolution (threshold, 7×7 opening, largest component, fill).
Floor for a patch: resize three whole slices to 1 mm/px with `scipy.ndimage.zoom`, then crop.
Input: a made-up chest of 512×512 with noise; no data needed.

Cut views: real slices whose whole body is seen are cut artificially (`cutting`), so the truth is known.
Compared: x and y relative to the box seen (baseline), to the image, to the estimated whole body, and to that
without spacing. The usual size of a trunk is fitted with the slice's own patient left out.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import ndimage

from cutting import (
    KINDS,
    CutView,
    WholeSlice,
    cut_views,
    outside_circle,
    whole_deeplesion,
    whole_slices,
)
from lesiongraph.imaging import (
    FLAG_CUT,
    USUAL,
    UsualSize,
    body_mask,
    cut_patch,
    relative_xy,
    relative_xy_error,
    whole_body_box,
)
from lesiongraph.lesion import BoundingBox
from provenance import add_data_argument, print_header, skip_without

SPACING = (0.75, 0.75)
GOOD_OVERLAP = 0.95
TRUNK_WIDTH_MM = 250.0  # narrower is a head, a neck or a limb
PICTURE_HU = (-175, 275)
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


def usual_trunk(slices: list[WholeSlice], without: str = "") -> UsualSize:
    """Half axes of trunks, each patient weighing the same; only patients whose data may ship."""
    logs_of: dict[str, list[np.ndarray]] = defaultdict(list)
    for whole in slices:
        if whole.shipped and whole.patient != without and 2 * whole.half_mm[0] > TRUNK_WIDTH_MM:
            logs_of[whole.patient].append(np.log(whole.half_mm))
    mean = np.mean([np.mean(logs, axis=0) for logs in logs_of.values()], axis=0)
    spreads = [
        np.mean([np.outer(log - mean, log - mean) for log in logs], axis=0) for logs in logs_of.values()
    ]
    (xx, xy), (_, yy) = np.mean(spreads, axis=0)
    half_x, half_y = np.exp(mean)
    return UsualSize((half_x, half_y), ((xx, xy), (xy, yy)), USUAL[0].share)


def judge(view: CutView, usual: tuple[UsualSize, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each way's x, y − truth (points, 2), and our standard errors (points, 2)."""
    spacing = view.whole.spacing_mm
    body = body_mask(view.hu, spacing)
    nowhere = (math.nan, math.nan)
    boxes = {
        "box seen": body.mask,
        "whole body": whole_body_box(view.hu, body, spacing, usual),
        "whole body, spacing unknown": whole_body_box(view.hu, body, nowhere, usual),
    }
    off = {
        name: np.array([relative_xy(box, tuple(centre)) for centre in view.centres_px]) - view.true_xy
        for name, box in boxes.items()
    }
    size = np.array(view.hu.shape[::-1])
    off["image"] = (view.centres_px + 0.5) / size - view.true_xy
    errors = [relative_xy_error(boxes["whole body"], tuple(centre)) for centre in view.centres_px]
    return off, np.array(errors)


def print_cut_views(name: str, slices: list[WholeSlice], fitted_on: list[WholeSlice]) -> None:
    rng = np.random.default_rng(0)
    off: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    in_errors: list[np.ndarray] = []
    by_patient: dict[str, list[np.ndarray]] = defaultdict(list)
    usual_of = {p: (usual_trunk(fitted_on, without=p), *USUAL[1:]) for p in {w.patient for w in slices}}
    for whole in slices:
        for view in cut_views(whole, rng):
            found, errors = judge(view, usual_of[whole.patient])
            for way, xy in found.items():
                off[view.kind, way].append(xy)
            in_errors.append((np.abs(found["whole body"]) / np.maximum(errors, 1e-9))[errors > 0])
            gain = np.abs(found["box seen"]).sum(axis=1) - np.abs(found["whole body"]).sum(axis=1)
            by_patient[whole.patient].append(gain)
    print(f"\n{name}, cut views of {len(slices)} slices of {len(by_patient)} patients; |off|: median, 90 %")
    print(f"{'':14}{'':30}{'n':>6}{'x 50 %':>9}{'x 90 %':>9}{'y 50 %':>9}{'y 90 %':>9}")
    for kind in KINDS:
        for way in ("box seen", "image", "whole body", "whole body, spacing unknown"):
            values = np.abs(np.concatenate(off[kind, way]))
            x50, y50 = np.percentile(values, 50, axis=0)
            x90, y90 = np.percentile(values, 90, axis=0)
            print(f"{kind:14}{way:30}{len(values):6d}{x50:9.3f}{x90:9.3f}{y50:9.3f}{y90:9.3f}")
    better = sum(float(np.mean(np.concatenate(gains))) > 0 for gains in by_patient.values())
    print(f"whole body nearer than the box seen, on average, in {better} of {len(by_patient)} patients")
    in_errors_all = np.concatenate(in_errors)
    within = [float((in_errors_all <= number).mean()) for number in (1, 2)]
    print(f"estimated x or y within 1 standard error: {within[0]:.2f}, within 2: {within[1]:.2f}")


def print_masks(slices: list[WholeSlice]) -> None:
    """How near the mask of a cut view comes to that part of the uncut slice's mask."""
    overlaps: dict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(1)
    for whole in slices:
        for view in cut_views(whole, rng):
            mask = body_mask(view.hu, whole.spacing_mm).mask
            if view.kind.endswith("round"):
                mask = mask & ~outside_circle(*mask.shape)
            overlaps[view.kind].append((mask & view.true_mask).sum() / (mask | view.true_mask).sum())
    print("\nmasks of cut views, overlap with the uncut slice's mask:")
    for kind, values in overlaps.items():
        below = sum(value < GOOD_OVERLAP for value in values)
        print(f"{kind:14}median {np.median(values):.3f}, below {GOOD_OVERLAP} in {below} of {len(values)}")


def print_pictures(slices: list[WholeSlice]) -> None:
    """How near the mask of an 8-bit picture comes to that of the HU it was drawn from."""
    low, high = PICTURE_HU
    overlaps = []
    for whole in slices:
        grey = np.rint((np.clip(whole.hu, low, high) - low) / (high - low) * 255)
        picture = np.rint(low + grey / 255 * (high - low)).astype(np.int16)
        mask = body_mask(picture, whole.spacing_mm).mask
        overlaps.append((mask & whole.mask).sum() / (mask | whole.mask).sum())
    median, bad = np.median(overlaps), int((np.array(overlaps) < 0.9).sum())
    print(
        f"\n8-bit pictures, window [{low}, {high}]: overlap with the HU slice's mask {median:.3f} (median), "
        f"below 0.9 in {bad} of {len(overlaps)}"
    )


def print_speed() -> None:
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
    print("best of 40")
    print(f"{'':12}{'ours ms':>10}{'ours /s':>10}{'floor ms':>10}{'ratio':>8}")
    for name, ours, floor in rows:
        our_ms, floor_ms = best_ms(ours), best_ms(floor)
        print(f"{name:12}{our_ms:10.2f}{1000 / our_ms:10.0f}{floor_ms:10.2f}{floor_ms / our_ms:8.1f}")
    cut = np.ascontiguousarray(volume[2][80:400, 60:380])
    body = body_mask(cut, SPACING)
    assert body.flag == FLAG_CUT
    print(f"whole body's box of a cut slice: {best_ms(lambda: whole_body_box(cut, body, SPACING)):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_argument(parser)
    parser.add_argument("--per-series", type=int, default=8, help="slices taken of each volume or series")
    arguments = parser.parse_args()
    print_header(numpy=np.__version__)
    print_speed()
    skip_without(arguments.data / "volumes", arguments.data / "dicom")
    slices = list(whole_slices(arguments.data, arguments.per_series))
    trunk = usual_trunk(slices)
    print(
        f"\nusual trunk: half axes {trunk.half_mm[0]:.0f} and {trunk.half_mm[1]:.0f} mm, "
        f"covariance of logarithms {np.round(trunk.covariance, 4).tolist()}"
    )
    print_cut_views("volumes and DICOM", slices, slices)
    if (arguments.data / "deeplesion").exists():
        print_cut_views("DeepLesion", list(whole_deeplesion(arguments.data)), slices)
    print_masks(slices)
    print_pictures(slices)


if __name__ == "__main__":
    main()
