"""Real CT → virtual patients with grafted lesions (`phantom.grafting`), with a run report."""

from __future__ import annotations

from pathlib import Path

from lesiongraph.phantom.grafting import CohortOptions, generate_cohort
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.workspace import RunReport


def write_implants(
    out: Path, patients: int, options: CohortOptions, *, workers: int = 1, progress: Progress = silent
) -> RunReport:
    """Write a cohort of `patients` virtual patients below `out`; patients already there are kept."""
    report = RunReport("implant", rng_seed=options.rng_seed)
    first_seen: list[int] = []

    def watched(what: str, done: int, total: int) -> None:
        if what == "implant":
            first_seen.append(done)
        progress(what, done, total)

    report.counts.update(generate_cohort(out, patients, options, workers=workers, progress=watched))
    report.already_done = first_seen[:1] == [patients]
    return report.finish()
