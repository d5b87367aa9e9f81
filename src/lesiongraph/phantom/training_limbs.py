"""Arms as training patients hold them: up, beside the trunk, on the belly, out of view; and genitals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.contours import Outline
from lesiongraph.phantom.shapes import Tube
from lesiongraph.phantom.skeleton import Bone, arm_bones, arm_tubes

_PLACES = ("up", "none", "down", "belly")
_ELBOW_MM = 405.0
_Limb = tuple[list[Tube], list[Bone]]


@dataclass(frozen=True)
class ArmPose:
    """Where one arm lies."""

    place: str  # one of "up", "none", "down", "belly"
    shift_mm: tuple[float, float, float]  # outwards, to the back, to the feet

    @classmethod
    def sample(cls, rng: np.random.Generator, down: float) -> ArmPose:
        """Draw a place; `down` is how often the arm lies beside the trunk."""
        belly, none = 0.10, 0.18
        place = str(rng.choice(_PLACES, p=(1 - down - belly - none, none, down, belly)))
        return cls(place, (float(rng.normal(4, 9)), float(rng.normal(0, 16)), float(rng.normal(0, 12))))


def sample_arms(rng: np.random.Generator, down: float) -> tuple[ArmPose, ArmPose]:
    """Draw both arms (left, right); most people hold them alike."""
    left, right = ArmPose.sample(rng, down), ArmPose.sample(rng, down)
    return left, (replace(right, place=left.place) if rng.random() < 0.88 else right)


def pose_arms(
    anatomy: Anatomy, poses: tuple[ArmPose, ArmPose], skin: Outline, z_mm: Doubles
) -> tuple[tuple[Tube, ...], tuple[Bone, ...]]:
    """Return soft outlines and bones of both arms and of the shoulders.

    Parameters
    ----------
    anatomy : Anatomy
    poses : tuple of ArmPose
        Left, right.
    skin : Outline
        Of the slices at `z_mm`; a forearm rests on it.
    z_mm : ndarray, shape (n,)
    """
    tubes, bones = [], []
    for side, pose in enumerate(poses):
        limb, own = _arm(anatomy, side, pose)
        if pose.place == "belly":
            limb, own = _folded(anatomy, (limb, own), pose, (skin, z_mm))
        raised = pose.place in ("up", "none")
        tubes += [arm_tubes(anatomy, raised)[2 + side], *limb]  # the shoulder, then the arm
        bones += own
    return (*tubes, *_genitals(anatomy, skin, z_mm)), tuple(bones)


def _arm(anatomy: Anatomy, side: int, pose: ArmPose) -> _Limb:
    """Return a straight arm; `side` 0 is the left."""
    if pose.place == "none":
        return [], []
    outwards, back, down = pose.shift_mm
    shift = (outwards if side == 0 else -outwards, back, down)
    raised = pose.place == "up"
    bones = [replace(bone, tube=_hinged(bone.tube, shift)) for bone in arm_bones(anatomy, raised)[side::2]]
    return [_hinged(arm_tubes(anatomy, raised)[side], shift)], bones


def _hinged(shape: Tube, shift: tuple[float, float, float]) -> Tube:
    """Move a limb, little near the midline's shoulder and more further along."""
    dx, dy, dz = shift
    shoulder = shape.z_mm[int(np.argmin(np.abs(shape.centre_x)))]
    reach = np.clip(np.abs(shape.z_mm - shoulder) / 250, 0.15, 1.5)
    z = np.maximum.accumulate(shape.z_mm + dz * (reach - 0.15))
    x, y = shape.centre_x + dx * reach, shape.centre_y + dy * reach
    return Tube(z, x, y, shape.half_x, shape.half_y, shape.angle, shape.square)


def _folded(anatomy: Anatomy, limb: _Limb, pose: ArmPose, trunk: tuple[Outline, Doubles]) -> _Limb:
    """Cut an arm at the elbow and lay its forearm on the belly."""
    (upper,), bones = limb
    elbow = float(anatomy.patient_z(_ELBOW_MM))
    sign = 1.0 if upper.centre_x[0] > 0 else -1.0
    forearm, thin = _forearm(elbow - 13 + pose.shift_mm[2], sign, trunk)
    above = [bone for bone in bones if bone.tube.z_mm[0] < elbow - 3]
    return [_cut_below(upper, elbow), forearm], [*above, *thin]


def _cut_below(shape: Tube, z_mm: float) -> Tube:
    """Return the part above `z_mm`, closed over 12 mm."""
    keep = shape.z_mm < z_mm
    end = shape.sections(np.array([z_mm, z_mm + 12]))
    end[1, 2:4] = 0
    old = (shape.centre_x, shape.centre_y, shape.half_x, shape.half_y, shape.angle)
    x, y, a, b, angle = (np.concatenate([column[keep], end[:, k]]) for k, column in enumerate(old))
    return Tube(np.concatenate([shape.z_mm[keep], [z_mm, z_mm + 12]]), x, y, a, b, angle, shape.square)


def _forearm(top_mm: float, sign: float, trunk: tuple[Outline, Doubles]) -> tuple[Tube, list[Bone]]:
    """Return a forearm from the flank to the front of the belly, and its two bones."""
    skin, z_mm = trunk
    z = top_mm + np.array([0.0, 12, 40, 62, 74])
    front, depth, half = (
        np.interp(z, z_mm, o) for o in (skin.centre_y - skin.half_y, skin.half_y, skin.half_x)
    )
    inwards = np.array([0.95, 0.9, 0.6, 0.35, 0.3])  # share of the half width
    # On the flank the skin lies further back than in front.
    y = front - 22 + 0.75 * depth * (1 - np.sqrt(1 - inwards**2))
    x, angle = sign * half * inwards, np.full(5, sign * 0.45)
    soft = Tube(z, x, y, np.array([0, 62, 84, 70, 0.0]), np.array([0, 30, 31, 27, 0.0]), angle)
    inner, long, thin = slice(1, 4), np.array([0, 70, 0.0]), np.array([0, 6.5, 0.0])
    bones = [
        Bone(
            "forearm",
            Tube(z[inner], x[inner] + sign * off, y[inner] + off, long, thin, angle[inner]),
            2.5,
            "marrow",
        )
        for off in (-7.0, 8.0)
    ]
    return soft, bones


def _genitals(anatomy: Anatomy, skin: Outline, z_mm: Doubles) -> tuple[Tube, ...]:
    """Return penis and scrotum of a man: they hang in front of the pubis and between the thighs."""
    if anatomy.sex != "M":
        return ()
    z = anatomy.patient_z(np.array([676.0, 690, 715, 745, 770, 782]))
    front = np.interp(z, z_mm, skin.centre_y - skin.half_y)
    sink = np.array([0.0, 4, 22, 38, 48, 50])  # below the pubis they lie deeper than the thighs' front
    a, b = np.array([0, 16, 26, 30, 20, 0.0]), np.array([0, 16, 20, 24, 18, 0.0])
    return (Tube(z, np.zeros(6), front + sink, a, b, np.zeros(6)),)
