"""Workspace → the report: the paper's figures drawn from what the stages left, in one HTML file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lesiongraph.errors import LesionGraphError
from lesiongraph.figures import Section, render_page
from lesiongraph.pipeline import report_lesions, report_patients, report_scores
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.workspace import RunReport, Workspace

SECTIONS: tuple[tuple[str, Callable[[ReportContext], Section]], ...] = (
    ("What this workspace holds", report_lesions.overview),
    ("Table 1", report_scores.table1),
    ("Marks on their slices", report_lesions.marks_on_slices),
    ("Rejected marks", report_lesions.rejected_marks),
    ("A located lesion (Fig. 9)", report_lesions.located_lesion),
    ("Sizes (Fig. 10)", report_lesions.sizes),
    ("Atlas (Fig. 11)", report_lesions.atlas),
    ("Training sequences (Fig. 3)", report_scores.sequences),
    ("Map of the embedding (Fig. 5)", report_scores.tsne),
    ("Retrieval (Fig. 6, 12)", report_scores.retrieval),
    ("Classification (Fig. 7)", report_scores.confusion),
    ("Matching (Fig. 8)", report_scores.matching),
    ("One patient over time (Fig. 13–15)", report_patients.one_patient),
    ("How it was made", report_lesions.run_reports),
)


def write_report(
    workspace: Workspace, *, truth: Path | None = None, rng_seed: int = 0, progress: Progress = silent
) -> tuple[Path, RunReport]:
    """Write `report/report.html` into the workspace and return its path.

    A section whose stage has not run says so in its place.

    Raises
    ------
    StageMissingError
        If nothing was mined.
    """
    run_report = RunReport("report", rng_seed=rng_seed)
    with workspace.lock():
        context = ReportContext(workspace, truth, rng_seed)
        sections = []
        for done, (title, build) in enumerate(SECTIONS, start=1):
            section = _built(title, build, context)
            run_report.counts["figures"] += len(section.figures)
            if section.missing:
                run_report.notes.append(f"{title}: {section.missing}")
            sections.append(section)
            progress("report", done, len(SECTIONS))
        folder = workspace.path / "report"
        folder.mkdir(exist_ok=True)
        path = folder / "report.html"
        part = path.with_suffix(".part")
        part.write_text(render_page("lesiongraph report", f"Workspace {workspace.path.name}", sections))
        part.replace(path)
        workspace.write_run_report("report", run_report.finish().as_dict())
    return path, run_report


def _built(title: str, build: Callable[[ReportContext], Section], context: ReportContext) -> Section:
    try:
        section = build(context)
    except LesionGraphError as error:  # a stage that has not run, too little data: said in its place
        return Section(title, "", missing=str(error))
    section.title = title
    return section
