"""Seed → synthetic hospital on disk."""

from __future__ import annotations

from pathlib import Path

from lesiongraph.phantom import generate_hospital
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.workspace import RunReport


def write_phantom(
    out: Path,
    patients: int,
    rng_seed: int,
    *,
    rows: int = 256,
    workers: int = 1,
    difficulty: str = "plain",
    progress: Progress = silent,
) -> RunReport:
    """Write a phantom hospital of `patients` patients below `out`; patients already there are kept."""
    report = RunReport("phantom", rng_seed=rng_seed)
    first_seen: list[int] = []

    def watched(what: str, done: int, total: int) -> None:
        first_seen.append(done)
        progress(what, done, total)

    report.counts.update(
        generate_hospital(
            out, patients, rng_seed, rows=rows, workers=workers, difficulty=difficulty, progress=watched
        )
    )
    report.already_done = first_seen[:1] == [patients]
    return report.finish()
