"""Where one series and its lesions lie: scored once, then taken over as long as its inputs stay the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lesiongraph.bodypart import Atlas, SsbrModel, locate_series, place_names, remarked
from lesiongraph.lesion import LOCATIONS, SERIES_LOCATIONS
from lesiongraph.pipeline.inputs_of import mark_keys
from lesiongraph.pipeline.pixel_size import spacing_remark
from lesiongraph.pipeline.series_locations import series_location
from lesiongraph.pipeline.series_views import SeriesJob, SeriesView
from lesiongraph.workspace import DamagedResultError, StageFolder, Workspace, fingerprint

Row = dict[str, object]
_KEYS = "series_keys"
_MADE_BY = "made_by"


@dataclass(frozen=True)
class LocatedSeries:
    """What one series adds to the `locations` stage."""

    lesions: list[Row]  # LOCATIONS rows
    series: Row  # its SERIES_LOCATIONS row
    landmarks: pd.DataFrame  # z of organs that a structure set names
    slices: int = 0
    unreadable: int = 0
    not_fetched: int = 0  # left in the PACS on purpose


@dataclass(frozen=True)
class Scorer:
    """Scores a series by SSBR and names what it shows by the atlas, where one fits the model."""

    model: SsbrModel
    atlas: Atlas | None

    def locate(self, job: SeriesJob, view: SeriesView, landmarks: pd.DataFrame) -> LocatedSeries:
        """Return where a series, its lesions and its landmarks lie."""
        scores = locate_series(self.model, view.inputs, view.positions_mm, self.atlas, view.sections)
        scores = remarked(scores, spacing_remark(job.series))
        regions = [""] * len(scores.z)
        if self.atlas is not None:
            regions = [name for name, _ in place_names(scores, self.atlas)]
        given = str(job.series.get("body_part_examined") or "")  # catalogues of earlier versions lack it
        named = f"{self.model.name} sha256:{self.model.sha256[:12]}"
        at = {int(index): i for i, index in enumerate(view.slice_indices)}
        rows: list[Row] = []
        for mark in job.marks.itertuples():
            x, y, body_flag = view.xy.get(mark.lesion_id, (np.nan, np.nan, "key slice unreadable"))
            row: Row = {"lesion_id": mark.lesion_id, "x": x, "y": y, "model": named, "flag": body_flag}
            i = at.get(int(mark.slice_index))
            if i is not None:
                row |= {
                    "z": scores.z[i],
                    "z_sd": scores.z_sd[i],
                    "region": regions[i],
                    "score": scores.score[i],
                    "confidence": scores.confidence[i],
                    "flag": "; ".join(filter(None, [scores.flag[i], body_flag])),
                }
            rows.append(row)
        return LocatedSeries(
            lesions=rows,
            series=series_location(view.series_instance_uid, scores, self.atlas, given),
            landmarks=_landmark_z(landmarks, view, np.asarray(scores.z)),
            slices=len(view.slice_indices),
            unreadable=view.unreadable,
            not_fetched=view.not_fetched,
        )


def located_keys(jobs: Sequence[SeriesJob], of_series: dict[str, str]) -> dict[str, str]:
    """Return for each job's series a key of all that decides its result: the series and its marks."""
    keys = {}
    for job in jobs:
        uid = str(job.series["series_instance_uid"])
        marks = sorted(mark_keys(job.marks, of_series)) if len(job.marks) else []
        keys[uid] = fingerprint(of_series[uid], job.least_step_mm, marks)
    return keys


@dataclass
class LocatedTables:
    """The tables of the `locations` stage, filled series by series."""

    rows: dict[str, Row]  # by lesion id
    series: list[Row] = field(default_factory=list)
    landmarks: list[pd.DataFrame] = field(default_factory=list)
    keys: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, lesion_ids: Iterable[str], flag: str) -> LocatedTables:
        """Begin with a row for each lesion that says it has not been placed."""
        return cls({lesion_id: {"lesion_id": lesion_id, "flag": flag} for lesion_id in lesion_ids})

    def add(self, uid: str, key: str, located: LocatedSeries) -> None:
        """Add one series."""
        for row in located.lesions:
            self.rows[str(row["lesion_id"])].update(row)
        self.series.append(located.series)
        self.landmarks.append(located.landmarks)
        # a slice that could not be read today may be readable tomorrow: such a series is read again
        self.keys.append({"series_instance_uid": uid, "key": "" if located.unreadable else key})

    def write(self, folder: StageFolder, made_by: str) -> None:
        """Write the tables, and beside them what each series' part was made from."""
        landmarks = pd.concat(self.landmarks, ignore_index=True) if self.landmarks else None
        empty = pd.DataFrame(columns=["name"])
        folder.write_table(
            "locations", pd.DataFrame(list(self.rows.values()), columns=list(LOCATIONS)), LOCATIONS
        )
        folder.write_table(
            "series_locations", pd.DataFrame(self.series, columns=list(SERIES_LOCATIONS)), SERIES_LOCATIONS
        )
        folder.write_table("landmarks", empty if landmarks is None else landmarks)
        folder.write_table(_KEYS, pd.DataFrame(self.keys, columns=["series_instance_uid", "key"]))
        folder.write_json(_MADE_BY, made_by)


class FormerLocations:
    """The parts of a former `locations` stage, by key; empty where another model or version made it."""

    def __init__(self, folder: StageFolder | None = None) -> None:
        self._uids: dict[str, str] = {}  # key -> series
        if folder is None:
            return
        keys = folder.read_table(_KEYS)
        self._uids = dict(zip(keys["key"], keys["series_instance_uid"], strict=True))
        self._uids.pop("", None)
        self._series = folder.read_table("series_locations").set_index("series_instance_uid", drop=False)
        self._lesions = folder.read_table("locations").set_index("lesion_id", drop=False)
        landmarks = folder.read_table("landmarks")
        self._landmarks = landmarks if "series_instance_uid" in landmarks else None

    @classmethod
    def of(cls, workspace: Workspace, made_by: str) -> FormerLocations:
        """Open the workspace's former result, if it has one made in this very way."""
        if not workspace.has("locations"):
            return cls()
        folder = workspace.open("locations", "locate")
        try:
            return cls(folder) if folder.read_json(_MADE_BY) == made_by else cls()
        except DamagedResultError:  # of an earlier version, or damaged: it is made again
            return cls()

    def holds(self, key: str) -> bool:
        """Whether a series of this key was located."""
        return key in self._uids

    def take(self, key: str, marks: pd.DataFrame) -> LocatedSeries | None:
        """Return the former result of the series of this key and its kept marks; None if unknown."""
        uid = self._uids.get(key)
        if uid is None:
            return None
        no_landmarks = pd.DataFrame(columns=["series_instance_uid", "name"])
        of_series = no_landmarks
        if self._landmarks is not None:
            of_series = self._landmarks[self._landmarks.series_instance_uid == uid]
        return LocatedSeries(
            lesions=self._lesions.loc[list(marks.lesion_id)].to_dict("records"),
            series=self._series.loc[uid].to_dict(),
            landmarks=of_series,
        )


def _landmark_z(landmarks: pd.DataFrame, view: SeriesView, z: np.ndarray) -> pd.DataFrame:
    """z of the organs a structure set names: what anchors the atlas (z → organ)."""
    here = landmarks[landmarks.series_instance_uid == view.series_instance_uid]
    ends = {
        f"z_{end}": np.interp(here[f"{end}_index"], view.slice_indices, z) if len(z) else np.nan
        for end in ("top", "centre", "bottom")
    }
    return here[["series_instance_uid", "name"]].assign(**ends)
