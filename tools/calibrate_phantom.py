"""Print the two rows that the hard phantom is calibrated on: type errors of the location and raw features.

    python tools/calibrate_phantom.py --difficulty hard --patients 400 --seed 1001 --work .scratch/calibration

Only the labelled patients are drawn: patients are independent and the rows are of typed lesions, so the test
split comes out as in the whole hospital. All typed lesions of half as many patients are a sample as large
as that split: while calibrating, `--patients 200` and its row "all typed" cost half. A trained embedding is
never looked at. `--workspace W` prints the rows of a hospital that went through the chain already.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.embedding import initial_features, load_trunk
from lesiongraph.evaluation import patient_bootstrap, retrieve, type_retrieval_error
from lesiongraph.imaging import PatchStore
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.difficulty import difficulty_named
from lesiongraph.phantom.patient import PatientTask, make_patient
from lesiongraph.phantom.population import plan_patient
from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.vectors import read_vectors
from lesiongraph.processes import worker_pool
from lesiongraph.workspace import Workspace

TOP_K = 5
LOCATION = ["lx", "ly", "lz"]


def main() -> None:
    """Draw the labelled patients, run the chain up to the initial feature, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--difficulty", default="hard")
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1001)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--work", type=Path, help="folder for hospital and workspace")
    where.add_argument("--workspace", type=Path, help="print the rows of this workspace, draw nothing")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--vgg16", action="store_true", help="also VGG-16's raw feature (a few minutes)")
    asked = parser.parse_args()
    if asked.workspace:
        _print_rows(Workspace(asked.workspace), asked.vgg16)
        return
    started = time.perf_counter()
    _draw_labelled(asked)
    drawn = time.perf_counter()
    workspace = Workspace(asked.work / "workspace")
    mine(workspace, [asked.work / "dicom"])
    locate(workspace, workers=asked.workers)
    embed(workspace)
    done = time.perf_counter()
    print(
        f"{asked.difficulty}, {asked.patients} patients, seed {asked.seed}: "
        f"drawn in {drawn - started:.0f} s, chain {done - drawn:.0f} s"
    )
    _print_rows(workspace, asked.vgg16)


def _print_rows(workspace: Workspace, vgg16: bool) -> None:
    vectors = read_vectors(workspace, "initial")
    typed = vectors.lesions[(vectors.lesions.type != "") & ~vectors.lesions.possibly_noisy]
    raw = {"raw, narrow trunk": vectors.matrix}
    if vgg16:
        raw["raw, VGG-16"] = _vgg16_features(workspace, vectors.lesions, typed.index)
    samples = {"all typed": typed, "test": typed[typed.split == "test"]}
    for name, lesions in samples.items():
        print(f"{name}: n {len(lesions)}, {lesions.patient_id.nunique()} patients")
        places = lesions[LOCATION].to_numpy(float)
        _print_row("location", places / places.max(axis=0), lesions)
        for feature, matrix in raw.items():
            _print_row(feature, matrix[lesions.index], lesions)


def _draw_labelled(asked: argparse.Namespace) -> None:
    level = difficulty_named(asked.difficulty)
    tasks = [
        PatientTask(asked.work, index, asked.seed, 256, level)
        for index in range(asked.patients)
        if plan_patient(index, asked.seed, level).labelled
    ]
    waiting = [task for task in tasks if not task.is_done]
    if asked.workers == 1:
        for task in waiting:
            make_patient(task)
        return
    with worker_pool(asked.workers) as pool:
        list(pool.map(make_patient, waiting))


def _vgg16_features(workspace: Workspace, lesions: pd.DataFrame, rows: pd.Index) -> np.ndarray:
    """Return (N, 1408), NaN outside `rows`."""
    patches = PatchStore(workspace.open("patches", "embed").path / "patches")
    wanted = lesions.lesion_id.loc[rows]
    found = initial_features((patches[one] for one in wanted), load_trunk("vgg16"))
    features = np.full((len(lesions), found.shape[1]), np.nan, np.float32)
    features[rows] = found
    return features


def _print_row(name: str, features: np.ndarray, lesions: pd.DataFrame) -> None:
    types, patients = lesions.type.to_numpy(str), lesions.patient_id.to_numpy(str)
    hits = retrieve(features, TOP_K)
    errors = type_retrieval_error(hits, types)
    apart = type_retrieval_error(retrieve(features, TOP_K, patients), types)
    interval = patient_bootstrap(
        lambda rows: float(errors[rows].mean()), patients, rng=np.random.default_rng(0)
    )
    same = float((patients[hits] == patients[:, None]).mean())
    by_type = ", ".join(
        f"{kind} {100 * errors[types == kind].mean():.0f} ({(types == kind).sum()})"
        for kind in LESION_TYPES
        if (types == kind).any()
    )
    print(
        f"  {name}: type ARE {100 * errors.mean():.1f} "
        f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}], other patients only "
        f"{100 * np.nanmean(apart):.1f}; hits of the same patient {100 * same:.0f} %; {by_type}",
        flush=True,
    )


if __name__ == "__main__":
    main()
