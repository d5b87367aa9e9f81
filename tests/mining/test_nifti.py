"""NIfTI in all 48 orientations: the same head, the same left, the same back."""

import itertools

import nibabel
import numpy as np
import pandas as pd
import pytest

from lesiongraph.errors import NotCtError, UnreadableImageError
from lesiongraph.mining.nifti import load_nifti, nifti_series, nifti_uid, open_nifti

# Canonical volume (slice head → foot, row to the back, column to the left), all voxels different.
CANONICAL = (np.arange(4 * 5 * 6).reshape(4, 5, 6) - 60).astype(np.int16)
SPACING_MM = (3.0, 0.5, 0.8)  # slice, row, column


def canonical_affine() -> np.ndarray:
    """Voxel (slice, row, column) of CANONICAL → RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [-1, 0, 0]]) * np.array(SPACING_MM)
    affine[:3, 3] = (10, 20, 30)
    return affine


def stored_as(axes: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return CANONICAL with its axes permuted and mirrored, and the affine that says so."""
    turned = CANONICAL.transpose(axes)
    change = np.eye(4)
    change[:3, :3] = np.eye(3)[list(axes)].T
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            mirror = np.eye(4)
            mirror[axis, axis], mirror[axis, 3] = -1, turned.shape[axis] - 1
            change = change @ mirror
    return turned, canonical_affine() @ change


def save(path, voxels, affine, **header):
    image = nibabel.Nifti1Image(voxels, affine)
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def tables(series) -> tuple[dict, pd.DataFrame]:
    names = ("slice_index", "path", "frame")
    return {}, pd.DataFrame([{n: getattr(image, n) for n in names} for image in series.images])


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_every_orientation_reads_the_same(tmp_path, axes, flips):
    voxels, affine = stored_as(axes, flips)
    series = nifti_series(load_nifti(save(tmp_path / "ct.nii", voxels, affine)))
    assert (series.slice_interval_mm, series.spacing_y_mm, series.spacing_x_mm) == pytest.approx(SPACING_MM)
    hu = open_nifti(*tables(series)).read(range(4))
    hu = hu[:, :, ::-1] if series.flip_x else hu
    hu = hu[:, ::-1] if series.flip_y else hu
    np.testing.assert_array_equal(hu, CANONICAL)
    positions = [image.position_mm for image in series.images]
    np.testing.assert_allclose(np.diff(positions), SPACING_MM[0], rtol=1e-5)


@pytest.mark.parametrize("flips", [(False, False, False), (True, True, True)])
def test_image_geometry_leads_back_to_the_voxel(tmp_path, flips):
    voxels, affine = stored_as((2, 0, 1), flips)
    volume = load_nifti(save(tmp_path / "ct.nii", voxels, affine))
    image = nifti_series(volume).images[2]
    ras = canonical_affine() @ [2, 3, 4, 1]  # slice 2, row 3, column 4
    x, y, off_mm = image.to_array(ras[:3] * [-1, -1, 1])[0]
    assert off_mm == pytest.approx(0, abs=1e-4)
    assert volume.plane(image.frame)[round(y), round(x)] == CANONICAL[2, 3, 4]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_scale_is_applied(tmp_path, suffix):
    voxels, affine = stored_as((0, 1, 2), (False, False, False))
    image = nibabel.Nifti1Image((voxels + 512).astype(np.int16), affine)
    image.header.set_slope_inter(2.0, -1024.0)
    path = tmp_path / f"ct{suffix}"
    nibabel.save(image, path)
    assert nibabel.load(path).dataobj.inter == -1024
    hu = open_nifti(*tables(nifti_series(load_nifti(path)))).read([0, 3])
    np.testing.assert_array_equal(hu, 2 * CANONICAL[[0, 3]])


def test_uid_follows_content_not_place(tmp_path):
    for name, voxels in (("a", CANONICAL), ("b", CANONICAL), ("c", CANONICAL + 1)):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "ct.nii", voxels.astype(np.int16), canonical_affine())
    a, b, c = (nifti_uid(load_nifti(tmp_path / name / "ct.nii")) for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize(
    "voxels",
    [
        (CANONICAL > 0).astype(np.uint8),
        (CANONICAL - CANONICAL.min()).astype(np.int16),
        np.zeros((4, 5, 6), np.int16),
        np.full((4, 5, 6), np.nan, np.float32),
    ],
)
def test_what_is_not_hu_is_refused(tmp_path, voxels):
    series = nifti_series(load_nifti(save(tmp_path / "ct.nii.gz", voxels, canonical_affine())))
    with pytest.raises(NotCtError, match="HU"):
        open_nifti(*tables(series)).read([0])


def test_a_narrow_crop_without_air_is_ct(tmp_path):
    voxels = np.random.default_rng(0).normal(40, 30, (4, 5, 6)).astype(np.int16)
    voxels[:, 0, 0] = -5
    series = nifti_series(load_nifti(save(tmp_path / "ct.nii", voxels, canonical_affine())))
    assert open_nifti(*tables(series)).read([1]).shape == (1, 5, 6)


def test_unstated_orientation_is_flagged(tmp_path):
    path = save(tmp_path / "ct.nii", CANONICAL, None)
    assert nifti_series(load_nifti(path)).flags == ("orientation not stated",)


def test_trailing_axis_of_length_one_is_dropped(tmp_path):
    voxels, affine = stored_as((2, 1, 0), (False, False, False))
    series = nifti_series(load_nifti(save(tmp_path / "ct.nii.gz", voxels[..., None], affine)))
    np.testing.assert_array_equal(open_nifti(*tables(series)).read([1])[0], CANONICAL[1])


def test_damaged_files_are_clear_errors(tmp_path):
    noise = np.random.default_rng(0).integers(-9, 9, (40, 50, 60), np.int16)
    path = save(tmp_path / "ct.nii.gz", noise, np.eye(4))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImageError, match=r"ct\.nii\.gz"):
        load_nifti(path).plane(30)
    path.write_bytes(b"not a volume")
    with pytest.raises(UnreadableImageError):
        load_nifti(path)
    with pytest.raises(UnreadableImageError):
        load_nifti(tmp_path / "absent.nii")
    with pytest.raises(UnreadableImageError, match="three dimensions"):
        load_nifti(save(tmp_path / "4d.nii", np.zeros((3, 3, 3, 2), np.int16), np.eye(4)))


def test_an_affine_without_extent_is_refused(tmp_path):
    path = save(tmp_path / "ct.nii", CANONICAL, np.eye(4))
    data = bytearray(path.read_bytes())
    data[280:328] = bytes(48)  # the three rows of the sform
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match="affine"):
        load_nifti(path)
