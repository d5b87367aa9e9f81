"""What a report says: one study, its lesions, and by which algorithm they were joined."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.sr.coding import Code

from lesiongraph.lesion import Axis, RecistMark
from lesiongraph.mining.sites import type_of_site
from lesiongraph.mining.write_back import codes

CORNER_TO_CENTRE_PX = (
    0.5  # DICOM's image coordinates begin at the corner of the first pixel (PS3.3 C.18.6.1.1)
)
LENGTH_DIGITS = 2
SHARE_DIGITS = 3  # z and its error
PROBABILITY_DIGITS = 2


@dataclass(frozen=True)
class Tracking:
    """One lesion over time: its UID, its number among the patient's lesions."""

    uid: str
    number: int

    @property
    def label(self) -> str:
        """The lesion's name for a reader, the same in all of the patient's studies."""
        return f"Lesion {self.number}"


@dataclass(frozen=True)
class OriginalMark:
    """The object and item that a mark was mined from, by the UIDs its PACS knows."""

    sop_instance_uid: str = ""  # "" where the source cannot be read any more
    sop_class_uid: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    item: str = ""
    tracking_id: str = ""
    tracking_uid: str = ""
    findings: tuple[Code, ...] = ()  # coded as in the original
    sites: tuple[Code, ...] = ()
    words: str = ""  # what it calls the lesion, where it has no code for that


@dataclass(frozen=True)
class ReportedLesion:
    """One lesion instance of a study. Coordinates are array coordinates of the stored image (px).

    NaN and "" stand for what is not known: nothing is then said of it.
    """

    lesion_id: str
    tracking: Tracking
    series_instance_uid: str
    sop_instance_uid: str  # of the key slice
    frame: int  # 0-based; of a multi-frame image
    mark: RecistMark
    long_mm: float
    short_mm: float
    original: OriginalMark = OriginalMark()
    type: str = ""  # stated by the original
    predicted_type: str = ""
    type_probability: float = math.nan
    z: float = math.nan
    z_sd: float = math.nan
    region: str = ""
    match_probability: float = math.nan
    state_before: str = ""

    def as_said(self) -> ReportedLesion:
        """Return the lesion as the report states it: rounded, a finding always, the site that fits its type.

        The catalogue's type may have been corrected by a person: the original's site then gives way. A
        predicted type is no site: whoever reads the report must not take it for the radiologist's.
        """
        known = self.original
        sites = known.sites
        if next((name for site in sites if (name := type_of_site(site))), "") != self.type:
            sites = (codes.TYPES[self.type],) if self.type else ()
        return dataclasses.replace(
            self,
            original=dataclasses.replace(
                known,
                findings=known.findings[:1] or (codes.LESION,),
                sites=sites,
                words="" if known.findings else known.words,
            ),
            long_mm=round(self.long_mm, LENGTH_DIGITS),
            short_mm=round(self.short_mm, LENGTH_DIGITS),
            predicted_type="" if self.type else self.predicted_type,
            type_probability=math.nan if self.type else round(self.type_probability, PROBABILITY_DIGITS),
            match_probability=round(self.match_probability, PROBABILITY_DIGITS),
            z=round(self.z, SHARE_DIGITS),
            z_sd=round(self.z_sd, SHARE_DIGITS),
        )


@dataclass(frozen=True)
class Algorithm:
    """By what lesions were located and joined (TID 4019)."""

    name: str
    version: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyFacts:
    """All that a report says of one study."""

    study_instance_uid: str
    lesions: tuple[ReportedLesion, ...]
    algorithm: Algorithm
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        lesions = sorted((lesion.as_said() for lesion in self.lesions), key=lambda lesion: lesion.lesion_id)
        object.__setattr__(self, "lesions", tuple(lesions))
        object.__setattr__(self, "digest", self._digest())

    def _digest(self) -> str:
        """Return a hash of what is said; that a new version of the software says it is no new content."""
        said = [_plain(lesion) for lesion in self.lesions]
        stated = [self.study_instance_uid, said, self.algorithm.name, list(self.algorithm.parameters)]
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def image_points(axis: Axis) -> npt.NDArray[np.float64]:
    """Return both ends (2, 2) in DICOM's image coordinates, as exactly as a report holds them (VR FL)."""
    points = np.array([[axis.x0, axis.y0], [axis.x1, axis.y1]]) + CORNER_TO_CENTRE_PX
    return points.astype(np.float32).astype(np.float64)


def _plain(lesion: ReportedLesion) -> dict[str, object]:
    """Return what a lesion's group says as JSON values.

    The lines are taken as the report holds them, so that a catalogue mined from it says the same; lengths
    follow from them. Where the lesion lies in the body moves by less than its error whenever other slices of
    the series have been scored, so that alone makes no new report; other weights do, as a parameter.
    """
    said = dataclasses.asdict(lesion)
    for name in ("long_mm", "short_mm", "z", "z_sd", "region"):
        del said[name]
    said["mark"] = [image_points(axis).tolist() for axis in (lesion.mark.long_axis, lesion.mark.short_axis)]
    for name in ("findings", "sites"):
        said["original"][name] = [code[:2] for code in said["original"][name]]
    return {name: None if value != value else value for name, value in said.items()}  # NaN is no JSON
