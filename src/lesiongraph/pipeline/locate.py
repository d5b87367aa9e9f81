"""Catalogue → relative body location (x, y, z) of each kept lesion (Sec. 4.1, 8.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    SsbrDesign,
    SsbrModel,
    TrainingVolume,
    VolumeStore,
    align_z,
    train_ssbr,
)
from lesiongraph.lesion import KEPT
from lesiongraph.pipeline.catalogue import Catalogue, read_catalogue, read_series_locations
from lesiongraph.pipeline.inputs_of import series_keys
from lesiongraph.pipeline.located_series import FormerLocations, LocatedTables, Scorer, located_keys
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_locations import atlas_for
from lesiongraph.pipeline.series_views import (
    series_jobs,
    view_all,
    view_series,
    view_to_learn,
)
from lesiongraph.recipe import SsbrRecipe
from lesiongraph.workspace import RunReport, Workspace, fingerprint

MOST_TRAINING_VOLUMES = 800  # Sec. 8.2: "we randomly pick 800 unlabeled CT volumes"
LEAST_STEP_MM = 8.0  # ours: half the wander of a single slice's score is 20 mm and more
LEAST_TRAINING_STEP_MM = 2.5  # neighbours nearer than this teach the same
NO_IMAGE = "no image"
_TABLES_VERSION = 3  # raised when `locate` writes other columns: older results are then made again


def locate(
    workspace: Workspace,
    *,
    weights: Path | None = None,
    fit_steps: int | None = None,
    fit_design: SsbrDesign = COMPACT_DESIGN,
    all_series: bool = False,
    rng_seed: int = 0,
    workers: int = 1,
    progress: Progress = silent,
) -> RunReport:
    """Locate every kept lesion: x, y from the body mask, z from SSBR; say what each of their series shows.

    Parameters
    ----------
    weights : Path, optional
        SSBR weights; the packaged ones serve where none are given.
    fit_steps : int, optional
        Train SSBR on the workspace's own volumes first, for so many steps (0: the design's number).
    fit_design : SsbrDesign
        What is trained: the packaged model's design, or the paper's.
    all_series : bool
        Also read the series without a lesion, and say what they show.
    """
    report = RunReport("locate", rng_seed=rng_seed if fit_steps is not None else None)
    with workspace.lock():
        catalogue = read_catalogue(workspace)
        if fit_steps is not None:
            model, alignment = _fitted(
                workspace, catalogue, (fit_design, fit_steps, rng_seed), workers, progress
            )
            report.notes.append(alignment)
        else:
            model = SsbrModel.load(weights)
        report.weights.append({"name": model.name, "sha256": model.sha256})
        atlas = atlas_for(model, report)
        known = atlas.as_dict() if atlas is not None else None
        key = fingerprint(workspace.key("catalogue"), model.sha256, known, all_series, _TABLES_VERSION)
        report.already_done = workspace.is_current("locations", key)
        if not report.already_done:
            made_by = fingerprint(model.sha256, known, _TABLES_VERSION)
            former = FormerLocations.of(workspace, made_by)
            found = _locate_all(
                catalogue, Scorer(model, atlas), former, (all_series, workers), report, progress
            )
            with workspace.write("locations", key) as folder:
                found.write(folder, made_by)
                folder.write_json("atlas", known)
        _count(report, workspace.open("locations", "locate").read_table("locations"))
        _count_series(report, read_series_locations(workspace))
        workspace.write_run_report("locate", report.finish().as_dict())
    return report


def _locate_all(
    catalogue: Catalogue,
    scorer: Scorer,
    former: FormerLocations,
    reading: tuple[bool, int],
    report: RunReport,
    progress: Progress,
) -> LocatedTables:
    """Locate series by series; those whose inputs are as they were keep their former result."""
    all_series, workers = reading
    kept = catalogue.lesions[catalogue.lesions.status == KEPT]
    on_images = kept[kept.slice_index >= 0]
    # organs named by a structure set anchor the atlas, also where no lesion was marked
    marked = {*on_images.series_instance_uid, *catalogue.landmarks.series_instance_uid}
    jobs = series_jobs(
        catalogue,
        on_images,
        scorer.model.slice_mode,
        wanted=None if all_series else marked,
        least_step_mm=LEAST_STEP_MM,
    )
    keys = located_keys(jobs, series_keys(catalogue))
    todo = [job for job in jobs if not former.holds(keys[str(job.series["series_instance_uid"])])]
    views = view_all(todo, catalogue.slices, workers, view_series)
    tables = LocatedTables.of(kept.lesion_id, NO_IMAGE)
    for done, job in enumerate(jobs, start=1):
        uid = str(job.series["series_instance_uid"])
        located = former.take(keys[uid], job.marks)
        if located is None:
            located = scorer.locate(job, next(views), catalogue.landmarks)
            report.counts["slices scored"] += located.slices
            report.counts["slices unreadable"] += located.unreadable
            if located.not_fetched:
                report.counts["slices not fetched"] += located.not_fetched
        tables.add(uid, keys[uid], located)
        progress("locate series", done, len(jobs))
    report.counts["series located"] = len(jobs)
    report.counts["series taken over, unchanged"] = len(jobs) - len(todo)
    return tables


def _fitted(
    workspace: Workspace,
    catalogue: Catalogue,
    plan: tuple[SsbrDesign, int, int],
    workers: int,
    progress: Progress,
) -> tuple[SsbrModel, str]:
    """Train SSBR on the workspace's own volumes, or take the model trained so before.

    Its z is laid onto the packaged model's over the same slices, so that z of different workspaces mean the
    same place; how well that went is returned in words.
    """
    design, steps, rng_seed = plan
    packaged = SsbrModel.load()
    key = fingerprint(workspace.key("catalogue"), design.name, steps, rng_seed, packaged.sha256)
    if not workspace.is_current("ssbr", key):
        jobs = series_jobs(
            catalogue,
            catalogue.lesions.iloc[:0],
            design.slice_mode,
            least_step_mm=LEAST_TRAINING_STEP_MM,
        )
        if len(jobs) > MOST_TRAINING_VOLUMES:
            chosen = np.random.default_rng(rng_seed).choice(len(jobs), MOST_TRAINING_VOLUMES, replace=False)
            jobs = [jobs[i] for i in sorted(chosen)]
        with workspace.write("ssbr", key) as folder:
            # in the unfinished stage's folder: what a killed or full run leaves there is swept away
            pixels = folder.path / "volumes.u8"
            read = view_all(jobs, catalogue.slices, workers, view_to_learn)
            volumes = _stored(read, len(jobs), VolumeStore(pixels), progress)
            model = train_ssbr(
                volumes,
                SsbrRecipe(),
                rng_seed,
                steps=steps or None,
                progress=lambda step, total, _loss: progress("train SSBR", step, total),
                design=design,
            )
            as_body = None if design.slice_mode == packaged.slice_mode else (v.as_body() for v in volumes)
            alignment = align_z(model, packaged, volumes, as_body)
            pixels.unlink()
            model.save(folder.path / "ssbr.safetensors")
            folder.write_json("alignment", {"text": alignment.describe(packaged.name), **asdict(alignment)})
    folder = workspace.open("ssbr", "locate --fit")
    return SsbrModel.load(folder.path / "ssbr.safetensors"), str(folder.read_json("alignment")["text"])


def _stored(
    read: Iterable[Sequence[TrainingVolume]], series: int, store: VolumeStore, progress: Progress
) -> list[TrainingVolume]:
    """Put the volumes of one series after the other into the store."""
    for done, some in enumerate(read, start=1):
        for volume in some:
            store.add(volume)
        progress("read volumes for SSBR", done, series)
    return store.volumes()


def _count_series(report: RunReport, series: pd.DataFrame) -> None:
    flagged = series[series.flag != ""]
    report.counts["series flagged"] = len(flagged)
    for term, number in series.body_part_examined.value_counts().items():
        report.counts[f"series showing {term or 'no region with a DICOM term'}"] = int(number)
    differ = int((series.agreement == "no").sum())
    if differ:
        report.counts["series whose header names another body part"] = differ


def _count(report: RunReport, locations: pd.DataFrame) -> None:
    report.counts["lesions located"] = int(locations.z.notna().sum())
    report.counts["lesions without image"] = int((locations.flag == NO_IMAGE).sum())
    flags = locations.flag[(locations.flag != "") & (locations.flag != NO_IMAGE)]
    for flag, number in flags.value_counts().items():
        report.counts[f"z flagged: {flag}"] = int(number)
