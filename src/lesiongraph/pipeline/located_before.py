"""What an earlier `locate` found of series unchanged since: a new study must not cost all the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lesiongraph.lesion import LOCATIONS, SERIES_LOCATIONS
from lesiongraph.pipeline.series_views import SeriesJob
from lesiongraph.workspace import Workspace, fingerprint

_NAME = "jobs"  # table of the stage: series, and the key of what it was located from


@dataclass(frozen=True)
class LocatedSeries:
    """The rows of one series."""

    locations: list[dict[str, Any]]
    series: dict[str, Any]
    landmarks: pd.DataFrame


@dataclass
class LocatedBefore:
    """The former result, by what each series was located from.

    `context` is what holds for all series: model, atlas, version of the tables.
    """

    context: str
    _keys: dict[str, str] = field(default_factory=dict)  # series -> key
    _locations: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(LOCATIONS)))
    _series: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SERIES_LOCATIONS)))
    _landmarks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["series_instance_uid"]))

    @classmethod
    def read(cls, workspace: Workspace, context: str) -> LocatedBefore:
        """Read the former result; an empty one where there is none that says what it was made from."""
        if not workspace.has("locations"):
            return cls(context)
        folder = workspace.open("locations", "locate")
        names = (_NAME, "locations", "series_locations", "landmarks")
        if not all((folder.path / f"{name}.parquet").exists() for name in names):
            return cls(context)  # of an earlier version
        jobs, *tables = (folder.read_table(name) for name in names)
        if list(tables[0].columns) != list(LOCATIONS) or list(tables[1].columns) != list(SERIES_LOCATIONS):
            return cls(context)
        keys = dict(zip(jobs.series_instance_uid, jobs.key, strict=True))
        return cls(context, keys, tables[0].set_index("lesion_id", drop=False), *tables[1:])

    def key(self, job: SeriesJob, landmarks: pd.DataFrame) -> str:
        """Return what decides a series' rows: its own rows of the catalogue, and the context."""
        here = landmarks[landmarks.series_instance_uid == job.series["series_instance_uid"]]
        frames = [_digest(frame) for frame in (job.slices, job.marks, here)]
        return fingerprint(self.context, job.series, job.least_step_mm, *frames)

    def find(self, job: SeriesJob, key: str) -> LocatedSeries | None:
        """Return the rows of a series that was located from the same."""
        uid = str(job.series["series_instance_uid"])
        if self._keys.get(uid) != key or not job.marks.lesion_id.isin(self._locations.index).all():
            return None
        series = self._series[self._series.series_instance_uid == uid]
        if len(series) != 1:
            return None
        rows = self._locations.loc[job.marks.lesion_id]
        landmarks = self._landmarks
        if "series_instance_uid" in landmarks:
            landmarks = landmarks[landmarks.series_instance_uid == uid]
        return LocatedSeries(rows.to_dict("records"), series.iloc[0].to_dict(), landmarks)


def jobs_table(jobs: Sequence[SeriesJob], keys: Sequence[str]) -> tuple[str, pd.DataFrame]:
    """Return name and content of the table that a later run reads."""
    uids = [str(job.series["series_instance_uid"]) for job in jobs]
    return _NAME, pd.DataFrame({"series_instance_uid": uids, "key": list(keys)}, dtype="object")


def _digest(frame: pd.DataFrame) -> str:
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]
