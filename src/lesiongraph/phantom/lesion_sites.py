"""Where lesions of each type are found, and how they look there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles, vertebra_borders_mm
from lesiongraph.phantom.contours import cavity_outline, muscle_outline, skin_outline, spine_y_mm
from lesiongraph.phantom.organs import abdomen_parts, thorax_parts
from lesiongraph.phantom.shapes import Tube
from lesiongraph.phantom.skeleton import pelvic_bones, thoracic_bones
from lesiongraph.phantom.spine import rib_template_z

_TRIES = 200


@dataclass(frozen=True)
class Site:
    """A place with the look a lesion takes there."""

    organ: str
    centre_mm: Doubles  # (3,)
    look: str = "solid"
    contrast_hu: float = 0.0
    flatness: float = 0.78  # short over long axis
    roughness: tuple[float, float] = (0.03, 0.14)
    angle: float | None = None


def choose_site(anatomy: Anatomy, lesion_type: str, long_axis_mm: float, rng: np.random.Generator) -> Site:
    """Draw a site for a lesion of that type and size."""
    return _CHOOSERS[lesion_type](anatomy, long_axis_mm / 2, rng)


def _in_patient(anatomy: Anatomy, x: float, y: float, z: float) -> Doubles:
    return np.array([x * anatomy.width, y * anatomy.depth, float(anatomy.patient_z(z))])


def _near(
    anatomy: Anatomy, centre: tuple[float, ...], spread: tuple[float, ...], rng: np.random.Generator
) -> Doubles:
    """Draw a point about a place of the template; in a hard hospital it lies farther from it."""
    return _in_patient(anatomy, *rng.normal(centre, anatomy.node_spread * np.array(spread)))


def _cavity_radius(anatomy: Anatomy, point: Doubles) -> float:
    return float(cavity_outline(anatomy, point[2:3]).radius_at(point[:1], point[1:2])[0])


def _clearance(tubes: list[Tube], point: Doubles) -> float:
    """Smallest relative radius of the point in any of the tubes: above 1 is outside all of them."""
    return min(float(shape.radius_at(point[None])[0]) for shape in tubes)


def _inside(tubes: list[Tube], half_mm: float, rng: np.random.Generator, keep_mm: float = 0.6) -> Doubles:
    """Draw a point in one of the tubes, by volume, far enough from its edge where the size allows."""
    volumes = np.array([float(np.sum((t.half_x * t.half_y)[1:] * np.diff(t.z_mm))) for t in tubes])
    shape = tubes[int(rng.choice(len(tubes), p=volumes / volumes.sum()))]
    span = shape.z_mm[-1] - shape.z_mm[0]
    margin = min(half_mm * keep_mm, 0.3 * span)
    z = float(rng.uniform(shape.z_mm[0] + margin, shape.z_mm[-1] - margin))
    cx, cy, a, b, angle = shape.sections(z)
    free = max(0.15, 1 - half_mm * keep_mm / max(min(a, b), 1.0))
    r, phi = free * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    u, v = a * r * np.cos(phi), b * r * np.sin(phi)
    return np.array(
        [cx + np.cos(angle) * u - np.sin(angle) * v, cy + np.sin(angle) * u + np.cos(angle) * v, z]
    )


def _lung(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    solid = [part.tube for part in thorax_parts(anatomy)]
    pleural = rng.random() < 0.28
    look = str(
        rng.choice(
            ["solid", "spiculated", "part-solid", "ground-glass", "cavity"], p=[0.5, 0.2, 0.12, 0.1, 0.08]
        )
    )
    if pleural or half_mm < 4:
        look = "solid"
    point = np.zeros(3)
    for _ in range(_TRIES):
        z = float(anatomy.patient_z(rng.uniform(106, 384)))
        outline = cavity_outline(anatomy, np.array([z]))
        phi = rng.uniform(0, 2 * np.pi)
        r = rng.uniform(0.93, 1.0) if pleural else np.sqrt(rng.uniform(0.04, 0.86))
        point = np.array(
            [
                r * outline.half_x[0] * np.cos(phi),
                outline.centre_y[0] + r * outline.half_y[0] * np.sin(phi),
                z,
            ]
        )
        spine = abs(point[0]) < 26 and point[1] > float(spine_y_mm(anatomy, z)) - 18
        if not spine and _clearance(solid, point) > 1.04 and _cavity_radius(anatomy, point) < 1.02:
            break
    return Site("lung", point, look, float(rng.normal(0, 12)), roughness=(0.05, 0.2))


_NODES = (
    ("right paratracheal", (-19, 0, 160), (4, 5, 12), 0.17),
    ("left paratracheal", (17, 6, 172), (4, 5, 8), 0.09),
    ("prevascular", (6, -40, 162), (10, 5, 14), 0.12),
    ("subcarinal", (2, 20, 204), (6, 5, 6), 0.16),
    ("right hilar", (-44, 10, 214), (6, 8, 10), 0.13),
    ("left hilar", (46, 14, 212), (6, 8, 10), 0.11),
    ("paraoesophageal", (2, 34, 270), (8, 5, 30), 0.05),
    ("cardiophrenic", (-34, -58, 300), (10, 6, 8), 0.04),
    ("left cardiophrenic", (52, -60, 305), (8, 6, 6), 0.02),
    ("right axillary", (-132, -8, 160), (10, 12, 16), 0.045),
    ("left axillary", (132, -8, 160), (10, 12, 16), 0.045),
    ("thoracic inlet", (0, -14, 122), (20, 8, 10), 0.03),
)


def _mediastinum(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    del half_mm
    name, centre, spread, _ = _NODES[int(rng.choice(len(_NODES), p=_shares(_NODES)))]
    point = _near(anatomy, centre, spread, rng)
    look = "necrotic" if rng.random() < 0.12 else "solid"
    return Site(name, point, look, float(rng.normal(8, 16)), flatness=0.68, roughness=(0.02, 0.12))


def _shares(rows: tuple[tuple[str, tuple[float, ...], tuple[float, ...], float], ...]) -> Doubles:
    shares = np.array([row[3] for row in rows])
    return np.asarray(shares / shares.sum())


def _liver(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    tubes = [part.tube for part in abdomen_parts(anatomy) if part.organ == "liver"][:2]
    point = _inside(tubes, half_mm, rng)
    look = str(rng.choice(["hypodense", "hyperdense", "cyst", "necrotic"], p=[0.6, 0.12, 0.12, 0.16]))
    contrast = {"hypodense": -abs(rng.normal(30, 14)) - 8, "hyperdense": rng.uniform(14, 50)}
    return Site(
        "liver",
        point,
        look,
        float(contrast.get(look, -abs(rng.normal(25, 10)) - 8)),
        flatness=0.82,
        roughness=(0.02, 0.14),
    )


def _kidney(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    organ = str(rng.choice(["left kidney", "right kidney"]))
    shape = next(part.tube for part in abdomen_parts(anatomy) if part.organ == organ)
    z = float(rng.uniform(shape.z_mm[0] + 8, shape.z_mm[-1] - 8))
    cx, cy, a, b, angle = shape.sections(z)
    outward = np.sign(cx)
    # Half of them bulge out of the kidney, to the side or the back rather than into the hilum.
    r = rng.uniform(0.75, 1.15) if rng.random() < 0.55 else rng.uniform(0.2, 0.75)
    phi = rng.uniform(-1.9, 1.9) + (0 if outward > 0 else np.pi)
    u, v = a * r * np.cos(phi), b * r * np.sin(phi)
    u += outward * 0.4 * half_mm * (r > 0.75)
    point = np.array(
        [cx + np.cos(angle) * u - np.sin(angle) * v, cy + np.sin(angle) * u + np.cos(angle) * v, z]
    )
    look = str(rng.choice(["cyst", "mass", "necrotic", "fatty"], p=[0.45, 0.33, 0.14, 0.08]))
    return Site(organ, point, look, float(rng.normal(0, 14)), flatness=0.86, roughness=(0.01, 0.09))


_ABDOMEN = (
    ("para-aortic node", (20, 0, 458), (8, 8, 38), 0.16),
    ("aortocaval node", (-6, 6, 455), (6, 7, 34), 0.07),
    ("retrocrural node", (6, 26, 368), (9, 6, 16), 0.04),
    ("portal node", (-24, -22, 392), (13, 10, 12), 0.09),
    ("mesenteric node", (4, -36, 480), (32, 15, 42), 0.14),
    ("pancreas", (10, -18, 412), (28, 9, 12), 0.08),
    ("left adrenal", (33, 22, 378), (5, 5, 8), 0.05),
    ("right adrenal", (-34, 22, 376), (5, 5, 8), 0.04),
    ("spleen", (92, 30, 356), (10, 12, 20), 0.05),
    ("omentum", (0, -68, 495), (52, 8, 55), 0.07),
    ("peritoneum", (0, -22, 480), (72, 40, 75), 0.09),
    ("perihepatic peritoneum", (-88, -4, 390), (14, 34, 42), 0.03),
    ("left perirenal space", (60, 26, 440), (20, 14, 36), 0.03),
    ("right perirenal space", (-60, 26, 448), (20, 14, 36), 0.03),
    ("gastric wall", (50, -34, 365), (24, 16, 26), 0.03),
)


def _abdomen(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    name, centre, spread, _ = _ABDOMEN[int(rng.choice(len(_ABDOMEN), p=_shares(_ABDOMEN)))]
    point = np.zeros(3)
    for _ in range(_TRIES):
        point = _near(anatomy, centre, spread, rng)
        reach = 0.98 - min(0.3, half_mm / 300)
        if _cavity_radius(anatomy, point) < reach:
            break
    looks = ["solid", "necrotic", "cyst"]
    look = str(rng.choice(looks, p=[0.78, 0.13, 0.09]))
    contrast = -abs(rng.normal(22, 12)) if name == "spleen" else rng.normal(4, 20)
    return Site(name, point, look, float(contrast), flatness=0.74)


_PELVIS = (
    ("left external iliac node", (62, -22, 632), (6, 10, 20), 0.13),
    ("right external iliac node", (-62, -22, 632), (6, 10, 20), 0.13),
    ("left obturator node", (50, 8, 640), (4, 9, 12), 0.09),
    ("right obturator node", (-50, 8, 640), (4, 9, 12), 0.09),
    ("left common iliac node", (38, 10, 555), (10, 8, 26), 0.06),
    ("right common iliac node", (-38, 10, 555), (10, 8, 26), 0.06),
    ("perirectal", (0, 62, 640), (18, 8, 18), 0.08),
    ("left adnexa", (36, 10, 622), (9, 10, 12), 0.09),
    ("right adnexa", (-36, 10, 622), (9, 10, 12), 0.09),
    ("bladder wall", (0, -30, 655), (30, 14, 12), 0.06),
    ("pelvic peritoneum", (0, -14, 588), (46, 34, 26), 0.09),
    ("left inguinal node", (68, -62, 690), (10, 6, 14), 0.06),
    ("right inguinal node", (-68, -62, 690), (10, 6, 14), 0.06),
)


def _pelvis(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    del half_mm
    name, centre, spread, _ = _PELVIS[int(rng.choice(len(_PELVIS), p=_shares(_PELVIS)))]
    point = _near(anatomy, centre, spread, rng)
    cystic = 0.5 if "adnexa" in name else 0.08
    look = str(rng.choice(["solid", "necrotic", "cyst"], p=[0.86 - cystic, 0.14, cystic]))
    return Site(name, point, look, float(rng.normal(4, 18)), flatness=0.74)


def _bone(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    look = str(rng.choice(["lytic", "sclerotic", "mixed"], p=[0.5, 0.35, 0.15]))
    kind = str(rng.choice(["vertebra", "rib", "pelvis", "sacrum", "femur", "sternum"], p=[0.42, 0.25, 0.18,
        0.05, 0.04, 0.06]))  # fmt: skip
    angle = None
    if kind == "vertebra":
        point = _vertebral_point(anatomy, rng)
    elif kind == "rib":
        point, angle = _rib_point(anatomy, rng)
    else:
        names = {"pelvis": ("ilium", "ischium", "pubis"), "sternum": ("sternum", "scapula")}
        wanted = names.get(kind, (kind,))
        bones = pelvic_bones(anatomy) + thoracic_bones(anatomy)
        point = _inside([bone.tube for bone in bones if bone.organ in wanted], half_mm, rng, keep_mm=0.3)
    flat = 0.5 if kind == "rib" else 0.72
    return Site(
        kind, point, look, float(rng.normal(0, 40)), flatness=flat, roughness=(0.05, 0.2), angle=angle
    )


def _vertebral_point(anatomy: Anatomy, rng: np.random.Generator) -> Doubles:
    borders = vertebra_borders_mm()
    index = int(rng.integers(5, len(borders) - 1))
    z = borders[index] + (borders[index + 1] - borders[index]) * rng.uniform(0.3, 0.7)
    height = float(anatomy.patient_z(z))
    return np.array([rng.normal(0, 9), float(spine_y_mm(anatomy, height)) + rng.normal(3, 8), height])


def _rib_point(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Doubles, float]:
    """Return a point on a rib and the direction of the rib there."""
    number, phi, side = int(rng.integers(1, 11)), rng.uniform(0.35, 2.2), rng.choice([-1, 1])
    z = float(anatomy.patient_z(float(rib_template_z(number, phi))))
    outline = cavity_outline(anatomy, np.array([z]))
    direction = np.array([side * np.sin(phi), np.cos(phi)])
    reach = 1 / float(outline.radius_at(direction[:1], direction[1:] + outline.centre_y)[0]) + 4.5
    point = np.array([direction[0] * reach, outline.centre_y[0] + direction[1] * reach, z])
    return point, float(np.arctan2(direction[0], -direction[1]))


def _soft_tissue(anatomy: Anatomy, half_mm: float, rng: np.random.Generator) -> Site:
    kind = str(rng.choice(["subcutaneous", "muscle", "breast", "neck", "axilla"], p=[0.36, 0.34, 0.1, 0.1,
        0.1]))  # fmt: skip
    contrast = float(rng.normal(0, 16))
    look = str(rng.choice(["solid", "necrotic", "cyst"], p=[0.78, 0.12, 0.1]))
    if kind == "neck":
        point = _in_patient(anatomy, *rng.normal((rng.choice([-1, 1]) * 34, 8, 70), (6, 9, 22)))
        return Site("neck", point, look, contrast)
    if kind == "axilla":
        point = _in_patient(anatomy, *rng.normal((rng.choice([-1, 1]) * 138, 0, 170), (10, 16, 24)))
        return Site("axilla", point, look, contrast)
    if kind == "breast" and anatomy.sex == "F":
        z = float(anatomy.patient_z(rng.uniform(200, 275)))
        front = _front(anatomy, z)
        point = np.array([rng.choice([-1, 1]) * rng.uniform(45, 95), front - anatomy.breast_mm * 0.25, z])
        return Site("breast", point, "solid", contrast, roughness=(0.05, 0.22))
    return _in_body_wall(anatomy, half_mm, kind, look, rng)


def _front(anatomy: Anatomy, z: float) -> float:
    outline = muscle_outline(anatomy, np.array([z]))
    return float(outline.centre_y[0] - 0.88 * outline.half_y[0])


def _in_body_wall(anatomy: Anatomy, half_mm: float, kind: str, look: str, rng: np.random.Generator) -> Site:
    """Draw a point between cavity and skin, at any height of the trunk."""
    z = float(anatomy.patient_z(rng.uniform(125, 790)))
    at = np.array([z])
    phi = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(phi), np.sin(phi)])
    skin, muscle, cavity = skin_outline(anatomy, at), muscle_outline(anatomy, at), cavity_outline(anatomy, at)
    edges = [
        1 / float(o.radius_at(direction[:1], direction[1:] + o.centre_y)[0]) for o in (cavity, muscle, skin)
    ]
    if kind == "muscle":
        reach = rng.uniform(edges[0] + 10, max(edges[1] - min(half_mm, 8), edges[0] + 11))
    else:
        reach = rng.uniform(edges[1], max(edges[2] - min(half_mm, 10), edges[1] + 1))
    point = np.array([direction[0] * reach, muscle.centre_y[0] + direction[1] * reach, z])
    contrast = (
        float(rng.choice([-1, 1]) * rng.uniform(12, 40)) if kind == "muscle" else float(rng.normal(0, 16))
    )
    return Site(kind if kind == "muscle" else "subcutaneous", point, look, contrast)


_CHOOSERS: dict[str, Callable[[Anatomy, float, np.random.Generator], Site]] = {
    "bone": _bone,
    "abdomen": _abdomen,
    "mediastinum": _mediastinum,
    "liver": _liver,
    "lung": _lung,
    "kidney": _kidney,
    "soft tissue": _soft_tissue,
    "pelvis": _pelvis,
}
