"""Report section about z: what each series shows, which series look wrong, what became of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from lesiongraph.bodypart import Atlas
from lesiongraph.figures import Section, Table
from lesiongraph.pipeline.catalogue import read_locations, read_series_locations
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.series_locations import read_atlas

_MOST_OPEN = 12  # more rows than this open on a click
TEXT = (
    "z of a lesion is read from all slices of its series together. For each series: the part of the body it "
    "shows, DICOM's term for it beside what the header says, how straight the scores rise with the slices' "
    "positions (r; near 1), how many mm of body make one unit of score (about 100), and how far the scores "
    "scatter about their line.\n"
    "A flagged series keeps its lesions and their z: training draws them and the maps show them, with a low "
    "confidence. Look at the flagged ones first. A wrong z does not touch the matching of lesions: that uses "
    "the embedding alone."
)


def series(context: ReportContext) -> Section:
    """A row a series, the flagged ones first; counts of flags; the atlas's landmarks."""
    located = read_series_locations(context.workspace)
    if not len(located):
        cause = "no located series (run `lesiongraph locate`; a result of an earlier version has none)"
        return Section("", "", missing=cause)
    about = context.catalogue.series[["series_instance_uid", "patient_id", "study_date", "description"]]
    rows = located.merge(about, on="series_instance_uid", how="left")
    rows = rows.assign(_wrong=(rows.agreement == "no").astype(int) + 2 * (rows.flag != "").astype(int))
    rows = rows.sort_values(["_wrong", "patient_id", "study_date"], ascending=[False, True, True])
    flagged, differ = int((located.flag != "").sum()), int((located.agreement == "no").sum())
    section = Section(
        "",
        TEXT,
        facts=[
            ("series located", str(len(located))),
            ("flagged", str(flagged)),
            ("header names another body part", str(differ)),
        ],
        tables=[Table("Series", _series_table(rows), folded=len(rows) > _MOST_OPEN)],
    )
    section.tables.append(Table("Numbers of the same series", _number_table(rows), folded=True))
    if flagged and len(rows) > _MOST_OPEN:
        section.tables.insert(0, Table("Flagged series", _series_table(rows[rows.flag != ""])))
    flags = _flag_table(read_locations(context.workspace))
    if len(flags):
        section.tables.append(Table("Lesions whose location carries a remark", flags))
    known = read_atlas(context.workspace)
    if known is not None:
        section.tables.append(Table("The atlas: where landmarks lie", _landmark_table(known), folded=True))
    return section


def _series_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What a reader looks for first: what the series shows, whether to believe it."""
    return pd.DataFrame(
        {
            "patient": rows.patient_id,
            "date": rows.study_date,
            "shows": rows.regions.replace("", "–"),
            "DICOM term": rows.body_part_examined.replace("", "–"),
            "header says": [
                f"{given} ({said})" if said else given or "–"
                for given, said in zip(rows.body_part_given, rows.agreement, strict=True)
            ],
            "flag": rows.flag.replace("", "–"),
        }
    )


def _number_table(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient": rows.patient_id,
            "date": rows.study_date,
            "series": rows.description.replace("", "–"),
            "slices": rows.slices_scored,
            "z": [_range(a, b) for a, b in zip(rows.z_from, rows.z_to, strict=True)],
            "error": rows.z_sd.map(_plain("± {:.3f}")),
            "r": rows.r.map(_plain("{:.3f}")),
            "mm a unit": rows.mm_per_score.map(_plain("{:.0f}")),
            "scatter, mm": rows.residual_mm.map(_plain("{:.0f}")),
        }
    )


def _plain(form: str) -> Callable[[float], str]:
    """Return a formatter that writes what is no number as a dash."""
    return lambda value: form.format(value) if np.isfinite(value) else "–"


def _range(low: float, high: float) -> str:
    return f"{low:.2f} – {high:.2f}" if np.isfinite(low) else "no body"


def _flag_table(locations: pd.DataFrame) -> pd.DataFrame:
    """Remarks of lesions, each counted once a lesion, with the median confidence."""
    remarks = locations.assign(flag=locations.flag.str.split(r";\s*")).explode("flag")
    remarks = remarks[remarks.flag.fillna("") != ""]
    table = remarks.groupby("flag").agg(lesions=("lesion_id", "size"), confidence=("confidence", "median"))
    table = table.sort_values("lesions", ascending=False).reset_index()
    table["confidence"] = table.confidence.map(_plain("{:.2f}"))
    return table.rename(columns={"flag": "remark", "confidence": "median confidence"})


def _landmark_table(atlas: Atlas) -> pd.DataFrame:
    rows = [
        {
            "landmark": row.name,
            "region": atlas.region(row.z),
            "z": f"{row.z:.3f}",
            "standard deviation": f"{row.sd:.3f}" if row.n > 1 else "–",
            "patients": row.n,
            "from": row.source,
        }
        for row in atlas.table
    ]
    return pd.DataFrame(rows)
