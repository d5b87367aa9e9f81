"""Phantom bodies as files: NIfTI volumes and DICOM series, straight, turned, mislabelled."""

import struct
import sys
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from lesiongraph.phantom import sample_training_volume

sys.path.insert(0, str(Path(__file__).parents[1] / "mining"))

from dicom_files import ct_slice, save


@cache
def body(region="chest-abdomen", seed=4):
    """HU (n, rows, columns) of about 60 slices, head to foot, and their interval in mm."""
    drawn = sample_training_volume(np.random.default_rng(seed), 128, region=region)
    return drawn.hu, drawn.interval_mm, drawn.pixel_mm


def write_nifti(path, hu, spacing_mm, *, z_step=None, pixel_steps=None):
    """Write slices (n, rows, columns), head to foot.

    `z_step` overwrites the header's step along z, `pixel_steps` (rows, columns) those in the plane.
    """
    voxels = hu[::-1].transpose(2, 1, 0)[:, ::-1]  # to x: left, y: front, z: head
    affine = np.diag([-spacing_mm[2], spacing_mm[1], spacing_mm[0], 1.0])
    image = nib.Nifti1Image(np.ascontiguousarray(voxels), affine)
    stored = bytearray(image.to_bytes())
    if z_step is not None:  # nibabel would mend it: written into the header's bytes
        struct.pack_into("<f", stored, 88, z_step)  # pixdim[3]
        struct.pack_into("<hh", stored, 252, 0, 1)  # qform_code, sform_code
        struct.pack_into("<4f", stored, 312, 0, 0, z_step, 0)  # srow_z
    if pixel_steps is not None:
        y_step, x_step = pixel_steps
        struct.pack_into("<ff", stored, 80, x_step, y_step)
        struct.pack_into("<hh", stored, 252, 0, 1)
        struct.pack_into("<4f", stored, 280, -x_step, 0, 0, 0)
        struct.pack_into("<4f", stored, 296, 0, y_step, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stored)
    return path


def write_dicom(folder, hu, interval_mm, *, step=4, series="series", **changes):
    """Write every `step`-th slice as CT; `changes` as for `ct_slice`."""
    for number, plane in enumerate(hu[::step], start=1):
        ds = ct_slice(
            -(number - 1) * step * interval_mm,
            number=number,
            stored=(plane + 1024).clip(0).astype(np.uint16),
            series=series,
            **{"PixelSpacing": [2.8, 2.8], **changes},
        )
        save(ds, folder / f"{series}-{number:03d}")
    return folder
