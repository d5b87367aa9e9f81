"""Workspace → the report: the paper's figures drawn from what the stages left, in one HTML file."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from lesiongraph.errors import DiskFullError, LesionGraphError
from lesiongraph.figures import Section, render_page
from lesiongraph.pipeline import (
    report_lesions,
    report_locations,
    report_marks,
    report_patients,
    report_reproduce,
    report_retrieval,
    report_scores,
)
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.workspace import RunReport, Workspace

SECTIONS: tuple[tuple[str, Callable[[ReportContext], Section]], ...] = (
    ("What this workspace holds", report_lesions.overview),
    ("Table 1", report_scores.table1),
    ("Marks on their slices", report_marks.marks_on_slices),
    ("Rejected marks", report_marks.rejected_marks),
    ("A located lesion (Fig. 9)", report_marks.located_lesion),
    ("Sizes (Fig. 10)", report_lesions.sizes),
    ("Atlas (Fig. 11)", report_lesions.atlas),
    ("What each series shows", report_locations.series),
    ("Training sequences (Fig. 3)", report_scores.sequences),
    ("Map of the lesions (Fig. 5)", report_retrieval.tsne),
    ("Retrieval (Fig. 6, 12)", report_retrieval.retrieval),
    ("Classification (Fig. 7)", report_scores.confusion),
    ("Matching (Fig. 8)", report_scores.matching),
    ("One patient over time (Fig. 13–15)", report_patients.one_patient),
    ("How it was made", report_lesions.run_reports),
)
NOT_FOR_CLINICAL_USE = "Research software. Not for clinical use."


def write_report(
    workspace: Workspace, *, truth: Path | None = None, rng_seed: int = 0, progress: Progress = silent
) -> tuple[Path, RunReport]:
    """Write `report/report.html` into the workspace and return its path.

    A section whose stage has not run says so in its place.

    Raises
    ------
    StageMissingError
        If nothing was mined.
    TableSchemaError
        If the truth file cannot be read.
    DiskFullError
        If there is no space left; a former report stays.
    """
    run_report = RunReport("report", rng_seed=rng_seed)
    workspace.open("catalogue", "mine SOURCE", "catalogue")  # nothing mined: an error, no folder made
    with workspace.lock():
        context = ReportContext(workspace, truth, rng_seed)
        sections = []
        chapters = list(SECTIONS)
        if report_reproduce.tables(workspace):  # an experiment of its own: most workspaces have none
            chapters.insert(2, ("Table 1, every row", report_reproduce.reproduced))
        for done, (title, build) in enumerate(chapters, start=1):
            section = _built(title, build, context)
            run_report.counts["figures"] += len(section.figures)
            if section.missing:
                run_report.notes.append(f"{title}: {section.missing}")
            sections.append(section)
            progress("report", done, len(chapters))
        warnings = [NOT_FOR_CLINICAL_USE, *report_lesions.phantom_warning(context)]
        page = render_page("lesiongraph report", report_lesions.subtitle(context), sections, warnings)
        path = _replace(workspace.path / "report" / "report.html", page)
        workspace.write_run_report("report", run_report.finish().as_dict())
    return path, run_report


def _built(title: str, build: Callable[[ReportContext], Section], context: ReportContext) -> Section:
    try:
        section = build(context)
    except LesionGraphError as error:  # a stage that has not run, too little data: said in its place
        return Section(title, "", missing=str(error))
    section.title = title
    return section


def _replace(path: Path, text: str) -> Path:
    """Write a file in one step: a reader sees the former page or the new one, never half of one."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(path.parent) from error
        raise
    return path
