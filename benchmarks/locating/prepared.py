"""Volumes and single slices as network inputs of both slice modes, with what is known about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lesiongraph.bodypart import SliceMode, slice_input
from lesiongraph.phantom import sample_plain_volume, sample_training_volume
from locating.views import VIEWS, cut_view
from ssbr_volumes import patient_of, read_landmarks, real_volumes

MODES: tuple[SliceMode, ...] = ("body", "frame")
Inputs = dict[SliceMode, NDArray[np.uint8]]  # (n, 128, 128) each
_VIEWED_SLICES = 25  # of each volume


@dataclass(frozen=True)
class Prepared:
    """One series as inputs; `marks`: landmark -> fractional slice index; `true_z` of phantoms only."""

    name: str
    patient: str
    inputs: Inputs
    position_mm: NDArray[np.float64]  # (n,)
    marks: dict[str, float]
    open_licence: bool = True
    true_z: NDArray[np.float64] | None = None
    views: Views | None = None


@dataclass(frozen=True)
class Views:
    """Partial views of some slices of a volume."""

    kinds: NDArray[np.str_]  # (v,)
    slices: NDArray[np.int64]  # (v,) index in the volume
    inputs: Inputs


def prepare(slices: list[NDArray[np.int16]], spacing_mm: tuple[float, float]) -> Inputs:
    """Inputs of HU slices, which may differ in size."""
    return {mode: np.stack([slice_input(hu, spacing_mm, mode=mode) for hu in slices]) for mode in MODES}


def real_prepared(data: Path) -> Iterator[Prepared]:
    """Every real volume; those with landmarks also with partial views of some slices between them."""
    marks = read_landmarks()
    for volume in real_volumes(data):
        own = marks.get(volume.name, {})
        yield Prepared(
            volume.name,
            volume.patient,
            prepare(list(volume.hu), volume.spacing_mm),
            volume.position_mm,
            own,
            volume.open_licence,
            views=_views(volume.hu, volume.spacing_mm, volume.name) if len(own) > 1 else None,
        )


def _views(hu: NDArray[np.int16], spacing_mm: tuple[float, float], name: str) -> Views:
    rng = np.random.default_rng([5, *name.encode()])
    chosen = np.unique(np.linspace(0, len(hu) - 1, _VIEWED_SLICES).round().astype(int))
    cut = [cut_view(hu[i], kind, rng) for i in chosen for kind in VIEWS]
    return Views(np.array(VIEWS * len(chosen)), np.repeat(chosen, len(VIEWS)), prepare(cut, spacing_mm))


def phantom_prepared(count: int, rng_seed: int, *, plain: bool) -> Iterator[Prepared]:
    """Phantom patients, one volume each: as the phantom hospital scans them, or varied beyond reality."""
    sample = sample_plain_volume if plain else sample_training_volume
    for i in range(count):
        drawn = sample(np.random.default_rng([rng_seed, i]))
        yield Prepared(
            f"phantom {i}",
            f"phantom {i}",
            prepare(list(drawn.hu), (1.0, 1.0)),
            drawn.interval_mm * np.arange(len(drawn.hu)),
            dict(drawn.landmarks),
            true_z=drawn.z01,
        )


def deeplesion_slices(data: Path) -> tuple[pd.DataFrame, Inputs]:
    """DeepLesion key slices at hand: rows with the authors' z and the patient; their inputs.

    As a user meets them: 8 bit in the window [-175, 275], no spacing, no neighbours.
    """
    known = pd.read_csv(data / "deeplesion/lesions_in_images.csv")
    known = known.assign(z=known.z_norm, folder="deeplesion")
    mini = pd.read_csv(data / "deeplesion_mini/DL_info.csv")
    stated = mini.Normalized_lesion_location.str.split(",").str[2].astype(float)
    both = pd.concat([known, mini.assign(z=stated, folder="deeplesion_mini")])
    both = both[["File_name", "z", "folder"]].dropna().drop_duplicates("File_name").reset_index(drop=True)
    slices = []
    for name, folder in zip(both.File_name, both.folder, strict=True):
        path = data / folder / "Images_png" / name[:12] / name[13:]
        slices.append(_eight_bit(np.asarray(Image.open(path)).astype(np.int32) - 32768))
    return both.assign(patient=both.File_name.str[:6]), prepare(slices, (1.0, 1.0))


def _eight_bit(hu: NDArray[np.int32]) -> NDArray[np.int16]:
    """What an 8-bit picture in the window [-175, 275] keeps of HU."""
    grey = np.rint((np.clip(hu, -175, 275) + 175) * (255 / 450))
    return np.rint(grey * (450 / 255) - 175).astype(np.int16)


__all__ = [
    "MODES", "Inputs", "Prepared", "Views", "deeplesion_slices", "patient_of", "phantom_prepared",
    "prepare", "real_prepared",
]  # fmt: skip
