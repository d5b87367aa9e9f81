"""Scores of one series → its row of SERIES_LOCATIONS, and that row in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from lesiongraph.bodypart import HEAD, NARROW, NO_TRUNK, Atlas, SeriesScores, SsbrModel, agreement, term_of
from lesiongraph.errors import WeightsError
from lesiongraph.workspace import RunReport, Workspace

NOT_READ = "no slice could be read"


def atlas_for(model: SsbrModel, report: RunReport) -> Atlas | None:
    """Return the packaged atlas, if it holds for the model; where not, the report says so."""
    atlas = Atlas.load()
    try:
        return atlas.for_model(model)
    except WeightsError as error:
        report.notes.append(f"no regions, landmarks and expected errors: {error}")
        return None


def read_atlas(workspace: Workspace) -> Atlas | None:
    """Return the atlas that `locate` used, None where it used none."""
    if not workspace.has("locations"):
        return None
    folder = workspace.open("locations", "locate")
    stored = folder.read_json("atlas") if (folder.path / "atlas.json").exists() else None
    return None if stored is None else Atlas.from_dict(stored)


def series_location(
    series_instance_uid: str, found: SeriesScores, atlas: Atlas | None, given: str = ""
) -> dict[str, object]:
    """Return the SERIES_LOCATIONS row of one series.

    Parameters
    ----------
    given : str
        The header's Body Part Examined, "" if it states none.
    """
    z = found.z[found.body]
    z_from, z_to = (float(z.min()), float(z.max())) if len(z) else (np.nan, np.nan)
    regions = _regions(found, atlas)
    known = found.z_sd[np.isfinite(found.z_sd)]
    return {
        "series_instance_uid": series_instance_uid,
        "slices_scored": len(found.z),
        "z_from": z_from,
        "z_to": z_to,
        "regions": ", ".join(regions),
        "body_part_examined": term_of(regions),
        "body_part_given": given,
        "agreement": agreement(given, regions),
        "r": found.r,
        "mm_per_score": 1.0 / found.slope if found.slope else np.nan,
        "residual_mm": found.residual_mm,
        "z_sd": float(np.median(known)) if len(known) else np.nan,
        "confidence": float(np.median(found.confidence)) if len(found.z) else np.nan,
        "flag": _flag(found),
    }


def _regions(found: SeriesScores, atlas: Atlas | None) -> tuple[str, ...]:
    """Regions of the slices whose z means a place, and the head where a skull was seen: z knows no heads."""
    if atlas is None:
        return ()
    remarks = [set(str(flag).split(";")) for flag in found.flag]
    skull = any(HEAD in own for own in remarks)
    if skull and NO_TRUNK in found.flags:
        return ("head",)
    placed = found.z[found.body & np.array([not own & {HEAD, NARROW} for own in remarks], bool)]
    shown = atlas.regions_between(float(placed.min()), float(placed.max())) if len(placed) else ()
    return ("head", *(name for name in shown if name != "head")) if skull else shown


def _flag(found: SeriesScores) -> str:
    """The series' remarks, and how many slices carry remarks of their own."""
    if not len(found.flag):
        return NOT_READ
    own = Counter(
        remark for flag in found.flag for remark in str(flag).split(";") if remark not in ("", *found.flags)
    )
    slices = len(found.flag)
    counted = [name if n == slices else f"{name} ({n} of {slices} slices)" for name, n in own.most_common()]
    return "; ".join([*found.flags, *counted])


def described(row: Mapping[str, object]) -> str:
    """Say a row in one line for a terminal."""
    number = {name: float(str(row[name])) for name in ("z_from", "z_to", "z_sd", "r", "mm_per_score")}
    slices = f"{row['slices_scored']} slice" + ("s" if row["slices_scored"] != 1 else "")
    known = np.isfinite(number["z_from"])
    parts = [f"{slices}, z {number['z_from']:.3f} to {number['z_to']:.3f}" if known else slices]
    if np.isfinite(number["z_sd"]):
        parts[0] += f" ± {number['z_sd']:.3f}"
    if row["regions"]:
        parts.append(f"{row['regions']} ({row['body_part_examined'] or 'no DICOM term'})")
    if row["agreement"]:
        parts.append(f"header says {row['body_part_given']}: {row['agreement']}")
    if np.isfinite(number["r"]):
        parts.append(f"r {number['r']:.3f}")
    if np.isfinite(number["mm_per_score"]):
        parts.append(f"{number['mm_per_score']:.0f} mm a unit of score")
    parts.append(f"flag: {row['flag']}" if row["flag"] else "no flag")
    return "; ".join(parts)
