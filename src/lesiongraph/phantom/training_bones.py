"""Bones that only training volumes have: curved iliac wings, sacral wings and a skull."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.shapes import Row, Tube, mirrored, tube
from lesiongraph.phantom.skeleton import Bone, pelvic_bones

_CREST_MM, _CREST_FADES_MM = 502.0, 575.0
_SHAFT_END_MM = 960.0
_SEAT_MM, _SEAT_SHARE = 690.0, 0.7  # below this the template's ischium is too long
# The back third of the iliac wing turns in to meet the sacrum; the front third turns out.
_WINGS: tuple[tuple[float, tuple[Row, ...]], ...] = (
    (1.8, ((528, 66, 62, 0, 0, -75), (540, 62, 64, 22, 7, -70), (575, 54, 74, 27, 8, -62),
        (602, 50, 84, 22, 8, -55), (620, 54, 84, 0, 0, -55))),
    (1.8, ((540, 124, -18, 0, 0, -80), (552, 122, -20, 16, 5, -80), (590, 112, -22, 14, 6.5, -84),
        (615, 104, -20, 12, 7, -88), (628, 100, -14, 0, 0, -88))),
)  # fmt: skip
_SACRAL_WINGS: tuple[Row, ...] = ((564, 32, 46, 0, 0, 25), (576, 35, 50, 24, 14, 28),
    (600, 34, 63, 24, 13, 33), (622, 28, 74, 17, 10, 35), (638, 24, 80, 0, 0, 35))  # fmt: skip
_SKULL: tuple[tuple[str, float, str, tuple[Row, ...]], ...] = (
    ("skull", 6.0, "gland", ((-198, 0, 4, 0, 0), (-180, 0, 4, 52, 66), (-140, 0, 4, 66, 84),
        (-100, 0, 6, 66, 82), (-70, 0, 26, 58, 58), (-52, 0, 44, 40, 36), (-42, 0, 54, 0, 0))),
    ("maxilla", 1.5, "lung", ((-92, 26, -52, 0, 0), (-84, 26, -52, 17, 19), (-62, 24, -52, 15, 17),
        (-50, 22, -50, 0, 0))),
    ("maxilla", 1.5, "lung", ((-92, -26, -52, 0, 0), (-84, -26, -52, 17, 19), (-62, -24, -52, 15, 17),
        (-50, -22, -50, 0, 0))),
    ("palate", 5.0, "spongiosa", ((-50, 0, -56, 0, 0), (-44, 0, -56, 26, 17), (-34, 0, -56, 26, 17),
        (-26, 0, -56, 0, 0))),
)  # fmt: skip


def training_pelvis(anatomy: Anatomy, crest_mm: float) -> tuple[Bone, ...]:
    """Return the pelvis with its crest `crest_mm` lower, wings that meet the sacrum, and the femora."""
    lower = float(anatomy.patient_z(_CREST_MM + crest_mm) - anatomy.patient_z(_CREST_MM))
    fades = float(anatomy.patient_z(_CREST_FADES_MM))
    crest = float(anatomy.patient_z(_CREST_MM))
    bones = []
    for bone in pelvic_bones(anatomy):
        if bone.organ == "ilium":
            share = np.clip((fades - bone.tube.z_mm) / (fades - crest), 0, 1)
            bone = _with_heights(bone, bone.tube.z_mm + lower * share)
        elif bone.organ in ("ischium", "pubis"):
            bone = _with_heights(bone, seat_heights_mm(anatomy, bone.tube.z_mm))
        elif bone.organ == "femur" and bone.inside == "marrow":  # the template's shaft ends at mid thigh
            bone = _with_heights(bone, np.append(bone.tube.z_mm[:-1], anatomy.patient_z(_SHAFT_END_MM)))
        bones.append(bone)
    wings = [("ilium", shell, rows) for shell, rows in _WINGS] + [("sacrum", 1.6, _SACRAL_WINGS)]
    for organ, shell, rows in wings:
        bones += [Bone(organ, tube(anatomy, side), shell) for side in (list(rows), mirrored(rows))]
    hips = [bone for bone in bones if bone.organ not in ("sacrum", "femur")]
    sacrum = [bone for bone in bones if bone.organ == "sacrum"]
    return (*_merged(hips), *_merged(sacrum), *(bone for bone in bones if bone.organ == "femur"))


def _merged(bones: list[Bone]) -> list[Bone]:
    """Order overlapping pieces so that they look like one bone: first all cortex, then all insides."""
    solid = [replace(bone, inside="cortex") for bone in bones]
    cores = [replace(bone, tube=bone.tube.shrunk(bone.shell_mm), shell_mm=0.0) for bone in bones]
    return [*solid, *cores]


def seat_heights_mm(anatomy: Anatomy, z_mm: npt.ArrayLike) -> Doubles:
    """Return where training bodies have what the template's ischium has at heights (n,)."""
    z, seat = np.asarray(z_mm, float), float(anatomy.patient_z(_SEAT_MM))
    return np.where(z > seat, seat + _SEAT_SHARE * (z - seat), z)


def raised_girdle(bones: tuple[Bone, ...], by_mm: float) -> tuple[Bone, ...]:
    """Return the bones with their scapulae `by_mm` nearer the head."""
    return tuple(
        replace(bone, tube=bone.tube.shifted(0, 0, -by_mm)) if bone.organ == "scapula" else bone
        for bone in bones
    )


def _with_heights(bone: Bone, z_mm: Doubles) -> Bone:
    old = bone.tube
    moved = Tube(z_mm, old.centre_x, old.centre_y, old.half_x, old.half_y, old.angle, old.square)
    return Bone(bone.organ, moved, bone.shell_mm, bone.inside, bone.halo_mm)


def head_bones(anatomy: Anatomy) -> tuple[Bone, ...]:
    """Return a plain skull with brain, maxillary sinuses and palate: neck scans begin there."""
    return tuple(Bone(name, tube(anatomy, rows), shell, inside) for name, shell, inside, rows in _SKULL)
