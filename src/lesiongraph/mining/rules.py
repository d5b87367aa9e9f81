"""The rules that tell an erroneous annotation: name, reason, why, and every threshold, in one place (Sec. 3).

A rule rejects a mark (it stays in the catalogue with its reason, and a person may accept it by hand) or only
remarks on it (a flag of a kept mark). The numbers are ours: the paper states none. What they stand on is in
docs/rules.md; "DeepLesion" below means the 27,406 marks of its official splits 1 and 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ZERO_LENGTH_PX = 0.5  # less than half a pixel is a click, not a measurement
SHORTEST_MM = 1.0  # of a long axis; the shortest in DeepLesion is 1.3 mm
LONGEST_MM = 400.0  # of a long axis; the longest in DeepLesion is 359 mm, the paper's 343 mm
PERPENDICULAR_TOLERANCE_DEG = 15.0  # readers draw the short axis by hand; beyond this it is a flag
LEAST_ANGLE_DEG = 45.0  # below, the short axis runs rather along the long one than across it
CROSSING_TOLERANCE = 0.1  # an axis may end this share of its length short of the other one
APART = 0.5  # an axis that ends more than this share of its length short measures something else
AXIAL_MIN_COSINE = 0.8  # a gantry tilts up to 30° (cos 0.87); beyond 37° an image is not axial
_AXIAL_DEG = math.degrees(math.acos(AXIAL_MIN_COSINE))
ON_BODY_FRACTION = 0.25  # a mark is on the body when this share of its box's core is
DUPLICATE_PX = 1.0  # SR against GSPS: they round, and differ in where a pixel begins; per end of an axis
COPY_PX = 0.05  # SR against SR: two readers who measure a small lesion come within 1 px, but not so near
SCOUT_WORDS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM")  # in Image Type

ACCEPTED_BY_HAND = "accepted by hand"  # flag of a mark that a rule rejected and a person kept


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    name : str
        Short, for tables and counts.
    reasons : tuple of str
        How the reasons of the rows that it rejected begin; empty where it only remarks.
    flags : tuple of str
        Its remarks on marks that stand.
    explanation : str
        Why such a mark is wrong, for a person who judges the rule.
    limits : tuple of str
        Its thresholds, with units.
    """

    name: str
    reasons: tuple[str, ...]
    explanation: str
    limits: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The reason that a rejected row begins with."""
        return self.reasons[0]

    @property
    def flag(self) -> str:
        """The remark on a mark that stands."""
        return self.flags[0]

    def rejected(self, reason: str) -> bool:
        """Whether this rule gave a rejected row its reason."""
        return reason.removeprefix(IMAGE_NOT_USABLE).startswith(self.reasons) if self.reasons else False


IMAGE_NOT_USABLE = "image not usable: "  # before a reason that is one of the image, not of the mark

NOT_A_NUMBER = Rule(
    "not a number",
    ("not a number",),
    "A coordinate is missing, infinite or no number: the mark has no place.",
)
ZERO_LENGTH = Rule(
    "zero length",
    ("zero length",),
    "A click without a drag leaves both ends of a line on one point.",
    (f"an axis under {ZERO_LENGTH_PX:g} px",),
)
OFF_IMAGE = Rule(
    "off the image",
    ("outside the image",),
    "An end of an axis lies beyond the image, so the mark belongs to another image or its numbers are wrong.",
    ("an end more than 0.5 px beyond the outer pixels' centres",),
)
OFF_BODY = Rule(
    "off the body",
    ("off the body",),
    "The mark lies in the air or on the table. Where the field of view cuts the body it is only remarked on, "
    "since what lies outside the mask may still be patient.",
    (f"less than {ON_BODY_FRACTION:.0%} of the middle of its box is body",),
    ("perhaps off the body",),
)
IMPOSSIBLE_LENGTH = Rule(
    "impossible length",
    ("impossible length",),
    "No lesion is as long as the body is wide, and none shorter than a pixel can be measured: the spacing "
    "or the coordinates are wrong.",
    (f"long axis over {LONGEST_MM:g} mm", f"long axis under {SHORTEST_MM:g} mm"),
)
SHORT_LONGER = Rule(
    "short axis longer than long",
    (),
    "The source names the two the other way round. The mark is right once they are exchanged, so it stands.",
    ("the stated short axis is the longer one, in mm",),
    ("axes swapped",),
)
NOT_CROSSING = Rule(
    "axes that do not cross",
    ("axes lie apart",),
    "Both diameters of one lesion cross. A short axis drawn a little beside the long one is loose drawing; "
    "one that would need half its length again to meet it measures something else.",
    (
        f"an axis ends more than {APART:.0%} of its length short of the other",
        f"flag: more than {CROSSING_TOLERANCE:.0%}",
    ),
    ("axes do not cross",),
)
ANGLE = Rule(
    "angle",
    ("axes not across each other",),
    "RECIST's short axis stands square on the long one. A line that runs rather along it is no short axis.",
    (f"axes at under {LEAST_ANGLE_DEG:g}°", f"flag: more than {PERPENDICULAR_TOLERANCE_DEG:g}° off 90°"),
    ("axes not perpendicular",),
)
NO_SPACING = Rule(
    "pixel spacing unknown",
    ("pixel spacing unknown", "pixel spacing not positive"),
    "Without the size of a pixel nothing can be measured in mm.",
)
NOT_AXIAL = Rule(
    "not axial",
    ("not axial", "second orientation of its series"),
    "The image does not lie across the body (a coronal or sagittal reformat), so x, y and z of the body "
    "location have no meaning on it.",
    (f"more than {_AXIAL_DEG:.0f}° (cosine {AXIAL_MIN_COSINE:g}) off the plane across the body",),
)
SCOUT = Rule(
    "scout",
    ("scout image",),
    "A localizer is a projection: a lesion on it has no slice.",
    (f"Image Type says {', '.join(word.lower() for word in SCOUT_WORDS)}",),
)
NOT_CT = Rule(
    "not CT",
    ("not CT", "not in HU"),
    "The image is of another modality, a colour picture, a mask, or has no HU scale.",
    ("fewer than 16 bits, several samples a pixel, or no rescale to HU",),
)
DUPLICATE = Rule(
    "duplicate of another object",
    ("duplicate of",),
    "A workstation files one measurement twice, as SR and as presentation state. One stands: SR before GSPS "
    "before what was derived from an outline.",
    (
        f"both axes within {DUPLICATE_PX:g} px on the same image, in two objects of different kinds",
        f"within {COPY_PX:g} px in two of one kind, or with tracking UIDs that differ",
    ),
)
REPLACED = Rule(
    "replaced report",
    ("replaced by a later version of its report",),
    "An amended report repeats the marks of the version it replaces.",
)

RULES = (
    OFF_BODY, OFF_IMAGE, SHORT_LONGER, NOT_CROSSING, ANGLE, IMPOSSIBLE_LENGTH, ZERO_LENGTH, NOT_A_NUMBER,
    NO_SPACING, NOT_AXIAL, SCOUT, NOT_CT, DUPLICATE, REPLACED,
)  # fmt: skip


def rule_of(reason: str) -> Rule | None:
    """Return the rule that gave a rejected row its reason.

    None where no rule judged it: its image is absent, its object unreadable, or it is no pair of axes.
    """
    return next((rule for rule in RULES if rule.rejected(reason)), None)


def length_fault(long_mm: float) -> str:
    """Return why a long axis of that length (mm) cannot be; "" where it can, or is not known."""
    if long_mm > LONGEST_MM:
        return f"{IMPOSSIBLE_LENGTH.reason} (over {LONGEST_MM:g} mm)"
    if long_mm < SHORTEST_MM:
        return f"{IMPOSSIBLE_LENGTH.reason} (under {SHORTEST_MM:g} mm)"
    return ""
