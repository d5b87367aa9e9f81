"""The catalogue as the other stages and the user see it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from lesiongraph.lesion import (
    CATALOGUE,
    KEPT,
    LOCATIONS,
    REJECTED,
    SERIES_LOCATIONS,
    Decision,
    conform,
)
from lesiongraph.workspace import RunReport, SortedTable, StageFolder, Workspace

TABLES = CATALOGUE
SLICES_KEY = "series_instance_uid"  # what the snapshot's slices are sorted and read by
DECISIONS = "decisions"  # the stage that holds every decision taken
_LOCATION_COLUMNS = {"score": "z_score", "confidence": "z_confidence", "flag": "z_flag", "model": "z_model"}


@dataclass(frozen=True)
class Catalogue:
    """The snapshot of the catalogue: three tables in memory, the slices on disk, read series by series.

    There are a hundred and more slices to a lesion's series: whole, they would be most of what a stage holds.
    """

    lesions: pd.DataFrame
    series: pd.DataFrame
    landmarks: pd.DataFrame
    slices: SortedTable  # SLICES rows by series, head → foot

    @classmethod
    def read(cls, folder: StageFolder) -> Catalogue:
        """Read the folder of a `catalogue` stage."""
        lesions, series, landmarks = map(folder.read_table, ("lesions", "series", "landmarks"))
        return cls(lesions, series, landmarks, folder.open_sorted("slices", SLICES_KEY))


def read_catalogue(workspace: Workspace) -> Catalogue:
    """Return the four tables.

    Raises
    ------
    StageMissingError
        If nothing has been mined.
    """
    return Catalogue.read(workspace.open("catalogue", "mine SOURCE", "catalogue"))


def read_decisions(workspace: Workspace) -> list[Decision]:
    """Return every decision of people that the snapshot knows, oldest first."""
    if not workspace.has(DECISIONS):
        return []
    rows = workspace.open(DECISIONS, "decide list").read_table(DECISIONS)
    return [Decision(**{**row, "id": int(row["id"])}) for row in rows.to_dict("records")]


def read_locations(workspace: Workspace) -> pd.DataFrame:
    """Return the LOCATIONS table; empty before `locate`."""
    if not workspace.has("locations"):
        return conform(pd.DataFrame(), LOCATIONS)
    # a table of an earlier version lacks columns: their values are unknown
    return conform(workspace.open("locations", "locate").read_table("locations"), LOCATIONS)


def read_series_locations(workspace: Workspace) -> pd.DataFrame:
    """Return what each located series shows; empty where `locate` of an earlier version ran, or none."""
    empty = conform(pd.DataFrame(), SERIES_LOCATIONS)
    if not workspace.has("locations"):
        return empty
    folder = workspace.open("locations", "locate")
    if not (folder.path / "series_locations.parquet").exists():
        return empty
    return conform(folder.read_table("series_locations"), SERIES_LOCATIONS)


def catalogue_table(workspace: Workspace) -> pd.DataFrame:
    """Return every mark, kept and rejected, with our location beside the stated one."""
    lesions = read_catalogue(workspace).lesions
    return lesions.merge(
        read_locations(workspace).rename(columns=_LOCATION_COLUMNS), on="lesion_id", how="left"
    )


def catalogue_report(table: pd.DataFrame) -> RunReport:
    """Return the counts of a catalogue table, and why marks were rejected."""
    report = RunReport("catalogue")
    report.counts["marks"] = len(table)
    report.counts["kept"] = int((table.status == KEPT).sum())
    report.counts["located"] = int(table.z.notna().sum())
    reasons = table.reason[table.status == REJECTED].value_counts()
    report.rejected.update({str(reason): int(n) for reason, n in reasons.items()})
    return report.finish()


def kept_lesions(workspace: Workspace, location: str = "stated") -> pd.DataFrame:
    """Return the kept marks with `lx, ly, lz`: the location the cues and the evaluation use.

    Parameters
    ----------
    workspace : Workspace
    location : str
        "stated": the source's own location where it states one, ours elsewhere; "ours": always ours.
    """
    table = catalogue_table(workspace)
    table = table[table.status == KEPT].reset_index(drop=True)
    for axis in "xyz":
        ours, stated = table[axis], table[f"{axis}_stated"]
        table[f"l{axis}"] = stated.where(stated.notna(), ours) if location == "stated" else ours
    return table
