"""How good is z? The packaged regressor on slices it never saw, beside simple baselines, and its speed.

    python benchmarks/ssbr.py [--data ../shared/data]   # seconds
    python benchmarks/ssbr.py --folds 5                 # also leave-patients-out: trains five times

The authors' z of DeepLesion slices is compared with, never trained on.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    SsbrModel,
    TrainingVolume,
    ZMap,
    seeded_network,
    slice_input,
    train_ssbr,
    volume_correlations,
)
from lesiongraph.recipe import SsbrRecipe

# Neither folder is installed; `python -m benchmarks.ssbr` finds them so, too.
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "benchmarks"), str(REPOSITORY)]

from tools.train_ssbr import nifti_volumes, phantom_volumes, shippable_volumes  # noqa: E402

from provenance import add_data_argument, print_header, skip_without  # noqa: E402

Slices = NDArray[np.uint8]
UNTRAINED = ("LUNG1", "MIDRC", "3Dircadb1")  # volumes never trained on


def deeplesion_slices(data: Path, model: SsbrModel) -> pd.DataFrame:
    """Network inputs of the DeepLesion key slices at hand, with the authors' z and the patient."""
    known = pd.read_csv(data / "deeplesion/lesions_in_images.csv")
    known = known.assign(z=known.z_norm, folder="deeplesion")
    mini = pd.read_csv(data / "deeplesion_mini/DL_info.csv")
    mini = mini.assign(
        z=mini.Normalized_lesion_location.str.split(",").str[2].astype(float), folder="deeplesion_mini"
    )
    both = pd.concat([known, mini])[["File_name", "z", "folder"]].dropna()
    both = both.drop_duplicates("File_name").reset_index(drop=True)
    inputs = []
    for name, folder in zip(both.File_name, both.folder, strict=True):
        path = data / folder / "Images_png" / name[:12] / name[13:]
        hu = np.asarray(Image.open(path)).astype(np.int32) - 32768
        inputs.append(slice_input(hu, mode=model.slice_mode))
    return both.assign(patient=both.File_name.str[:6], input=inputs)


def spearman_interval(score: NDArray[np.float64], known: pd.DataFrame, draws: int = 1000) -> str:
    """Spearman with a 95 % interval from drawing patients with replacement."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(known.patient == patient) for patient in known.patient.unique()]
    values = []
    for _ in range(draws):
        drawn = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        values.append(spearmanr(score[drawn], known.z.to_numpy()[drawn])[0])
    low, high = np.nanquantile(values, [0.025, 0.975])
    overall = spearmanr(score, known.z)[0]
    counts = f"n = {len(known)} slices of {known.patient.nunique()} patients"
    return f"{overall:.3f} [{low:.3f}, {high:.3f}], {counts}"


def leave_patients_out(
    volumes: list[TrainingVolume], extra: list[TrainingVolume], folds: int, steps: int
) -> NDArray[np.float64]:
    """Train once a fold without its patients; r of each volume by the model that did not see it."""
    r = np.full(len(volumes), np.nan)
    patients = [volume.name.split()[-1].split("_1960")[0] for volume in volumes]
    order = {patient: i % folds for i, patient in enumerate(sorted(set(patients)))}
    for fold in range(folds):
        out = [i for i, patient in enumerate(patients) if order[patient] == fold]
        kept = [volume for i, volume in enumerate(volumes) if i not in out]
        model = train_ssbr(kept + extra, SsbrRecipe(), fold, steps=steps, design=COMPACT_DESIGN)
        r[out] = volume_correlations(model.network, [volumes[i] for i in out])
        print(f"  fold {fold}: " + ", ".join(f"{volumes[i].name} {r[i]:.3f}" for i in out), flush=True)
    return r


def slices_per_second(model: SsbrModel, n: int = 256) -> tuple[float, float]:
    """Speed of cutting (512 x 512) and of scoring, one thread."""
    hu = np.full((512, 512), -1000, np.int16)
    hu[150:380, 100:400] = 40
    started = time.perf_counter()
    for _ in range(32):
        picture = slice_input(hu, mode=model.slice_mode)
    cutting = 32 / (time.perf_counter() - started)
    batch = np.repeat(picture[None], n, axis=0)
    model.score(batch[:64])
    started = time.perf_counter()
    model.score(batch)
    return cutting, n / (time.perf_counter() - started)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_argument(parser)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--folds", type=int, default=0, help="0: no leave-patients-out training")
    parser.add_argument("--steps", type=int, default=400, help="of each training of a fold")
    parser.add_argument("--phantoms", type=int, default=20, help="mixed into each fold's training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    data = arguments.data
    skip_without(
        data / "deeplesion" / "lesions_in_images.csv",
        data / "deeplesion_mini" / "DL_info.csv",
        data / "volumes",
    )
    model = SsbrModel.load(arguments.weights)
    untrained = SsbrModel(seeded_network("compact", 0), ZMap(1.0, 0.0))
    print(f"{model.name} {model.sha256[:12]}")

    known = deeplesion_slices(arguments.data, model)
    pictures = np.stack(known.input.tolist())
    print("Spearman with the authors' z, DeepLesion key slices:")
    for label, one in (("packaged", model), ("random network", untrained)):
        print(f"  {label}: {spearman_interval(one.score(pictures), known)}")
    error = np.abs(model.to_z(model.score(pictures)) - known.z.to_numpy())
    print(f"  |z - authors' z|: median {np.median(error):.3f}, 90th percentile {np.quantile(error, 0.9):.3f}")

    paths = sorted((arguments.data / "volumes").glob("*.nii.gz"))
    unseen = nifti_volumes([p for p in paths if p.name.startswith(UNTRAINED)], model.slice_mode)
    r = volume_correlations(model.network, unseen)
    print(
        "r, volumes never trained on:", ", ".join(f"{v.name} {x:.3f}" for v, x in zip(unseen, r, strict=True))
    )
    if arguments.folds:
        print(f"r, leave-patients-out, {arguments.folds} folds, 2 x {arguments.steps} steps:")
        volumes = shippable_volumes(arguments.data, model.slice_mode)
        extra = phantom_volumes(arguments.phantoms, 77, model.slice_mode)
        r = leave_patients_out(volumes, extra, arguments.folds, arguments.steps)
        print(f"  mean {np.nanmean(r):.3f}, worst {np.nanmin(r):.3f}, n = {len(r)} volumes")
    cutting, scoring = slices_per_second(model)
    print(f"slices a second: cutting {cutting:.0f}, scoring {scoring:.0f}")


if __name__ == "__main__":
    main()
