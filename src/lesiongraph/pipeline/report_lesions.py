"""Report sections about the lesions as a whole: counts, sizes, the atlas, how it was made."""

from __future__ import annotations

import pandas as pd

from lesiongraph.figures import Picture, Section, Table, atlas_figure, size_figure
from lesiongraph.lesion import LESION_TYPES, REJECTED
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.series_locations import read_atlas

PHANTOM_PREFIX = "PHANTOM-"  # patient ids that `lesiongraph phantom` gives
_SUBSETS = ["pool", "seed", "validation", "test"]


def subtitle(context: ReportContext) -> str:
    """Return the line under the page's title."""
    lesions = context.catalogue.lesions
    sources = ", ".join(sorted(lesions.source.unique()))
    return f"Workspace {context.workspace.path.name}: marks from {sources or 'no source'}"


def phantom_warning(context: ReportContext) -> list[str]:
    """Return a warning where patients are synthetic: their numbers say nothing about real ones."""
    patients = context.catalogue.lesions.patient_id.drop_duplicates()
    phantoms = int(patients.str.startswith(PHANTOM_PREFIX).sum())
    if not phantoms:
        return []
    whose = (
        "All patients here are"
        if phantoms == len(patients)
        else f"{phantoms} of {len(patients)} patients are"
    )
    return [f"{whose} synthetic (phantoms). Numbers from phantoms are not evidence about patients."]


def overview(context: ReportContext) -> Section:
    """Counts by source, status, type and subset."""
    lesions, kept = context.catalogue.lesions, context.kept
    facts = [
        ("patients", str(lesions.patient_id.nunique())),
        ("studies", str(lesions.study_instance_uid.nunique())),
        ("image series", str(len(context.catalogue.series))),
        ("marks kept", str(len(kept))),
        ("marks rejected", str(int((lesions.status == REJECTED).sum()))),
        ("kept, with a type", str(int((kept.type != "").sum()))),
        ("kept, with an image", str(int((kept.slice_index >= 0).sum()))),
    ]
    by_source = lesions.groupby(["source", "status"]).size().unstack(fill_value=0).reset_index()
    return Section(
        "",
        "A mark is one measurement in one image; a lesion followed over several studies has several. Seeds "
        "teach the type classifier and never train the triplet network; no patient is in two subsets.",
        facts=facts,
        tables=[Table("Marks by source", by_source), Table("Kept marks by type and subset", _by_type(kept))],
    )


def _by_type(kept: pd.DataFrame) -> pd.DataFrame:
    counts = pd.crosstab(kept.type, kept.subset)
    counts = counts.reindex(columns=[name for name in _SUBSETS if name in counts])
    counts = counts.reindex([name for name in (*LESION_TYPES, "") if name in counts.index])
    counts["all"] = counts.sum(axis=1)
    counts.loc["all"] = counts.sum()
    return counts.rename(index={"": "no type"}).rename_axis(index="type", columns=None).reset_index()


def sizes(context: ReportContext) -> Section:
    """Histograms of the two diameters."""
    figure = size_figure(context.kept.long_mm.to_numpy(float), context.kept.short_mm.to_numpy(float))
    return Section(
        "",
        "Long and short axis of all kept marks; the line is the median.",
        figures=[Picture("Sizes in mm", figure, "Two histograms of diameters in mm")],
    )


def atlas(context: ReportContext) -> Section:
    """x and y against z of all located lesions, coloured by type."""
    located = context.kept.dropna(subset=["lx", "ly", "lz"])
    if not len(located):
        return Section("", "", missing="no located lesion (run `lesiongraph locate`)")
    known = read_atlas(context.workspace)
    borders = [(region.name, region.z_from, region.z_to) for region in known.regions] if known else []
    figure = atlas_figure(located[["lx", "ly", "lz"]].to_numpy(float), located.type.tolist(), borders)
    section = Section(
        "",
        "Each dot is a mark. On the left as if one looked at the body from the front (the patient's right is "
        "on the left, as in the paper), on the right from the side. Lung above liver above pelvis means that "
        "z works.",
        figures=[Picture(f"{len(located)} located marks", figure, _median_z(located))],
    )
    if context.workspace.has("locations"):
        landmarks = context.workspace.open("locations", "locate").read_table("landmarks")
        if len(landmarks) and "z_centre" in landmarks:
            table = landmarks.groupby("name").agg(
                series=("z_centre", "size"), z_top=("z_top", "mean"), z_bottom=("z_bottom", "mean")
            )
            for edge in ("z_top", "z_bottom"):
                table[edge] = table[edge].map("{:.3f}".format)
            section.tables.append(
                Table("z of the organs that structure sets name (mean)", table.reset_index())
            )
    return section


def _median_z(located: pd.DataFrame) -> str:
    """Say in words what the map shows: the median z of each type."""
    medians = located[located.type != ""].groupby("type").lz.median().sort_values()
    listed = ", ".join(f"{name} {z:.2f}" for name, z in medians.items())
    return f"Scatter of lesion locations in the body; median z by type: {listed or 'no typed lesion'}"


def run_reports(context: ReportContext) -> Section:
    """Versions, weights, seconds and random seeds of every stage."""
    reports = context.workspace.read_run_reports()
    if not reports:
        return Section("", "", missing="the workspace keeps no run reports")
    rows = [
        {
            "stage": verb,
            "seconds": report["seconds"],
            "random seed": report["rng_seed"],
            "weights": ", ".join(f"{w['name']} {w['sha256'][:12]}" for w in report["weights"]),
            "notes": "; ".join(report["notes"]),
        }
        for verb, report in reports.items()
        if verb != "report"  # of the run before this one
    ]
    versions = next(iter(reports.values()))["versions"]
    return Section(
        "",
        "The last run of each stage; `lesiongraph VERB --json` prints the whole report.",
        tables=[
            Table("Stages", pd.DataFrame(rows)),
            Table("Versions", pd.DataFrame(list(versions.items()), columns=["package", "version"])),
        ],
    )
