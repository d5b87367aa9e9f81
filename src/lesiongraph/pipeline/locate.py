"""Catalogue → relative body location (x, y, z) of each kept lesion (Sec. 4.1, 8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    Atlas,
    SsbrDesign,
    SsbrModel,
    TrainingVolume,
    VolumeStore,
    align_z,
    locate_series,
    place_names,
    remarked,
    train_ssbr,
)
from lesiongraph.lesion import KEPT, LOCATIONS, SERIES_LOCATIONS
from lesiongraph.mining import MiningResult
from lesiongraph.pipeline.catalogue import read_catalogue, read_series_locations
from lesiongraph.pipeline.located_before import LocatedBefore, jobs_table
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_locations import atlas_for, series_location
from lesiongraph.pipeline.series_views import (
    SeriesJob,
    SeriesView,
    series_jobs,
    spacing_remark,
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
            context = fingerprint(model.sha256, known, _TABLES_VERSION)
            before = LocatedBefore.read(workspace, context)
            found = _locate_all(catalogue, (model, atlas, before), all_series, workers, report, progress)
            with workspace.write("locations", key) as folder:
                folder.write_table("locations", found.locations, LOCATIONS)
                folder.write_table("series_locations", found.series, SERIES_LOCATIONS)
                folder.write_table("landmarks", found.landmarks)
                folder.write_table(*found.jobs)
                folder.write_json("atlas", known)
        _count(report, workspace.open("locations", "locate").read_table("locations"))
        _count_series(report, read_series_locations(workspace))
        workspace.write_run_report("locate", report.finish().as_dict())
    return report


@dataclass
class _Found:
    """The tables of the `locations` stage."""

    locations: pd.DataFrame
    series: pd.DataFrame
    landmarks: pd.DataFrame
    jobs: tuple[str, pd.DataFrame]  # what each series was located from


def _locate_all(
    catalogue: MiningResult,
    by: tuple[SsbrModel, Atlas | None, LocatedBefore],
    all_series: bool,
    workers: int,
    report: RunReport,
    progress: Progress,
) -> _Found:
    model, atlas, before = by
    kept = catalogue.lesions[catalogue.lesions.status == KEPT]
    on_images = kept[kept.slice_index >= 0]
    # organs named by a structure set anchor the atlas, also where no lesion was marked
    marked = {*on_images.series_instance_uid, *catalogue.landmarks.series_instance_uid}
    wanted = None if all_series else marked
    jobs = series_jobs(catalogue, on_images, model.slice_mode, wanted=wanted, least_step_mm=LEAST_STEP_MM)
    rows: dict[str, dict[str, object]] = {
        lesion_id: {"lesion_id": lesion_id, "flag": NO_IMAGE} for lesion_id in kept.lesion_id
    }
    landmarks: list[pd.DataFrame] = []
    series: list[dict[str, object]] = []
    model_name = f"{model.name} sha256:{model.sha256[:12]}"
    keys = [before.key(job, catalogue.landmarks) for job in jobs]
    known = [before.find(job, key) for job, key in zip(jobs, keys, strict=True)]
    views = view_all([job for job, old in zip(jobs, known, strict=True) if old is None], workers, view_series)
    for done, (job, old) in enumerate(zip(jobs, known, strict=True), start=1):
        if old is not None:
            rows.update({row["lesion_id"]: row for row in old.locations})
            series.append(old.series)
            landmarks.append(old.landmarks)
            report.counts["series as located before"] += 1
            continue
        view = next(views)
        report.counts["slices scored"] += len(view.slice_indices)
        report.counts["slices unreadable"] += view.unreadable
        if view.not_fetched:
            report.counts["slices not fetched"] += view.not_fetched
        scores = locate_series(model, view.inputs, view.positions_mm, atlas, view.sections)
        scores = remarked(scores, spacing_remark(job.series))
        regions = [""] * len(scores.z) if atlas is None else [name for name, _ in place_names(scores, atlas)]
        given = str(job.series.get("body_part_examined") or "")  # catalogues of earlier versions lack it
        series.append(series_location(view.series_instance_uid, scores, atlas, given))
        at = {int(index): i for i, index in enumerate(view.slice_indices)}
        for row in job.marks.itertuples():
            x, y, body_flag = view.xy.get(row.lesion_id, (np.nan, np.nan, "key slice unreadable"))
            i = at.get(int(row.slice_index))
            rows[row.lesion_id].update(x=x, y=y, model=model_name, flag=body_flag)
            if i is not None:
                rows[row.lesion_id].update(
                    z=scores.z[i],
                    z_sd=scores.z_sd[i],
                    region=regions[i],
                    score=scores.score[i],
                    confidence=scores.confidence[i],
                    flag="; ".join(filter(None, [scores.flag[i], body_flag])),
                )
        landmarks.append(_landmark_z(catalogue.landmarks, view, np.asarray(scores.z)))
        progress("locate series", done, len(jobs))
    report.counts["series located"] = len(jobs)
    return _Found(
        locations=pd.DataFrame(list(rows.values()), columns=list(LOCATIONS)),
        series=pd.DataFrame(series, columns=list(SERIES_LOCATIONS)),
        landmarks=pd.concat(landmarks, ignore_index=True) if landmarks else pd.DataFrame(columns=["name"]),
        jobs=jobs_table(jobs, keys),
    )


def _landmark_z(landmarks: pd.DataFrame, view: SeriesView, z: np.ndarray) -> pd.DataFrame:
    """z of the organs a structure set names: what anchors the atlas (z → organ)."""
    here = landmarks[landmarks.series_instance_uid == view.series_instance_uid]
    ends = {
        f"z_{end}": np.interp(here[f"{end}_index"], view.slice_indices, z) if len(z) else np.nan
        for end in ("top", "centre", "bottom")
    }
    return here[["series_instance_uid", "name"]].assign(**ends)


def _fitted(
    workspace: Workspace,
    catalogue: MiningResult,
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
            volumes = _stored(jobs, VolumeStore(pixels), workers, progress)
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
    jobs: Sequence[SeriesJob], store: VolumeStore, workers: int, progress: Progress
) -> list[TrainingVolume]:
    """Read the series into the store, one at a time."""
    for done, some in enumerate(view_all(jobs, workers, view_to_learn), start=1):
        for volume in some:
            store.add(volume)
        progress("read volumes for SSBR", done, len(jobs))
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
