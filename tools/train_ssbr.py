"""Train the packaged body part regressor on volumes whose licence lets the weights be shipped.

python tools/train_ssbr.py --data ../shared/data --steps 500 --phantoms 60
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lesiongraph.bodypart import (
    DESIGNS,
    SliceMode,
    TrainingVolume,
    hu_from_8bit,
    slice_input,
    train_ssbr,
)
from lesiongraph.recipe import SsbrRecipe

WEIGHTS = Path(__file__).resolve().parents[1] / "src/lesiongraph/bodypart/weights"
NOT_SHIPPABLE = ("LUNG1", "MIDRC", "3Dircadb1")  # non-commercial or no-derivatives licences
DICOM_SHIPPABLE = (
    "LIDC-IDRI-0001",
    "Pancreas-CT-CB_001",
    "CRLM-CT-1004",
    "Lung_Dx-A0001_s3",
    "ACRIN-FLT-Breast_001_19600101",
    "ACRIN-FLT-Breast_001_19600305",
)


def canonical_nifti(path: Path) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """Read a NIfTI as (slices head to foot, rows to the back, columns to the left), spacing z, y, x mm."""
    image = nib.as_closest_canonical(nib.load(path))  # axes now grow to the right, front and head
    hu = np.asarray(image.dataobj).astype(np.int16)[::-1, ::-1, ::-1].transpose(2, 1, 0)
    x, y, z = (float(size) for size in image.header.get_zooms()[:3])
    return np.ascontiguousarray(hu), (z, y, x)


def nifti_volumes(paths: list[Path], mode: SliceMode) -> list[TrainingVolume]:
    """Read NIfTI files as training volumes."""
    volumes = []
    for path in paths:
        hu, (z, y, x) = canonical_nifti(path)
        name = path.parent.name if path.name == "ct.nii.gz" else path.name.removesuffix(".nii.gz")
        volumes.append(TrainingVolume(inputs(hu, (y, x), mode), z, name))
    return volumes


def inputs(hu: NDArray[np.int16], spacing_mm: tuple[float, float], mode: SliceMode) -> NDArray[np.uint8]:
    """Network inputs (n, 128, 128) of a volume (n, rows, columns)."""
    return np.stack([slice_input(one, spacing_mm, mode=mode) for one in hu])


def png_volumes(root: Path, mode: SliceMode) -> list[TrainingVolume]:
    """Read the authors' 8-bit slices; their interval is not recorded."""
    volumes = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        pages = sorted(folder.glob("*.png"), key=lambda page: int(page.stem))
        hu = np.stack([hu_from_8bit(np.asarray(Image.open(page).convert("L")), -175, 275) for page in pages])
        volumes.append(TrainingVolume(inputs(hu, (1, 1), mode), float("nan"), f"ssbr-{folder.name}"))
    return volumes


def shippable_volumes(data: Path, mode: SliceMode) -> list[TrainingVolume]:
    """Every real volume whose licence lets derived weights be shipped."""
    niftis = [p for p in sorted((data / "volumes").glob("*.nii.gz")) if not p.name.startswith(NOT_SHIPPABLE)]
    niftis += sorted((data / "sts").glob("*/ct.nii.gz"))
    return nifti_volumes(niftis, mode) + png_volumes(data / "ssbr/official_train_slices", mode)


def main() -> None:
    """Train, report r per volume, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--design", choices=sorted(DESIGNS), default="compact")
    parser.add_argument("--steps", type=int, default=500, help="of each of the two trainings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS / "ssbr-compact.safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    design = DESIGNS[arguments.design]
    volumes = shippable_volumes(arguments.data, design.slice_mode)
    started = time.monotonic()

    def progress(step: int, total: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}/{total} loss {loss:.3f} {time.monotonic() - started:.0f} s", flush=True)

    model = train_ssbr(
        volumes, SsbrRecipe(), arguments.seed, steps=arguments.steps, progress=progress, design=design
    )
    model.name = f"ssbr-{design.name}"
    model.save(arguments.out)
    print(arguments.out, model.sha256, model.notes)


if __name__ == "__main__":
    main()
