"""What mining gives: the catalogue's tables and the counts of its run report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from lesiongraph.lesion import CATALOGUE, KEPT, LANDMARKS, LESIONS, REJECTED, SERIES, SLICES, conform
from lesiongraph.mining import rules
from lesiongraph.mining.own_reports import OWN_AGAIN, OWN_REPORT

AGAIN = "the same mark again"
REPLACED = rules.REPLACED.reason
_ORDER = {  # of the rows of each table
    "lesions": ["patient_id", "study_date", "series_instance_uid", "slice_index", "lesion_id"],
    "series": ["patient_id", "study_date", "series_instance_uid"],
    "slices": ["series_instance_uid", "slice_index"],
    "landmarks": ["series_instance_uid", "name", "top_index"],
}


def _empty(schema: dict[str, str]) -> pd.DataFrame:
    return conform(pd.DataFrame(), schema)


@dataclass
class MiningResult:
    """The four tables, conformed to `lesion.schema`, and what was counted on the way."""

    lesions: pd.DataFrame = field(default_factory=lambda: _empty(LESIONS))
    series: pd.DataFrame = field(default_factory=lambda: _empty(SERIES))
    slices: pd.DataFrame = field(default_factory=lambda: _empty(SLICES))
    landmarks: pd.DataFrame = field(default_factory=lambda: _empty(LANDMARKS))
    counts: Counter[str] = field(default_factory=Counter)


def merge_results(results: Sequence[MiningResult]) -> MiningResult:
    """Return all results as one, each lesion, series and slice once, in a fixed order.

    The same object met in two sources gives the same lesion id: one whose report was replaced stays
    rejected, else a kept row wins over a rejected one, and one with its image over one without; the other
    is counted as `the same mark again`. A series met in two parts is put together; the slice index of its
    lesions is looked up again, since slices may have come in between.
    """
    lesions = _joined([result.lesions for result in results], LESIONS)
    series = _joined([result.series for result in results], SERIES)
    landmarks = _joined([result.landmarks for result in results], LANDMARKS).drop_duplicates()
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)

    once = lesions.assign(_rank=_rank(lesions)).sort_values(["_rank", "source_path"], kind="stable")
    once = once.drop_duplicates("lesion_id").drop(columns="_rank")
    left = lesions.loc[lesions.index.difference(once.index)]
    counts[OWN_AGAIN] += int(_is_own(left).sum())
    counts[AGAIN] += int((~_is_own(left)).sum())
    counts += Counter()  # no zeros
    slices = _merged_slices(results)
    once = _look_up_slices(once, slices)
    series = series.sort_values(["slices"], ascending=False, kind="stable")
    series = series.drop_duplicates("series_instance_uid")
    counted = series["series_instance_uid"].map(slices["series_instance_uid"].value_counts())
    series = series.assign(slices=counted.fillna(series["slices"]).astype("int64"))
    _count_marks(once, counts)
    return MiningResult(
        lesions=_sorted(once, _ORDER["lesions"], LESIONS),
        series=_sorted(series, _ORDER["series"], SERIES),
        slices=_sorted(slices, _ORDER["slices"], SLICES),
        landmarks=_sorted(landmarks, _ORDER["landmarks"], LANDMARKS),
        counts=counts,
    )


def _joined(frames: Sequence[pd.DataFrame], schema: dict[str, str]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else _empty(schema)


def _rank(lesions: pd.DataFrame) -> pd.Series[int]:
    """Return which row of one mark to believe, the lowest first: the one that knows most."""
    rejected, without_image = lesions["status"] != KEPT, lesions["slice_index"] < 0
    replaced = lesions["reason"] == REPLACED  # the run that saw the later version knows more
    # What we wrote back never stands for the original; of our own reports the latest knows most.
    own = 10 + 2 * rejected + without_image + 2 * replaced
    return (2 * rejected + without_image).where(~replaced, -1).where(~_is_own(lesions), own)


def _is_own(lesions: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row was read from a report that lesiongraph wrote back."""
    return lesions["flags"].str.contains(OWN_REPORT, regex=False).astype(bool)


def in_order(tables: MiningResult) -> MiningResult:
    """Return the tables with their rows in the order that `merge_results` gives them."""
    return MiningResult(
        **{name: _sorted(getattr(tables, name), _ORDER[name], schema) for name, schema in CATALOGUE.items()},
        counts=tables.counts,
    )


def series_named(found: MiningResult) -> set[str]:
    """Return the series of which a result says something: merged with theirs, no other rows can change."""
    tables = (found.series, found.slices, found.landmarks)
    return {uid for frame in tables for uid in frame["series_instance_uid"].unique()}


def _merged_slices(results: Sequence[MiningResult]) -> pd.DataFrame:
    """Return the slices of each series: of all results together, head → foot, where positions allow it.

    A series without positions keeps the fullest of its versions: nothing tells how two would interlock.
    """
    frames = [result.slices for result in results if len(result.slices)]
    if len(frames) < 2 or all(frame.equals(frames[0]) for frame in frames[1:]):
        return _joined(frames[:1], SLICES)
    apart = _in_several_versions(frames)  # most series are in one result, or the same in all
    once = pd.concat(frames, ignore_index=True)
    once = once[~once["series_instance_uid"].isin(apart)].drop_duplicates()
    merged: dict[str, pd.DataFrame] = {}
    for frame in frames:
        for uid, group in frame[frame["series_instance_uid"].isin(apart)].groupby(
            "series_instance_uid", sort=False
        ):
            known = merged.setdefault(uid, group)
            both = pd.concat([known, group]).drop_duplicates(["sop_instance_uid", "frame"])
            if both["position_mm"].notna().all() and len(both) > max(len(known), len(group)):
                both = both.sort_values(["position_mm", "sop_instance_uid", "frame"])
                merged[uid] = both.assign(slice_index=range(len(both)))
            elif len(group) > len(known):
                merged[uid] = group
    return _joined([once, *merged.values()], SLICES)


def _in_several_versions(frames: Sequence[pd.DataFrame]) -> set[str]:
    """Return the series whose slices differ from one frame to another."""
    seen: dict[str, tuple[int, int]] = {}
    differ: set[str] = set()
    for frame in frames:
        rows = pd.util.hash_pandas_object(frame, index=False).groupby(frame["series_instance_uid"])
        for uid, total, size in zip(rows.groups, rows.sum(), rows.size(), strict=True):
            if seen.setdefault(uid, (total, size)) != (total, size):
                differ.add(uid)
    return differ


def _look_up_slices(lesions: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Return the lesions with the slice index that their image has in the merged series."""
    named = slices["sop_instance_uid"].isin(set(lesions["sop_instance_uid"]) - {""})
    single = slices[named].drop_duplicates(["series_instance_uid", "sop_instance_uid"], keep=False)
    index = single.set_index(["series_instance_uid", "sop_instance_uid"])["slice_index"].to_dict()
    keys = zip(lesions["series_instance_uid"], lesions["sop_instance_uid"], strict=True)
    found = [
        index.get(key, old) if old >= 0 else old
        for key, old in zip(keys, lesions["slice_index"], strict=True)
    ]
    return lesions.assign(slice_index=found)


def _count_marks(lesions: pd.DataFrame, counts: Counter[str]) -> None:
    counts["marks"] = len(lesions)
    counts["kept"] = int((lesions["status"] == KEPT).sum())
    counts["rejected"] = int((lesions["status"] == REJECTED).sum())
    for reason, count in lesions.loc[lesions["status"] == REJECTED, "reason"].value_counts().items():
        counts[f"rejected: {reason}"] = int(count)


def _sorted(frame: pd.DataFrame, keys: list[str], schema: dict[str, str]) -> pd.DataFrame:
    return conform(frame.sort_values(keys, kind="stable").reset_index(drop=True), schema)
