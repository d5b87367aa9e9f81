"""Draw the pictures of docs/body-location.md from the real volumes, phantoms and the packaged regressor.

    python tools/ssbr_figures.py --data ../shared/data --out figures/ssbr

Pictures of slices show volumes of open licence and phantoms only; curves and landmarks show every volume.
With `--cache` (folds of benchmarks/ssbr_folds.py) curves also show the model that left the patient out.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lesiongraph.bodypart import Atlas, Landmark, SeriesScores, SsbrModel, locate_series, slice_input
from lesiongraph.figures import (
    FrontView,
    LandmarkDots,
    LandmarkRow,
    PatientSlices,
    SeriesCurve,
    equal_z_figure,
    landmark_figure,
    series_figure,
    z_map_figure,
)
from lesiongraph.figures.theme import to_png
from lesiongraph.imaging import body_mask
from lesiongraph.phantom import sample_training_volume
from ssbr_volumes import RealVolume, read_landmarks, real_volumes

Floats = NDArray[np.floating]
_PHANTOM_SEED = 40_100  # no training draws it
_PHANTOMS = 40
_ASSUMED_MM = 5.0
_STRIP_MM = 380.0  # width of a body in the map
_WHOLE_MM = 250.0
_FEW = 3  # patients; fewer tell no mean
_ROWS = 9  # patients in the picture of equal z
_COLUMNS_Z = np.arange(0.18, 0.97, 0.06)
# From the neck to the thigh, each overlapping the next.
_MAPPED = ("CPTAC-PDA_C3N-00249", "Pancreas-CT-CB_001", "ACRIN-FLT-Breast_001_19600104")


@dataclass(frozen=True)
class Located:
    """One volume with its z; `marks`: landmark -> fractional slice index."""

    volume: RealVolume
    scores: SeriesScores
    z: Floats  # (n,) of single slices
    marks: dict[str, float]
    left_out: Floats | None = None

    @property
    def position_mm(self) -> Floats:
        """Positions; with an assumed interval, for drawing only, where none is recorded."""
        known = np.isfinite(self.volume.position_mm).all()
        return self.volume.position_mm if known else _ASSUMED_MM * np.arange(len(self.z))


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--atlas", type=Path)
    parser.add_argument("--cache", type=Path, help="folder of one variant's folds, with fold-*.safetensors")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = SsbrModel.load(chosen.weights)
    atlas = Atlas.load(chosen.atlas).for_model(model)
    marks = read_landmarks()
    real = [located(model, atlas, volume, marks.get(volume.name, {})) for volume in real_volumes(chosen.data)]
    if chosen.cache is not None:
        real = with_left_out(real, chosen.cache)
    phantoms = [located(model, atlas, *phantom(i)) for i in range(_PHANTOMS)]
    regions = [(region.name, region.z_from, region.z_to) for region in atlas.regions]
    chosen.out.mkdir(parents=True, exist_ok=True)
    from_head = sorted(real, key=lambda one: one.scores.z[0])
    figures = {
        "score-against-slice": series_figure([curve(one, atlas) for one in from_head], regions),
        "equal-z": equal_z(real, phantoms, atlas),
        "landmarks": landmark_figure(landmark_dots(real, phantoms), regions),
        "z-map": z_map(real, phantoms, atlas, regions),
    }
    for name, figure in figures.items():
        path = chosen.out / f"ssbr-{name}.png"
        # a palette of 128 keeps pictures small enough for the repository
        picture = (
            Image.open(io.BytesIO(to_png(figure))).convert("RGB").quantize(128, dither=Image.Dither.NONE)
        )
        picture.save(path, optimize=True)
        print(path)


def located(model: SsbrModel, atlas: Atlas, volume: RealVolume, marks: dict[str, float]) -> Located:
    """Score a volume, slice by slice and as a series."""
    inputs = np.stack([slice_input(hu, volume.spacing_mm, mode=model.slice_mode) for hu in volume.hu])
    scores = locate_series(model, inputs, volume.position_mm, atlas)
    return Located(volume, scores, model.to_z(scores.score), marks)


def phantom(number: int) -> tuple[RealVolume, dict[str, float]]:
    """A phantom patient in the same form as a real one; the first shows the whole body."""
    rng = np.random.default_rng([_PHANTOM_SEED, number])
    drawn = sample_training_volume(rng, region="neck-to-thigh" if number == 0 else None)
    spacing = (drawn.pixel_mm, drawn.pixel_mm)
    position = drawn.interval_mm * np.arange(len(drawn.hu))
    return RealVolume(f"phantom-{number}", drawn.hu, spacing, position), dict(drawn.landmarks)


def with_left_out(real: Sequence[Located], cache: Path) -> list[Located]:
    """Add z by the model that left each patient out, laid onto the packaged z over the other patients."""
    found = {}
    for path in sorted(cache.glob("fold-*.safetensors")):
        left_out = json.loads(path.with_suffix(".json").read_text())["left_out"]
        model = SsbrModel.load(path)
        score = {}
        for one in real:
            volume = one.volume
            inputs = np.stack([slice_input(hu, volume.spacing_mm, mode=model.slice_mode) for hu in volume.hu])
            score[volume.name] = model.score(inputs)
        seen = [one for one in real if one.volume.open_licence and one.volume.patient not in left_out]
        x = np.concatenate([score[one.volume.name] for one in seen])
        line = np.polyfit(x, np.concatenate([one.scores.z for one in seen]), 1)
        for one in real:
            if one.volume.patient in left_out:
                found[one.volume.name] = np.polyval(line, score[one.volume.name])
    return [Located(one.volume, one.scores, one.z, one.marks, found.get(one.volume.name)) for one in real]


def curve(one: Located, atlas: Atlas) -> SeriesCurve:
    """Panel of one series."""
    known = {row.name: row.z for row in atlas.table}
    index = np.arange(len(one.z))
    marks = [
        (float(np.interp(at, index, one.position_mm)), known[name])
        for name, at in one.marks.items()
        if name in known
    ]
    measured = np.isfinite(one.volume.position_mm).all()
    rise = np.polyfit(one.position_mm, one.scores.z, 1)[0] if measured else np.nan
    return SeriesCurve(
        one.volume.name,
        one.position_mm,
        one.z,
        one.scores.z,
        one.scores.r if np.isfinite(one.scores.r) else float(np.corrcoef(index, one.z)[0, 1]),
        1 / rise if rise > 0 else float("nan"),
        one.scores.flags,
        marks,
        one.left_out,
        "" if measured else f"drawn as {_ASSUMED_MM:.0f} mm",
    )


def equal_z(real: Sequence[Located], phantoms: Sequence[Located], atlas: Atlas):  # type: ignore[no-untyped-def]
    """Slices of different patients at the same z."""
    open_real = [one for one in real if one.volume.open_licence and shows_whole_body(one)]
    shown = np.array([[slice_at(one, z) is not None for z in _COLUMNS_Z] for one in open_real])
    chosen = well_covering(shown, [one.volume.patient for one in open_real])
    last = whole(phantoms)
    of_phantom = np.array([slice_at(last, z) is not None for z in _COLUMNS_Z])
    columns = _COLUMNS_Z[shown[chosen].any(axis=0) & (shown[chosen].sum(axis=0) + of_phantom >= 2)]
    titles = [f"z = {z:.2f}\n{atlas.nearest_landmark(float(z))}" for z in columns]
    rows = [*(open_real[i] for i in sorted(chosen, key=lambda i: open_real[i].scores.z[0])), last]
    patients = [PatientSlices(one.volume.name, [slice_at(one, z) for z in columns]) for one in rows]
    return equal_z_figure(patients, titles)


def shows_whole_body(one: Located) -> bool:
    """Whether the view is wide enough for a body: some volumes were cropped to a tumour."""
    rows, columns = one.volume.hu.shape[1:]
    sides = rows * one.volume.spacing_mm[0], columns * one.volume.spacing_mm[1]
    return bool(np.isfinite(one.volume.position_mm).all() and min(sides) > _WHOLE_MM)


def well_covering(shown: NDArray[np.bool_], patients: Sequence[str]) -> list[int]:
    """Rows of `shown` (volumes, columns) that cover every column by several patients: greedy choice."""
    chosen: list[int] = []
    covered = np.zeros(shown.shape[1])
    for _ in range(_ROWS):
        taken = {patients[i] for i in chosen}
        gain = np.where([p in taken for p in patients], -1, (shown / (1 + covered) ** 2).sum(axis=1))
        chosen.append(int(gain.argmax()))
        covered += shown[chosen[-1]]
    return chosen


def whole(phantoms: Sequence[Located]) -> Located:
    """The phantom whose unflagged series is longest."""
    return max((one for one in phantoms if not one.scores.flags), key=lambda one: one.scores.span_mm)


def slice_at(one: Located, z: float) -> tuple[NDArray[np.int16], float] | None:
    """The slice nearest to z by the refitted series, None where the scan does not reach it."""
    i = int(np.abs(one.scores.z - z).argmin())
    if abs(one.scores.z[i] - z) > 0.008:
        return None
    rows, columns = one.volume.spacing_mm
    hu = one.volume.hu[i]
    if abs(rows / columns - 1) > 0.01:
        raise ValueError(f"{one.volume.name}: expected square pixels, got {rows} x {columns} mm")
    return hu, columns


def landmark_dots(real: Sequence[Located], phantoms: Sequence[Located]) -> list[LandmarkDots]:
    """z of each landmark in every patient (mean of a patient's series), by refitted series."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for group, volumes in (("real", real), ("phantom", phantoms)):
        for one in volumes:
            for name, index in one.marks.items():
                z = float(np.interp(index, np.arange(len(one.z)), one.scores.z))
                found.setdefault(name, {}).setdefault(group, {}).setdefault(one.volume.patient, []).append(z)
    dots = [
        LandmarkDots(
            name, {group: [float(np.mean(zs)) for zs in own.values()] for group, own in groups.items()}
        )
        for name, groups in found.items()
    ]
    return sorted(dots, key=lambda row: float(np.mean([z for group in row.groups.values() for z in group])))


def z_map(real, phantoms, atlas: Atlas, regions):  # type: ignore[no-untyped-def]
    """Bodies from the front on one z axis."""
    by_name = {one.volume.name: one for one in real}
    chosen = [by_name[name] for name in _MAPPED] + [whole(phantoms)]
    names = [row.name for row in main_landmarks(atlas)]
    rows = [LandmarkRow(row.name, row.z, row.sd, row.n) for row in main_landmarks(atlas)]
    low = min(float(one.scores.z.min()) for one in chosen)
    high = max(float(one.scores.z.max()) for one in chosen)
    bodies = [front_view(one, names) for one in chosen]
    return z_map_figure(bodies, regions, rows, 1 / atlas.z_per_mm, (low - 0.01, high + 0.01))


def main_landmarks(atlas: Atlas) -> list[Landmark]:
    """The landmarks of real patients, and the phantoms' where no real one lies within 2 cm."""
    real = [row for row in atlas.table if row.source == "real" and row.n >= _FEW]
    near = 20.0 * atlas.z_per_mm
    others = [row for row in atlas.table if row.source == "phantom" and row.n >= _FEW]
    return real + [row for row in others if min(abs(row.z - one.z) for one in real) > near]


def front_view(one: Located, names: Sequence[str]) -> FrontView:
    """A body's projection from the front, like a radiograph with the bones stressed."""
    hu, (row_mm, column_mm) = one.volume.hu, one.volume.spacing_mm
    inside = np.stack([body_mask(slice_hu, (row_mm, column_mm)).mask for slice_hu in hu])
    middle = float(np.nonzero(inside)[2].mean())
    half = _STRIP_MM / 2 / column_mm
    left, right = max(0, round(middle - half)), min(hu.shape[2], round(middle + half))
    hu, inside = hu[:, :, left:right], inside[:, :, left:right]
    dense = np.where(inside, np.clip(hu, -1000, 1500) + 1000.0, 0).sum(axis=1) * row_mm
    bone = np.where(inside, np.clip(hu - 160.0, 0, 900), 0).sum(axis=1) * row_mm
    picture = dense / np.percentile(dense, 99) + 1.2 * bone / np.percentile(bone, 99.5)
    picture = np.clip(picture / np.percentile(picture, 99.7), 0, 1)
    index = np.arange(len(hu))
    z = np.maximum.accumulate(one.scores.z + 1e-9 * index)
    marks = [float(np.interp(one.marks[name], index, z)) if name in one.marks else np.nan for name in names]
    return FrontView(one.volume.name, picture, z, column_mm * hu.shape[2], marks)


if __name__ == "__main__":
    main()
