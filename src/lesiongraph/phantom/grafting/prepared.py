"""A background made ready once: its pixels, and as bits where each lesion type may lie and grow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.grafting.backgrounds import BackgroundSeries, BackgroundVolume, read_volume
from lesiongraph.phantom.grafting.levels import Levels, find_levels
from lesiongraph.phantom.grafting.tissue_masks import Mask
from lesiongraph.phantom.grafting.zones import find_zones, offered

_ROOM = len(LESION_TYPES)  # bit t: a centre of type t; bit _ROOM + t: it may grow there
_NOISE_HU = (20.0, 110.0)  # noise is measured in soft tissue
HEAD_OR_LIMB = "head, neck or limb only"


@dataclass(frozen=True)
class PreparedBackground:
    """What patients are made from. `bits` (n, rows, columns) uint16 lies on a grid coarser by `step`."""

    background: str
    uid: str
    licence: str
    volume: BackgroundVolume
    levels: Levels
    bits: npt.NDArray[np.uint16]
    step: int
    tissue_hu: dict[str, float]
    noise_hu: float

    def centres(self, lesion_type: str) -> Mask:
        """Return where a lesion of that type may be centred."""
        return np.asarray(self.bits & np.uint16(1 << LESION_TYPES.index(lesion_type)) > 0)

    def room(self, lesion_type: str, slice_index: int) -> Mask:
        """Return where on a slice (rows, columns) a lesion of that type may grow."""
        bit = np.uint16(1 << (_ROOM + LESION_TYPES.index(lesion_type)))
        return np.asarray(self.bits[slice_index] & bit > 0)

    def voxel_mm(self, voxel: npt.NDArray[np.intp]) -> tuple[float, float, float]:
        """Return x, y, z mm of the middle of a coarse voxel (slice, row, column)."""
        pixel_y, pixel_x = self.volume.pixel_mm
        middle = (self.step - 1) / 2
        x, y = ((float(voxel[i]) * self.step + middle) for i in (2, 1))
        return x * pixel_x, y * pixel_y, float(self.volume.z_mm[voxel[0]])


@dataclass(frozen=True)
class Offer:
    """How many coarse voxels of one background's series each type may be centred on."""

    background: str
    uid: str
    licence: str
    slices: int
    voxels: dict[str, int]
    reason: str = ""  # why the series is no background after all


def prepare(one: BackgroundSeries, licence: str, folder: Path) -> Offer:
    """Work out a background's zones, once: what is found in `folder` is taken from there."""
    about = folder / f"{one.uid}.json"
    if not about.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _work_out(one, folder)
    found = json.loads(about.read_text(encoding="utf-8"))
    return Offer(one.background, one.uid, licence, len(one.slices), found["voxels"], found["reason"])


def load(one: BackgroundSeries, licence: str, folder: Path) -> PreparedBackground:
    """Return a background that `prepare` has worked out."""
    found = json.loads((folder / f"{one.uid}.json").read_text(encoding="utf-8"))
    volume = read_volume(one)
    z01 = np.array(found["z01"])
    return PreparedBackground(
        background=one.background,
        uid=one.uid,
        licence=licence,
        volume=volume,
        levels=Levels(z01, volume.z_mm, True),
        bits=np.load(folder / f"{one.uid}.npy"),
        step=int(found["step"]),
        tissue_hu=found["tissue_hu"],
        noise_hu=float(found["noise_hu"]),
    )


def _work_out(one: BackgroundSeries, folder: Path) -> None:
    volume = read_volume(one)
    levels = find_levels(volume)
    if not levels.shows_trunk:
        _write(folder, one.uid, {"voxels": dict.fromkeys(LESION_TYPES, 0), "reason": HEAD_OR_LIMB})
        return
    zones = find_zones(one, volume, levels)
    bits = np.zeros(zones.masks.hu.shape, np.uint16)
    for number, kind in enumerate(LESION_TYPES):
        bits |= zones.centres[kind].astype(np.uint16) << np.uint16(number)
        bits |= zones.room[kind].astype(np.uint16) << np.uint16(_ROOM + number)
    part = folder / f"{one.uid}.part.npy"
    np.save(part, bits)
    part.replace(folder / f"{one.uid}.npy")
    about = {
        "voxels": offered(zones),
        "reason": "",
        "step": zones.masks.step,
        "z01": [float(z) for z in levels.slice_z01],
        "tissue_hu": zones.tissue_hu,
        "noise_hu": _noise(volume),
    }
    _write(folder, one.uid, about)


def _write(folder: Path, uid: str, about: dict[str, object]) -> None:
    part = folder / f"{uid}.json.part"
    part.write_text(json.dumps(about), encoding="utf-8")
    part.replace(folder / f"{uid}.json")


def _noise(volume: BackgroundVolume) -> float:
    """Return the robust standard deviation of what a smoothing takes away, in soft tissue."""
    middle = volume.hu[len(volume.hu) // 4 : 3 * len(volume.hu) // 4 + 1 : 3].astype(np.float32)
    smooth = np.stack([ndimage.gaussian_filter(one, 2.0) for one in middle])
    rest = (middle - smooth)[(smooth > _NOISE_HU[0]) & (smooth < _NOISE_HU[1])]
    return float(1.4826 * np.median(np.abs(rest))) if len(rest) else 10.0
