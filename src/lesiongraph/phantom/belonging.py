"""Whether a lesion's place is one that a radiologist would call by its type.

Where patients differ a lot, a node of the table may fall into the liver or a lung. Its type would then be a
wrong label, and no embedding could learn it: the hard hospital draws such a place again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lesiongraph.phantom.anatomy import Anatomy, Doubles
from lesiongraph.phantom.contours import cavity_outline
from lesiongraph.phantom.lesions import PhantomLesion
from lesiongraph.phantom.organs import Part, abdomen_parts, thorax_parts
from lesiongraph.phantom.shapes import Tube
from lesiongraph.phantom.skeleton import pelvic_bones

PELVIC_INLET = (530.0, 550.0)  # template heights (mm): no pelvic lesion above the first, no abdominal below
LUNG_BOTTOM = 392.0
KIDNEYS = ("left kidney", "right kidney")
HILAR_RADIUS = 1.3  # of the mediastinum: how far into the lung a hilar node reaches


def belongs(anatomy: Anatomy, lesion: PhantomLesion) -> bool:
    """Return whether the place of a lesion suits its type; true for the types that are placed by organ."""
    centre = np.array([lesion.centre_mm])
    height = float(anatomy.template_z(lesion.centre_mm[2]))
    below = abdomen_parts(anatomy)
    if lesion.type == "liver":
        return not _in_any(below, KIDNEYS, centre)  # where the two meet, the kidney is drawn over the liver
    if lesion.type == "abdomen":
        others = () if lesion.organ == "spleen" else ("liver", *KIDNEYS)
        in_belly = height < PELVIC_INLET[1] and not _in_lung(anatomy, centre, 1.0)
        return in_belly and not _in_any(below, others, centre)
    if lesion.type == "mediastinum":
        reach = HILAR_RADIUS if "hilar" in lesion.organ else 1.05
        elsewhere = ("abdominal fat", "heart")
        return not _in_lung(anatomy, centre, reach) and not _in_any(thorax_parts(anatomy), elsewhere, centre)
    if lesion.type == "pelvis":
        in_bone = any(_inside(bone.tube, centre) for bone in pelvic_bones(anatomy))
        return height > PELVIC_INLET[0] and not in_bone
    # An axillary node is called mediastinal here, as the mediastinum's own table has it.
    return not (lesion.type == "soft tissue" and lesion.organ == "axilla")


def _in_any(parts: Sequence[Part], organs: Sequence[str], centre_mm: Doubles) -> bool:
    return any(part.organ in organs and _inside(part.tube, centre_mm) for part in parts)


def _inside(tube: Tube, centre_mm: Doubles) -> bool:
    return float(tube.radius_at(centre_mm)[0]) < 1


def _in_lung(anatomy: Anatomy, centre_mm: Doubles, reach: float) -> bool:
    """Whether a point (1, 3) lies among lung: in the chest, and beyond `reach` radii of all in its middle."""
    x, y, z = centre_mm.T
    if float(anatomy.template_z(z)[0]) > LUNG_BOTTOM:
        return False
    in_cavity = float(cavity_outline(anatomy, z).radius_at(x, y)[0]) < 1
    middle = min(float(part.tube.radius_at(centre_mm)[0]) for part in thorax_parts(anatomy))
    return in_cavity and middle > reach
